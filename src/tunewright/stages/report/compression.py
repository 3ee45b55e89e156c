"""What compression tried, as one HTML page: quality against latency and size, a row for each pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tunewright.stages.compression.step import shown
from tunewright.stages.report import figures, formats, texts
from tunewright.stages.report.figures import Axis, Line, Plot, Tick
from tunewright.stages.report.html import environment, page

STYLES = {"original": "s3 dots", "kept": "s2 dots", "undone": "s5 dots"}  # in report.css
RADIUS = 5.0


def render_compression(content: Mapping[str, Any]) -> str:
    """The page of a compressed bundle's report.json, in the report's language."""
    language = content["language"]
    t, word = texts.translator(language), texts.namer(language)
    rows = table(content)
    context = {
        **page(language),
        "report": content,
        "metric": content["metric"],
        "said": _sentence(content, t, word),
        "rows": rows,
        "reached": [_reached(one, t) for one in content["targets"]],
        "plots": [
            _plot(rows, content["metric"], key, t(f"compress.over_{name}"))
            for name, key in (("latency", "p50"), ("size", "size_mb"))
        ],
        "names": {kind: t(f"compress.{_shown(kind, content)}") for kind in STYLES},
        "shown": {kind: t(f"compress.{_shown(kind, content)}") for kind in STYLES},
    }
    return environment().get_template("compression.html.j2").render(context)


def table(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The original and each step, in order: what a table shows of them.

    Steps were timed at different moments, each in turn with the original; their times are scaled to one timing of that.
    """
    original = content["original"]
    first = {**_about(original), "kind": "original", "name": "", "loss": None, "flips": None, "speedup": 1.0}
    return [{**first, **original["speed"]}] + [
        {
            **_about(one),
            **_scaled(one, original["speed"]),
            "kind": "kept" if one["kept"] else "undone",
            "name": " · ".join((*(one["behind"] if content["targets"] else ()), shown(one["pass"], one["settings"]))),
            "loss": one["loss"],
            "flips": one["flips"],
            "speedup": one["speedup"],
        }
        for one in content["tried"]
    ]


def _shown(kind: str, content: Mapping[str, Any]) -> str:
    """What a kind of row is called: where a target was looked for, what is not taken need not be over the budget."""
    return {"kept": "taken", "undone": "passed_over"}.get(kind, kind) if content["targets"] else kind


def _reached(one: Mapping[str, Any], t: texts.Translator) -> str:
    sign, unit = ">" if one["more"] else "<", one["unit"]
    return t(
        "compress.reached",
        name=one["name"],
        sign=sign,
        limit=f"{one['limit']:.3g}",
        value=f"{one['value']:.3g}",
        unit=unit,
    )


def _about(part: Mapping[str, Any]) -> dict[str, Any]:
    return {name: part[name] for name in ("value", "runtime", "size_mb")}


def _scaled(one: Mapping[str, Any], original: Mapping[str, float]) -> dict[str, float]:
    beside = one["original_speed"]
    return {name: value * original[name] / beside[name] for name, value in one["speed"].items()}


def _sentence(content: Mapping[str, Any], t: texts.Translator, word: texts.Namer) -> str:
    metric, original = content["metric"], content["original"]
    kept = [one for one in content["tried"] if one["kept"]]
    return t(
        "compress.found" if content["targets"] else "compress.said",
        kept=len(kept),
        n=len(content["tried"]),
        budget=f"{content['max_loss']:g}",
        size=f"{kept[-1]['size_mb']:.1f}",
        size_before=f"{original['size_mb']:.1f}",
        speedup=f"{kept[-1]['speedup']:.2f}",
        metric=word("metric", metric),
        value=formats.measure(kept[-1]["value"], metric),
        value_before=formats.measure(original["value"], metric),
    )


def _plot(rows: Sequence[Mapping[str, Any]], metric: str, key: str, title: str) -> Plot:
    """Every row's quality over one of its costs."""
    up, across = Axis.around(row["value"] for row in rows), Axis.around([0.0, *(row[key] for row in rows)])
    labels = figures.tick_labels(up.ticks, formats.is_share(metric))
    y_ticks = tuple(Tick(100 - up.at(tick), label) for tick, label in zip(up.ticks, labels, strict=True))
    lines = []
    for kind, style in STYLES.items():
        points = tuple((across.at(row[key]), 100 - up.at(row["value"])) for row in rows if row["kind"] == kind)
        if points:
            lines.append(Line(kind, points, (RADIUS,) * len(points), style))
    return Plot(title, tuple(Tick(across.at(tick), f"{tick:g}") for tick in across.ticks), y_ticks, tuple(lines))
