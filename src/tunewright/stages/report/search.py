"""A search as one HTML page that needs nothing else, and as one sentence: what was tried, what mattered, how sure it is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tunewright.stages.report import figures, formats, texts
from tunewright.stages.report.figures import Axis, Line, Plot, Point, Tick
from tunewright.stages.report.html import environment, page

Trials = Sequence[Mapping[str, Any]]
STYLES = {"finished": "s1 dots", "pruned": "s5 dots", "best": "s2 dots"}  # in report.css
RADII = {"finished": 4.0, "pruned": 3.0, "best": 6.5}


def render_search(content: Mapping[str, Any], language: str | None = None) -> str:
    """The page of a search.json in `language` ("en" or "zh"; None: the search's own)."""
    language = language or content["language"]
    t, word = texts.translator(language), texts.namer(language)
    metric = content["metric"]
    context = {
        **page(language),
        "search": content,
        "metric": metric,
        "said": sentences(content, language),
        "created": str(content["created"]).replace("T", " ")[:16],
        "tiles": _tiles(content, t, word),
        "over_trials": _over_trials(content, t),
        "importance": _importance(content),
        "slices": [_slice(scale, content, t) for scale in content["parameter_ranges"]],
        "names": {kind: t(f"search.{kind}") for kind in ("leading", "best", "finished", "pruned")},
        "best_values": [(key, formats.word(value)) for key, value in content["parameters"].items()],
        "keys": [scale["key"] for scale in content["parameter_ranges"]],
    }
    return environment().get_template("search.html.j2").render(context)


def sentences(content: Mapping[str, Any], language: str) -> list[str]:
    """What came of a search: the best value beside the recipe's own, and whether the gain may be luck."""
    t, word = texts.translator(language), texts.namer(language)
    metric, own, found = content["metric"], content["own"], content["gain"]
    facts = {
        "n": len(content["trials"]),
        "metric": word("metric", metric),
        "value": formats.measure(content["value"], metric),
        "rows": formats.count(content["rows"]["validation"]),
    }
    if not content["best_trial"]:
        return [t("search.said_own", **facts)]
    if own is None:
        return [t("search.said_alone", **facts)]
    best = t("search.said_best", **facts, own=formats.measure(own, metric))
    if found is None:
        return [best, t("search.said_unknown")]
    ends = {key: formats.difference(found[key], metric) for key in ("value", "low", "high")}
    unit = t("search.points") if formats.is_share(metric) else ""
    return [best, t("search.said_sure" if found["low"] > 0 else "search.said_chance", unit=unit, **ends)]


def _tiles(content: Mapping[str, Any], t: texts.Translator, word: texts.Namer) -> list[dict[str, str]]:
    metric, states = content["metric"], [trial["state"] for trial in content["trials"]]
    own, found = content["own"], content["gain"]
    tiles = [(formats.measure(content["value"], metric), t("search.tile_best", metric=word("metric", metric)), "")]
    if own is not None:
        tiles.append((formats.measure(own, metric), t("search.tile_own"), ""))
    if found is not None:
        note = f"{formats.difference(found['low'], metric)} … {formats.difference(found['high'], metric)}"
        tiles.append((formats.difference(found["value"], metric), t("search.tile_gain"), note))
    counts = [t(f"search.n_{state}", n=states.count(state)) for state in ("pruned", "failed") if state in states]
    tiles.append((str(len(states)), t("search.tile_trials"), t("page.comma").join(counts)))
    units = tuple(t(f"time.{unit}") for unit in ("hour", "minute", "second"))
    tiles.append((formats.duration(content["seconds"], units), t("search.tile_seconds"), ""))
    return [{"value": value, "name": name, "note": note} for value, name, note in tiles]


def _kind(trial: Mapping[str, Any], best: int) -> str:
    return "best" if trial["trial"] == best else trial["state"]


def _up(content: Mapping[str, Any]) -> tuple[Axis, tuple[Tick, ...]]:
    """The axis of values, and its ticks."""
    axis = Axis.around([trial["value"] for trial in content["trials"] if trial["value"] is not None])
    labels = figures.tick_labels(axis.ticks, formats.is_share(content["metric"]))
    return axis, tuple(Tick(100 - axis.at(tick), label) for tick, label in zip(axis.ticks, labels, strict=True))


def _dots(points: Mapping[str, list[Point]]) -> tuple[Line, ...]:
    """One line without a stroke for each kind of trial."""
    return tuple(
        Line(kind, tuple(found), (RADII[kind],) * len(found), STYLES[kind]) for kind, found in points.items() if found
    )


def _over_trials(content: Mapping[str, Any], t: texts.Translator) -> Plot:
    """Every trial's value, and the best so far as a line."""
    trials: Trials = [trial for trial in content["trials"] if trial["value"] is not None]
    across, (up, ticks) = Axis.over(-0.5, max(1, len(content["trials"]) - 0.5)), _up(content)
    points: dict[str, list[Point]] = {kind: [] for kind in ("pruned", "finished", "best")}
    leading: list[Point] = []
    highest = -math.inf
    for trial in trials:
        at = (across.at(trial["trial"]), 100 - up.at(trial["value"]))
        points[_kind(trial, content["best_trial"])].append(at)
        if trial["state"] == "finished":
            before, highest = highest, max(highest, trial["value"])
            leading += [(at[0], 100 - up.at(before))] if leading else []
            leading.append((at[0], 100 - up.at(highest)))
    leading += [(100.0, leading[-1][1])] if leading else []
    x_ticks = tuple(Tick(across.at(tick), f"{tick:.0f}") for tick in across.ticks if float(tick).is_integer())
    lines = (Line("leading", tuple(leading), style="s2"), *_dots(points))
    return Plot(t("search.over_trials"), x_ticks, ticks, lines, x_label=t("search.trial_number"))


def _slice(scale: Mapping[str, Any], content: Mapping[str, Any], t: texts.Translator) -> Plot:
    """Every trial's value over one key's."""
    key = scale["key"]
    trials = [trial for trial in content["trials"] if trial["value"] is not None and key in trial["parameters"]]
    place, x_ticks = _across(scale, [trial["parameters"][key] for trial in trials])
    up, ticks = _up(content)
    points: dict[str, list[Point]] = {kind: [] for kind in ("pruned", "finished", "best")}
    for trial in trials:
        x = place(trial["parameters"][key])
        if x is not None:
            points[_kind(trial, content["best_trial"])].append((x, 100 - up.at(trial["value"])))
    return Plot(key, x_ticks, ticks, _dots(points))


def _across(scale: Mapping[str, Any], values: Sequence[Any]) -> tuple[Any, tuple[Tick, ...]]:
    """Where a key's value lies from left to right, in percent, and the ticks: words side by side, or numbers."""
    if "choices" in scale:
        words = list(dict.fromkeys([*scale["choices"], *map(formats.word, values)]))
        at = {word: round(100 * (number + 0.5) / len(words), 2) for number, word in enumerate(words)}
        return lambda value: at[formats.word(value)], tuple(Tick(x, formats.short(word)) for word, x in at.items())
    numbers = [value for value in values if isinstance(value, (int, float))] or [1.0]
    turn = math.log10 if scale["log"] and min(numbers) > 0 else float
    low, high = min(map(turn, numbers)), max(map(turn, numbers))
    margin = 0.06 * (high - low) or 0.5
    axis = Axis.over(low - margin, high + margin, ticks=3)
    places = {turn(number): number for number in (_log_ticks(*numbers) if turn is math.log10 else axis.ticks)}
    ticks = tuple(Tick(axis.at(x), f"{number:.4g}") for x, number in places.items() if axis.low <= x <= axis.high)
    return lambda value: axis.at(turn(value)) if isinstance(value, (int, float)) else None, ticks


def _log_ticks(*numbers: float) -> list[float]:
    """Round numbers for a logarithmic scale: powers of ten, and where these are few, some between."""
    low, high = math.floor(math.log10(min(numbers))), math.ceil(math.log10(max(numbers)))
    between = (1,) if high - low > 3 else (1, 3) if high - low > 1 else (1, 2, 5)
    return [part * 10.0**power for power in range(low, high + 1) for part in between]


def _importance(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each key with its share, where chance alone would take it, and whether it stands out from that."""
    return [
        {
            "key": key,
            "share": round(100 * found["share"], 1),
            "chance": min(100.0, round(100 * found["chance"], 1)),
            "stands_out": found["share"] > found["chance"],
        }
        for key, found in content["importance"].items()
    ]
