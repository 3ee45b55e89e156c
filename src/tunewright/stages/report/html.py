"""Render a report as one HTML file that needs nothing else: no network, no fonts, no script it does not carry."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from tunewright.core.report import Report
from tunewright.stages.report import facts, figures, formats, texts, untrusted, views

TEMPLATES = Path(__file__).parent / "templates"


def render_html(report: Report, language: str | None = None) -> str:
    """The report as an HTML page in `language` ("en" or "zh"; None: the report's own)."""
    language = language or report.language
    t, word = texts.translator(language), texts.namer(language)
    script = asset("report.js")
    context = {
        **page(language, script),
        "report": report,
        "metric": report.get("verdict.metric"),
        "script": Markup(script),
        "created": str(report.get("created", "")).replace("T", " ")[:16],
        "confidence": formats.percent(report.get("verdict.confidence", 0.95), 0),
        "tiles": _tiles(report, t, word),
        "forest": figures.forest(report.get("results.differences", {}), main=report.get("verdict.against", "")),
        "curves": _curves(report, t, word),
        "reliability": figures.reliability(
            t("reliability.accuracy"), report.get("results.tuned.reliability", []), t("reliability.axis"), _bin_title(t)
        ),
        "slices": _slices(report),
        "cost": facts.cost(report, t, language),
        "decision": facts.decision(report, t),
        "decision_said": facts.decision_said(report, t, word, language),
        "calibration_said": facts.calibration_said(report, t),
        "choices": facts.choices(report, language),
        "environment": facts.environment(report, t),
        "recipe": facts.recipe_yaml(report),
    }
    return environment().get_template("report.html.j2").render(context)


def page(language: str, script: str = "") -> dict[str, Any]:
    """What every page's template is given: words in its language, the style, and what the page may run (`script`)."""
    css = asset("report.css")
    return {
        "language": language,
        "html_language": {"zh": "zh-Hans"}.get(language, language),
        "t": texts.translator(language),
        "word": texts.namer(language),
        "policy": _content_security_policy(css, script),
        "css": Markup(css),
        "contents": [],  # (id, title) of the sections, gathered while they are rendered
    }


class _Environment(jinja2.Environment):
    """Templates in which `row.key` is None where a JSON object lacks the key, just as where it is null."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        found = super().getattr(obj, attribute)
        return None if isinstance(found, jinja2.Undefined) and isinstance(obj, Mapping) else found


@functools.cache
def environment() -> jinja2.Environment:
    """What renders the templates."""
    made = _Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["user"] = _shown
    made.globals.update(fmt=formats, view=views, cut=untrusted.cut)
    return made


def _shown(text: Any) -> Markup:
    """A user's words as HTML; line breaks stay where the page shows several lines."""
    return Markup(untrusted.html_text(text))


@functools.cache
def asset(name: str) -> str:
    """A style or script that a page carries."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _content_security_policy(css: str, script: str) -> str:
    """Nothing may be loaded, sent or run but this page's own style and script, named by their hashes."""
    own = f"style-src {_hash_source(css)}; script-src {_hash_source(script)}"
    return f"default-src 'none'; {own}; base-uri 'none'; form-action 'none'"


def _hash_source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _tiles(report: Report, t: texts.Translator, word: texts.Namer) -> list[dict[str, str]]:
    """The key figures: value, name, note and kind ("bad" for what must be noticed)."""
    metric, confidence = report.get("verdict.metric"), formats.percent(report.get("verdict.confidence", 0.95), 0)
    tiles = []
    for name in dict.fromkeys((metric, "accuracy", "macro_f1")):
        value = report.get(f"results.tuned.{name}")
        interval = report.get("results.intervals.tuned", {})
        ends = formats.between(interval, name) if interval.get("metric") == name else ""
        if value is not None:
            note = t("key.interval", confidence=confidence, ends=ends) if ends else ""
            tiles.append(_tile(formats.measure(value, name), word("metric", name), note))
    labels = len(report.get("results.tuned.per_class", {}))
    tiles.append(
        _tile(formats.count(report.test_rows), t("key.test_rows"), t("key.labels", n=labels) if labels else "")
    )
    uses = report.get("verdict.test_uses")
    if uses is not None:
        note, kind = (t("key.once"), "") if uses <= 1 else (t("key.more_than_once"), "bad")
        tiles.append(_tile(formats.count(uses), t("key.test_uses"), note, kind))
    if coverage := report.get("decision.coverage.test", report.get("decision.coverage")):
        note = t("key.coverage_error", error=formats.percent(coverage.get("error")))
        tiles.append(_tile(formats.percent(coverage.get("accepted")), t("key.coverage"), note))
    if (seconds := report.get("training.seconds")) is not None:
        tiles.append(_tile(facts.duration(seconds, t), t("key.seconds")))
    return tiles


def _tile(value: str, name: str, note: str = "", kind: str = "") -> dict[str, str]:
    return {"value": value, "name": name, "note": note, "kind": kind}


def _curves(report: Report, t: texts.Translator, word: texts.Namer) -> list[tuple[figures.Plot, dict[str, str]]]:
    """The loss plot and the validation plot with the names of their lines; those without points are left out."""
    validation = views.validation_curves(report)
    loss = {"training_loss": views.loss_curve(report)}
    if "loss" in validation:
        loss["validation_loss"] = validation.pop("loss")
    best = report.get("training.best_step")
    shares = all(formats.is_share(name) for name in validation)
    metric_names = {name: word("metric", name) for name in validation}
    loss_names = {name: t(f"curves.{name}") for name in loss}
    plots = [
        (figures.curves(t("curves.loss"), loss, best, t("curves.step")), loss_names),
        (figures.curves(t("curves.validation"), validation, best, t("curves.step"), percent=shares), metric_names),
    ]
    return [(plot, names) for plot, names in plots if plot]


def _slices(report: Report) -> list[tuple[str, list[tuple[Mapping[str, Any], figures.Strip | None]]]]:
    whole = report.get(f"results.tuned.{report.get('verdict.metric')}")
    return [
        (column, list(zip(parts, figures.strips(parts, whole), strict=True)))
        for column, parts in report.get("slices", {}).items()
        if parts
    ]


def _bin_title(t: texts.Translator) -> str:
    return t("reliability.bin", n="{n}", confidence="{confidence}", accuracy="{accuracy}")
