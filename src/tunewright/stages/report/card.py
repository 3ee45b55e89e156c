"""Write a bundle's model card: README.md with the metadata and sections that the Hugging Face hub defines.

The metadata keys follow https://huggingface.co/docs/hub/model-cards (model card metadata, model-index).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import yaml

from tunewright.core.report import Report
from tunewright.stages.report import facts, formats, texts, views
from tunewright.stages.report.markdown import baseline, fenced, table, untested_labels, warned
from tunewright.stages.report.untrusted import markdown_code, markdown_text, visible

PIPELINE = "text-classification"  # of `transformers`: all that is certified has one answer a text, or a pair
TAGS = (PIPELINE, "token-classification", "question-answering")  # the hub's names that are tasks here as well
SENTENCES = """\
from sentence_transformers import SentenceTransformer

encoder = SentenceTransformer("BUNDLE/encoder")
queries = encoder.encode(["{text}"], prompt_name="query")
documents = encoder.encode(["…", "…"], prompt_name="document")
print(queries @ documents.T)"""
WEAKEST = 5  # labels named under limits
MOST_LABELS = 200  # named one by one
# The names that the hub knows of licences a backbone may carry; any other is "other", its own name beside it.
LICENCES = {
    "apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0",
    "cc-by-sa-4.0", "cc-by-nc-4.0", "gpl-3.0", "lgpl-3.0", "mpl-2.0", "openrail", "gemma", "llama2", "llama3",
    "unknown",
}  # fmt: skip
# Metric → the hub's metric type; others go by their own name.
METRIC_TYPES = {"macro_f1": "f1", "micro_f1": "f1", "mcc": "matthews_correlation"}
ANY_DATA = (
    "train",
    "training",
    "data",
    "训练",
    "训练集",
    "数据",
)  # file names that say nothing; their folder's name does
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
_DATA_FILE = re.compile(r"\.(csv|tsv|jsonl?|parquet|txt|conll|zip|gz)$", re.IGNORECASE)


def render_card(report: Report, language: str | None = None) -> str:
    """The model card in `language` ("en" or "zh"; None: the report's own): YAML metadata, then Markdown."""
    metadata = yaml.safe_dump(metadata_of(report), allow_unicode=True, sort_keys=False, width=100)
    return f"---\n{metadata}---\n\n{_Card(report, language or report.language).render()}"


def metadata_of(report: Report) -> dict[str, Any]:
    """The card's metadata as the hub defines it; keys it has no value for are left out."""
    licence = str(report.get("model.licence", "")).lower()
    base, source = report.get("model.base_model", ""), report.get("data.sources.train", "")
    language = str(report.get("language", ""))
    known = {
        "language": language if re.fullmatch(r"[a-z]{2,3}(-\w+)?", language) else None,
        "license": licence if licence in LICENCES else "other" if licence else None,
        "license_name": visible(licence) if licence and licence not in LICENCES else None,
        "library_name": "transformers" if uses_transformers(report) else "tunewright",
        "pipeline_tag": _pipeline_tag(report),
        "base_model": base if _is_hub_id(base) else None,
        "tags": ["tunewright", *_method_tag(report)],
        "datasets": [source] if _is_hub_id(source) else None,
        "metrics": list(dict.fromkeys(METRIC_TYPES.get(name, name) for name in _metrics(report))),
        "model-index": [{"name": visible(report.get("name")), "results": [_result(report)]}],
    }
    return {key: value for key, value in known.items() if value}


def _pipeline_tag(report: Report) -> str | None:
    """What the hub calls such models; None where it has no name for them."""
    if report.get("data.documents"):
        return "sentence-similarity"
    if (own := report.get("task").replace("_", "-")) in TAGS:
        return own
    return PIPELINE if uses_transformers(report) else None


def uses_transformers(report: Report) -> bool:
    """Whether it was shown that plain `transformers` gives the same answers from the bundle, and by itself."""
    alone = report.get("training.ensemble.kind") != "vote"
    alone &= not views.certificate_own(report)
    return views.certificate_passed(report) is True and not report.get("model.beside", []) and alone


def _result(report: Report) -> dict[str, Any]:
    task, name = report.get("task").replace("_", "-"), _dataset_name(report)
    slug = re.sub(r"[^\w-]+", "-", name).strip("-").lower() or "custom"
    return {
        "task": {"type": task, "name": task.replace("-", " ")},
        "dataset": {"name": name, "type": slug, "split": "test"},
        "metrics": [_metric(name, report.get(f"results.tuned.{name}")) for name in _metrics(report)],
    }


def _metric(name: str, value: float) -> dict[str, Any]:
    return {"type": METRIC_TYPES.get(name, name), "name": texts.namer("en")("metric", name), "value": round(value, 4)}


def _metrics(report: Report) -> list[str]:
    """The deciding metric and the familiar ones among those that were measured."""
    names = dict.fromkeys((report.get("verdict.metric"), "accuracy", "macro_f1", "mcc"))
    return [name for name in names if report.get(f"results.tuned.{name}") is not None]


def _dataset_name(report: Report) -> str:
    """What the data is called: a hub id, the file's name, or its folder's where the file is just "train.csv"."""
    source = report.get("data.sources.train", "") or report.get("name")
    path = PurePosixPath(visible(source))
    if _is_hub_id(source):
        return source
    return path.parent.name if path.stem.lower() in ANY_DATA and path.parent.name else path.stem


def _is_hub_id(name: str) -> bool:
    return bool(_HUB_ID.fullmatch(name)) and "/" in name and not name.startswith(".") and not _DATA_FILE.search(name)


def _method_tag(report: Report) -> list[str]:
    name = report.get("model.method.name", "")
    return [name] if re.fullmatch(r"[\w-]+", name) else []


class _Card:
    """One card: the report, its language, and a method a section that gives its lines."""

    def __init__(self, report: Report, language: str) -> None:
        self.report, self.language = report, language
        self.t, self.word = texts.translator(language), texts.namer(language)
        self.metric = report.get("verdict.metric")
        self.base = facts.without_path(report.get("model.backbone")) or formats.NONE

    def render(self) -> str:
        sections = [
            ("card.use", self.use()),
            ("card.results", self.results()),
            ("card.data", self.data()),
            ("card.limits", self.limits()),
            ("card.how", self.how()),
            ("card.made", self.made()),
            ("card.licence", self.licence()),
        ]
        parts = ["\n".join(self.head())]
        parts += ["\n".join([f"## {self.t(title)}", "", *lines]) for title, lines in sections]
        return "\n\n".join(parts) + "\n"

    def head(self) -> list[str]:
        name, task = self.report.get("name"), self.word("task", self.report.get("task"))
        about = self.t("card.about", task=task, base=self.base, version=self.report.get("tunewright", ""))
        sentence = self.report.get("verdict.sentence")[self.language]
        title = [f"# {markdown_text(name)}", "", markdown_text(about), "", f"**{markdown_text(sentence)}**"]
        return [*title, *warned(self.report, self.t)]

    def use(self) -> list[str]:
        labels = [label for label, _ in views.class_rows(self.report)]
        kind = self.t("card.several" if self.report.get("multi_label") else "card.one")
        language = markdown_text(self.report.get("language", formats.NONE))
        documents = self.report.get("data.documents")
        use = (
            self.t("card.use_documents", n=formats.count(documents), language=language)
            if documents
            else self.t("card.use_text", kind=kind, n=len(labels), language=language)
        )
        lines = [use, "", self.t("card.not_for")]
        if labels and len(labels) <= MOST_LABELS:
            named = ", ".join(markdown_code(label) for label in sorted(labels))
            lines += ["", f"{self.t('card.labels')}{self.t('page.colon')}{named}"]
        return lines

    def results(self) -> list[str]:
        names = _metrics(self.report)
        rows = [self.result(row, names) for row in views.result_rows(self.report)]
        header = [self.t("results.model"), *(markdown_text(self.word("metric", name)) for name in names)]
        measured = self.t("card.results_text", n=formats.count(self.report.test_rows))
        return [measured, "", *table(header, rows)]

    def result(self, row: views.ResultRow, names: list[str]) -> list[str]:
        cells = [baseline(row.name, self.word) if row.name else f"**{self.t('results.tuned')}**"]
        for name in names:
            interval = f" ({formats.between(row.interval, name)})" if row.interval and name == self.metric else ""
            cells.append(f"{formats.measure(row.values.get(name), name)}{interval}")
        return cells

    def data(self) -> list[str]:
        t = self.t
        rows = [
            [markdown_text(self.word("split", row.split)), formats.count(row.used), formats.count(row.dropped)]
            for row in views.ledger_rows(self.report)
        ]
        header = [t("ledger.split"), t("card.used"), t("card.dropped")]
        return [markdown_code(_dataset_name(self.report)), "", *table(header, rows)]

    def limits(self) -> list[str]:
        t, lines = self.t, []
        if weak := views.weakest_labels(self.report, most=WEAKEST):
            shown = (f"{markdown_code(label)} (F1 {formats.percent(row['f1'])})" for label, row in weak)
            lines.append(f"- {t('card.worst_labels')}{t('page.colon')}{', '.join(shown)}")
        if untested := untested_labels(self.report, t):
            lines.append(f"- {untested}")
        if slices := views.weakest_slices(self.report):
            shown = (self.slice(column, part) for column, part in slices)
            lines.append(f"- {t('card.worst_slices')}{t('page.colon')}{', '.join(shown)}")
        lines.append(f"- {t('card.abstention')}{t('page.colon')}{self.abstention()}")
        if tokens := self.report.get("model.max_tokens"):
            overflow = self.report.get("recipe.data.overflow", formats.NONE)
            lines.append(f"- {markdown_text(t('card.long', n=formats.count(tokens), overflow=overflow))}")
        return lines

    def slice(self, column: str, part: Mapping[str, Any]) -> str:
        value = formats.measure(part["value"], self.metric)
        return f"{markdown_text(self.word('slice', column))} {markdown_code(part['slice'])} ({value})"

    def abstention(self) -> str:
        accept = facts.answers_from(self.report)
        if accept is None:
            said = facts.decision_said(self.report, self.t, self.word, self.language)
            return markdown_text(said or self.t("decision.always"))
        known = self.report.get("decision.coverage", {})
        coverage = {key: formats.percent(known.get(key)) for key in ("accepted", "error", "limit")}
        split = self.word("split", known.get("split", "validation"))
        return markdown_text(self.t("card.abstention_text", accept=formats.number(accept), split=split, **coverage))

    def how(self) -> list[str]:
        t, text = self.t, self.t("card.example")
        roles = [*self.report.get("model.inputs", []), *self.report.get("model.beside", [])]
        item = json.dumps(text if len(roles) < 2 else {role: "…" for role in roles}, ensure_ascii=False)
        own = f'import tunewright\n\nmodel = tunewright.load("BUNDLE")\nprint(model.predict([{item}]))'
        lines = [
            t("card.with_tunewright"),
            "",
            *fenced(own, "python"),
            "",
            *fenced("tunewright predict BUNDLE input.csv", "sh"),
        ]
        if columns := self.report.get("model.beside", []):
            lines += ["", t("card.beside", columns=t("page.comma").join(map(markdown_code, columns)))]
        if self.report.get("training.ensemble.kind") == "vote":
            lines += ["", t("card.votes", n=len(self.report.get("training.ensemble.members")))]
        if uses_transformers(self.report):
            top = ", top_k=None" if self.report.get("multi_label") else ""
            top = ", top_k=10" if self.report.get("data.documents") else top
            plain = (
                "from transformers import pipeline\n\n"
                f'model = pipeline("{PIPELINE}", model="BUNDLE/model")\n'
                f'print(model("{text}", truncation=True{top}))'
            )
            lines += ["", t("card.with_transformers"), "", *fenced(plain, "python")]
            if self.report.get("data.documents"):
                lines += ["", t("card.with_sentence_transformers"), "", *fenced(SENTENCES.format(text=text), "python")]
        return lines

    def made(self) -> list[str]:
        report, t = self.report, self.t
        about = t(
            "card.made_text",
            method=facts.component(report.get("model.method")) or formats.NONE,
            parameters=facts.parameters(report, t) or formats.NONE,
            time=facts.duration(report.get("training.seconds"), t) or formats.NONE,
            device=report.get("training.device", formats.NONE),
        )
        lines = [markdown_text(about), "", *fenced("tunewright train recipe.yaml", "sh")]
        versions = report.get("environment.versions", {})
        shown = " ".join(markdown_code(f"{package} {version}") for package, version in versions.items())
        return [*lines, "", f"{t('record.versions')}{t('page.colon')}{shown}"] if shown else lines

    def licence(self) -> list[str]:
        licence = self.report.get("model.licence", formats.NONE)
        source = facts.without_path(self.report.get("model.source")) or formats.NONE
        return [markdown_text(self.t("card.licence_text", base=self.base, source=source, licence=licence))]
