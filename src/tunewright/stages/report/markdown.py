"""Render a report as compact Markdown: the same story as the HTML page, for terminals, tickets and diffs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tunewright.core.report import Report
from tunewright.stages.report import facts, formats, texts, views
from tunewright.stages.report.texts import Namer, Translator
from tunewright.stages.report.untrusted import cut, markdown_code, markdown_text, visible

WEAKEST_LABELS = 10
UNTESTED_LABELS = 5  # named
WORST_ERRORS = 10
TEXT_LENGTH = 200


def render_markdown(report: Report, language: str | None = None) -> str:
    """The report as Markdown in `language` ("en" or "zh"; None: the report's own)."""
    return _Page(report, language or report.language).render()


def table(header: Sequence[str], rows: Iterable[Sequence[str]], right: int = 1) -> list[str]:
    """A Markdown table of ready cells; columns from `right` on are aligned to the right."""
    marks = ["---" if column < right else "---:" for column in range(len(header))]
    return [f"| {' | '.join(cells)} |" for cells in (header, marks, *rows)]


def fenced(text: str, kind: str = "") -> list[str]:
    """A code block whose fence is longer than any run of backticks in `text`."""
    fence = "```"
    while fence in text:
        fence += "`"
    return [f"{fence}{kind}", text.rstrip("\n"), fence]


def baseline(name: str, word: Namer) -> str:
    """A baseline in words, with the name that recipes use: untuned model + logistic regression (`linear_probe`)."""
    said = word("baseline", name)
    return markdown_code(name) if said == visible(name) else f"{markdown_text(said)} ({markdown_code(name)})"


def warned(report: Report, t: Translator) -> list[str]:
    """The report's warnings, each as a quoted line."""
    return [line for key, values in views.warnings(report) for line in ("", f"> ⚠ {markdown_text(t(key, **values))}")]


def untested_labels(report: Report, t: Translator) -> str:
    """How many labels the test has no rows of, and the first of them; "" when it has some of every label."""
    classes = views.class_rows(report)
    labels = [label for label, _ in classes[len(views.tested(classes)) :]]
    if not labels:
        return ""
    named = [*map(markdown_code, labels[:UNTESTED_LABELS]), *(["…"] if len(labels) > UNTESTED_LABELS else [])]
    return f"{t('classes.untested', n=len(labels))}{t('page.colon')}{', '.join(named)}"


class _Page:
    """One rendering: the report, its language, and a method a section that gives its lines."""

    def __init__(self, report: Report, language: str) -> None:
        self.report, self.language = report, language
        self.t, self.word = texts.translator(language), texts.namer(language)
        self.metric = report.get("verdict.metric")

    def render(self) -> str:
        sections = [
            ("", self.head()),
            ("results", self.results()),
            ("ledger", self.ledger()),
            ("findings", self.findings()),
            ("confusion", self.pairs()),
            ("classes", self.classes()),
            ("slices", self.slices()),
            ("decision", self.decision()),
            ("errors", self.errors()),
            ("cost", self.facts(facts.cost(self.report, self.t, self.language))),
            ("certificate", self.certificate()),
            ("runtime", self.runtimes()),
            ("record", self.record()),
        ]
        parts = []
        for name, lines in sections:
            if lines:
                title = [f"## {self.t(f'{name}.title')}", ""] if name else []
                parts.append("\n".join([*title, *lines]))
        return "\n\n".join(parts) + "\n"

    def head(self) -> list[str]:
        report, t = self.report, self.t
        lines = [f"# {markdown_text(report.get('name'))}", ""]
        lines += [f"**{markdown_text(report.get('verdict.sentence')[self.language])}**"]
        lines += warned(report, t)
        if created := report.get("created"):
            lines += ["", markdown_text(t("page.made", version=report.get("tunewright", ""), created=created))]
        return lines

    def results(self) -> list[str]:
        names = views.metrics(self.report)
        header = [self.t("results.model"), *(self.word("metric", name) for name in names)]
        header.append(self.t("results.difference", metric=self.word("metric", self.metric)))
        found = views.result_rows(self.report)
        rows = [[self.model(row), *(self.value(row, name) for name in names), self.gap(row)] for row in found]
        return table([markdown_text(cell) for cell in header], rows)

    def model(self, row: views.ResultRow) -> str:
        return baseline(row.name, self.word) if row.name else f"**{self.t('results.tuned')}**"

    def value(self, row: views.ResultRow, name: str) -> str:
        text = formats.measure(row.values[name], name)
        return f"{text} ({formats.between(row.interval, name)})" if row.interval and name == self.metric else text

    def gap(self, row: views.ResultRow) -> str:
        if not row.difference:
            return ""
        ends = (row.difference.get(key) for key in ("value", "low", "high"))
        value, low, high = (formats.difference(end, self.metric) for end in ends)
        return f"{value} ({low} … {high})"

    def ledger(self) -> list[str]:
        t, rows = self.t, views.ledger_rows(self.report)
        total = views.ledger_total(rows)
        keys = ("read_rows", "moved_in", "used", "dropped", "moved_out", "adds_up")
        lines = table(
            [t(f"ledger.{key}") for key in ("split", *keys)], [self.row(row, total) for row in (*rows, total)]
        )
        if total.reasons:
            named = ((markdown_text(self.word("reason", kind)), n) for kind, n in total.reasons.items())
            reasons = t("page.comma").join(f"{name} {formats.count(n)}" for name, n in named)
            lines += ["", f"{t('ledger.reasons')}{t('page.colon')}{reasons}"]
        if tokens := views.token_rows(self.report):
            keys = ("seen", "used", "truncated", "adds_up", "windows", "split_rows")
            cells = table([t(f"ledger.{key}") for key in ("split", *keys)], map(self.tokens, tokens))
            lines += ["", f"{t('ledger.tokens')}{t('page.colon')}", "", *cells]
        notes = [f"- {markdown_text(note.get(self.language))}" for note in self.report.get("data.notes", [])]
        return [*lines, "", *notes] if notes else lines

    def row(self, row: views.LedgerRow, total: views.LedgerRow) -> list[str]:
        name = self.t("total") if row is total else markdown_text(self.word("split", row.split))
        counts = self.numbers(row.read, row.moved_in, row.used, row.dropped, row.moved_out)
        return [name, *counts, self.sum(row.missing)]

    def tokens(self, row: views.TokenRow) -> list[str]:
        name, counts = markdown_text(self.word("split", row.split)), self.numbers(row.seen, row.used, row.truncated)
        return [name, *counts, self.sum(row.missing), *self.numbers(row.windows, row.split_rows)]

    def numbers(self, *values: int) -> list[str]:
        return [formats.count(value) for value in values]

    def sum(self, missing: int) -> str:
        return f"✗ {self.t('ledger.off_by', n=formats.number(missing))}" if missing else "✓"

    def findings(self) -> list[str]:
        if self.report.get("data.findings") is None:
            return []
        lines = []
        for finding in views.findings(self.report):
            words = (self.word("severity", finding["severity"]), self.word("finding", finding["kind"]))
            severity, kind = map(markdown_text, words)
            lines.append(
                f"- {severity}{self.t('page.colon')}**{kind}** {markdown_text(finding['message'].get(self.language))}"
            )
        return lines or [self.t("findings.none")]

    def pairs(self) -> list[str]:
        t = self.t
        header = [t("confusion.gold"), t("confusion.predicted"), t("confusion.n"), t("confusion.share")]
        pairs = views.confusion_pairs(self.report)
        names = ((markdown_code(pair.gold), markdown_code(pair.predicted)) for pair in pairs)
        counts = ((formats.count(pair.n), formats.percent(pair.share, 0)) for pair in pairs)
        return table(header, [[*name, *n] for name, n in zip(names, counts, strict=True)], right=2) if pairs else []

    def classes(self) -> list[str]:
        classes, t = views.class_rows(self.report), self.t
        tested = views.tested(classes)
        everything = len(classes) <= WEAKEST_LABELS
        shown = classes if everything else tested[:WEAKEST_LABELS]
        title = t("classes.all") if everything else t("classes.weakest", n=len(shown), all=len(tested))
        header = [t("labels.label"), *(t(f"classes.{key}") for key in ("f1", "precision", "recall", "support"))]
        lines = [title, "", *table(header, (self.label(*item) for item in shown))] if shown else []
        untested = "" if everything else untested_labels(self.report, t)
        return [*lines, "", untested] if untested else lines

    def label(self, label: str, row: Mapping[str, Any]) -> list[str]:
        f1 = self.t("classes.not_tested") if row.get("f1") is None else formats.percent(row["f1"])
        shares = (formats.percent(row.get(key)) for key in ("precision", "recall"))
        return [markdown_code(label), f1, *shares, formats.count(row.get("support"))]

    def slices(self) -> list[str]:
        lines: list[str] = []
        for column, parts in self.report.get("slices", {}).items():
            title = self.t("slices.by", column=self.word("slice", column))
            header = [markdown_text(title), markdown_text(self.word("metric", self.metric)), "", self.t("ledger.n")]
            lines += [*table(header, map(self.slice, parts)), ""]
        return lines[:-1]

    def slice(self, part: Mapping[str, Any]) -> list[str]:
        value, ends = formats.measure(part.get("value"), self.metric), formats.between(part, self.metric)
        return [markdown_code(part["slice"]), value, ends, formats.count(part.get("n"))]

    def decision(self) -> list[str]:
        said = facts.decision_said(self.report, self.t, self.word, self.language)
        return [markdown_text(said), "", *self.facts(facts.decision(self.report, self.t))] if said else []

    def errors(self) -> list[str]:
        t, lines = self.t, []
        for error in self.report.get("errors", [])[:WORST_ERRORS]:
            drawn = "".join(piece.text for piece in views.pieces(error, TEXT_LENGTH))
            text, rest = (drawn, 0) if drawn else cut(error.get("text"), TEXT_LENGTH)
            before = f"{markdown_code(error['before'])} " if error.get("before") else ""
            more = f" {t('page.more', n=formats.count(rest))}" if rest else ""
            gold, predicted = (self.answer(error.get(key)) for key in ("gold", "predicted"))
            lines.append(
                f"- {before}{markdown_code(text)}{more}  \n  {t('errors.gold')} {gold}, {t('errors.predicted')} {predicted} "
                f"({formats.percent(error.get('score'))}), {markdown_code(error.get('id'))}"
            )
        return lines

    def answer(self, value: Any) -> str:
        return " ".join(markdown_code(name) for name in views.short_names_of(value)) or self.t("errors.nothing")

    def facts(self, pairs: facts.Facts) -> list[str]:
        return [f"- {name}{self.t('page.colon')}{markdown_text(value)}" for name, value in pairs]

    def certificate(self) -> list[str]:
        own = ["", self.t("certificate.own")] if views.certificate_own(self.report) else []
        return [*(self.checks(self.report.get("certificate.checks", [])) or [self.t("certificate.none")]), *own]

    def checks(self, checks: Sequence[Mapping[str, Any]]) -> list[str]:
        header = [self.t(f"check.{key}") for key in ("name", "result", "value", "limit", "why")]
        rows = []
        for check in checks:
            result = self.t("certificate.passed") if check.get("passed") else f"**{self.t('certificate.failed')}**"
            limit = f"{check.get('relation') or ''} {formats.number(check.get('limit'))}"
            cells = (formats.number(check.get("value")), limit, (check.get("why") or {}).get(self.language, ""))
            rows.append([markdown_text(check.get("name", "")), result, *(markdown_text(cell) for cell in cells)])
        return table(header, rows, right=5) if rows else []

    def runtimes(self) -> list[str]:
        rows = views.runtime_rows(self.report)
        if not rows:
            chosen = self.report.get("runtime.chosen")
            return [markdown_text(self.t("runtime.named", name=views.runtime_name(chosen)))] if chosen else []
        header = [self.t(f"runtime.{key}") for key in ("name", "bulk", "alone")]
        header += [self.t("runtime.loss", metric=self.word("metric", self.metric)), self.t("runtime.flips")]
        return table([markdown_text(cell) for cell in header], [self.runtime(row) for row in rows])

    def runtime(self, row: views.RuntimeRow) -> list[str]:
        name = markdown_code(row.name)
        if row.lacks:
            return [name, markdown_text(self.t("runtime.lacks", why=row.lacks)), "", "", ""]
        numbers = [formats.count(round(row.in_bulk)), formats.number(row.milliseconds)]
        numbers += [formats.measure(row.loss, self.metric), formats.count(row.flips)]
        chosen = f" **{self.t('runtime.chosen')}**" if row.chosen else ""
        return [name + chosen, *map(markdown_text, numbers)]

    def record(self) -> list[str]:
        lines = fenced(self.report.get("command"), "sh") if self.report.get("command") else []
        if machine := self.facts(facts.environment(self.report, self.t)):
            lines += ["", *machine]
        if chosen := facts.choices(self.report, self.language):
            lines += ["", *(f"- {markdown_code(key)}{self.t('page.colon')}{markdown_text(why)}" for key, why in chosen)]
        if versions := self.report.get("environment.versions"):
            lines += ["", " ".join(markdown_code(f"{package} {version}") for package, version in versions.items())]
        if recipe := facts.recipe_yaml(self.report):
            lines += ["", *fenced(recipe, "yaml")]
        return lines
