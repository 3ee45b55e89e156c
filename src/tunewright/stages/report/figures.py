"""The geometry of the report's figures: data to positions in percent, which templates/figures.html.j2 draws as SVG.

Positions are percentages, so a figure fills any width while its text keeps the page's own size and fonts.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunewright.stages.report import formats

MOST_POINTS = 240  # of one curve; more are averaged, as no eye tells them apart
BEYOND = 4  # a difference so many times the main one is off a forest plot's scale
SMALLEST_REACH = 0.02  # what lies nearer to zero is always on the scale
FEW_POINTS = 40  # up to which each is marked by a dot
STYLES = 6  # line styles in report.css
Point = tuple[float, float]


@dataclass(frozen=True)
class Axis:
    """A linear scale from `low` to `high`, with the values worth a tick."""

    low: float
    high: float
    ticks: tuple[float, ...]

    @classmethod
    def around(cls, values: Iterable[float], ticks: int = 5) -> Axis:
        """A scale that holds all values and ends at round numbers."""
        values = list(values) or [0.0, 1.0]
        low, high = min(values), max(values)
        if high - low < 1e-9:
            low, high = low - 0.5 * (abs(low) or 1), high + 0.5 * (abs(high) or 1)
        step = _round_step((high - low) / ticks)
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        return cls(first * step, last * step, tuple(round(i * step, 10) for i in range(first, last + 1)))

    @classmethod
    def over(cls, low: float, high: float, ticks: int = 5) -> Axis:
        """A scale from exactly `low` to `high`, with round ticks between."""
        step = max(_round_step((high - low) / ticks), 1e-12)
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        return cls(low, high, tuple(round(i * step, 10) for i in range(first, last + 1)))

    def at(self, value: float) -> float:
        """Where `value` lies, in percent of the scale's length."""
        return round(100 * (value - self.low) / (self.high - self.low), 2)


@dataclass(frozen=True)
class Tick:
    """A labelled position on an axis."""

    at: float
    label: str
    zero: bool = False


@dataclass(frozen=True)
class Line:
    """One curve of a plot: `points` in percent (x from the left, y from the top), each drawn as a dot of its radius."""

    name: str
    points: tuple[Point, ...]
    radii: tuple[float, ...] = ()  # in pixels; none: no dots
    style: str = "s1"  # its class in report.css

    @property
    def path(self) -> str:
        """The points as SVG's polyline takes them."""
        return " ".join(f"{x:.2f},{y:.2f}" for x, y in self.points)

    @property
    def dots(self) -> list[tuple[float, float, float]]:
        """(x, y, radius) of every dot."""
        return [(round(x, 2), round(y, 2), r) for (x, y), r in zip(self.points, self.radii, strict=False)]


@dataclass(frozen=True)
class Bar:
    """A box of a plot, in percent; `title` is what pointing at it says."""

    x: float
    y: float
    width: float
    height: float
    title: str = ""


@dataclass(frozen=True)
class Plot:
    """A plot's parts, ready to draw. `mark`: where a vertical line stands, in percent."""

    title: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...] = ()
    bars: tuple[Bar, ...] = ()
    mark: float | None = None
    x_label: str = ""


@dataclass(frozen=True)
class Interval:
    """One row of a forest plot: an interval in percent of the strip, and how it is said in words."""

    name: str
    low: float
    value: float
    high: float
    side: str  # "above", "below" or "across" zero
    beyond: str  # "left" or "right" when it lies off the scale, else ""
    main: bool  # whether the verdict rests on it
    text: str
    ends: str


@dataclass(frozen=True)
class Strip:
    """One value with its interval on a scale, in percent; `whole` is where the overall value lies."""

    value: float
    low: float | None
    high: float | None
    whole: float | None


@dataclass(frozen=True)
class Forest:
    """Intervals on one scale."""

    rows: tuple[Interval, ...]
    ticks: tuple[Tick, ...]

    @property
    def cut(self) -> bool:
        """Whether some row is off the scale."""
        return any(row.beyond for row in self.rows)


def forest(differences: Mapping[str, Mapping[str, Any]], main: str) -> Forest | None:
    """The tuned model's difference to each baseline, the `main` one first; None when there is nothing to compare.

    A difference many times the main one would squeeze it to a dot: it is drawn as an arrow at the scale's end.
    """
    known = {name: d for name, d in differences.items() if None not in (d.get("value"), d.get("low"), d.get("high"))}
    if not known:
        return None
    metric = next(iter(known.values())).get("metric", "accuracy")
    reach = BEYOND * max((abs(known[main][end]) for end in ("low", "high")), default=0) if main in known else math.inf
    drawn = [d for d in known.values() if max(abs(d["low"]), abs(d["high"])) <= max(reach, SMALLEST_REACH)]
    axis = Axis.around([0.0, *(d[end] for d in drawn for end in ("low", "high"))], ticks=4)
    order = sorted(known.items(), key=lambda item: (item[0] != main, item[1]["value"]))
    rows = tuple(_interval(name, d, axis, main=name == main, metric=metric) for name, d in order)
    ticks = tuple(Tick(axis.at(t), formats.difference(t, metric).removesuffix(".0"), t == 0) for t in axis.ticks)
    return Forest(rows, ticks)


def strips(parts: Sequence[Mapping[str, Any]], whole: float | None) -> list[Strip | None]:
    """The values of slices with their intervals on one scale; None where a part has no value."""
    ends = [part.get(key) for part in parts for key in ("value", "low", "high")]
    known = [value for value in (*ends, whole) if value is not None]
    axis = Axis.around(known)

    def at(value: float | None) -> float | None:
        return None if value is None else axis.at(value)

    return [
        None if p.get("value") is None else Strip(axis.at(p["value"]), at(p.get("low")), at(p.get("high")), at(whole))
        for p in parts
    ]


def curves(
    title: str,
    series: Mapping[str, Sequence[Point]],
    mark: float | None = None,
    x_label: str = "",
    *,
    percent: bool = False,
) -> Plot | None:
    """Curves over steps: name → (step, value) pairs, with a vertical line at step `mark`. None without any point."""
    clean = {name: thinned([p for p in points if None not in p]) for name, points in series.items()}
    clean = {name: points for name, points in clean.items() if points}
    if not clean:
        return None
    everything = [point for points in clean.values() for point in points]
    steps = [x for x, _ in everything]
    across = Axis.over(min(0, *steps), max(1, *steps))
    up = Axis.around([y for _, y in everything])
    lines = []
    for i, (name, points) in enumerate(clean.items()):
        radii = (3.0,) * len(points) if len(points) <= FEW_POINTS else ()
        lines.append(Line(name, tuple((across.at(x), 100 - up.at(y)) for x, y in points), radii, f"s{i % STYLES + 1}"))
    return Plot(
        title,
        tuple(Tick(across.at(t), f"{t:,.0f}") for t in across.ticks if float(t).is_integer()),
        tuple(Tick(100 - up.at(t), label) for t, label in zip(up.ticks, tick_labels(up.ticks, percent), strict=True)),
        tuple(lines),
        mark=None if mark is None or not across.low <= mark <= across.high else across.at(mark),
        x_label=x_label,
    )


def reliability(title: str, bins: Sequence[Mapping[str, Any]], x_label: str, bar_title: str) -> Plot | None:
    """Accuracy at each confidence against the diagonal; `bar_title` says a bin, with {n}, {confidence}, {accuracy}."""
    full = [b for b in bins if b.get("n") and b.get("confidence") is not None and b.get("accuracy") is not None]
    if not full:
        return None
    ticks = tuple(t / 100 for t in range(0, 101, 20))
    boxes = tuple(_bin_box(b, bar_title) for b in full)
    points = tuple((100 * b["confidence"], 100 - 100 * b["accuracy"]) for b in full)
    most = max(b["n"] for b in full)
    radii = tuple(round(2.5 + 5 * math.sqrt(b["n"] / most), 1) for b in full)
    diagonal = Line("diagonal", ((0, 100), (100, 0)), style="diagonal")
    return Plot(
        title,
        tuple(Tick(100 * t, f"{100 * t:.0f}%") for t in ticks),
        tuple(Tick(100 - 100 * t, f"{100 * t:.0f}%") for t in ticks),
        (diagonal, Line("measured", points, radii)),
        boxes,
        x_label=x_label,
    )


def thinned(points: Sequence[Point], most: int = MOST_POINTS) -> list[Point]:
    """At most `most` points: neighbours are averaged, evenly over the run."""
    if len(points) <= most:
        return list(points)
    edges = [round(i * len(points) / most) for i in range(most + 1)]
    groups = [points[start:stop] for start, stop in itertools.pairwise(edges)]
    return [(sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)) for group in groups]


def _interval(name: str, d: Mapping[str, Any], axis: Axis, *, main: bool, metric: str) -> Interval:
    side = "above" if d["low"] > 0 else "below" if d["high"] < 0 else "across"
    beyond = "right" if d["high"] > axis.high + 1e-9 else "left" if d["low"] < axis.low - 1e-9 else ""
    ends = f"{formats.difference(d['low'], metric)} … {formats.difference(d['high'], metric)}"
    low, value, high = (axis.at(d[key]) for key in ("low", "value", "high"))
    return Interval(name, low, value, high, side, beyond, main, formats.difference(d["value"], metric), ends)


def _bin_box(b: Mapping[str, Any], title: str) -> Bar:
    said = {
        "n": formats.count(b["n"]),
        "confidence": formats.percent(b["confidence"]),
        "accuracy": formats.percent(b["accuracy"]),
    }
    return Bar(
        round(100 * b["low"], 2),
        round(100 - 100 * b["accuracy"], 2),
        round(100 * (b["high"] - b["low"]), 2),
        round(100 * b["accuracy"], 2),
        title.format(**said),
    )


def tick_labels(ticks: Sequence[float], percent: bool) -> list[str]:
    """All ticks with the same number of decimals: as many as the finest needs."""
    values = [round(100 * t, 8) if percent else t for t in ticks]
    decimals = max((len(f"{value:.6f}".rstrip("0").partition(".")[2]) for value in values), default=0)
    return [f"{value:,.{decimals}f}{'%' if percent else ''}" for value in values]


def _round_step(rough: float) -> float:
    power = 10 ** math.floor(math.log10(rough))
    return next(power * nice for nice in (1, 2, 2.5, 5, 10) if power * nice >= rough * 0.999)
