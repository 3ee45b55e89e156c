"""What a compressed bundle has to reach, as "p95<5ms,size<20MB": parsed, and held against what a step came to."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tunewright.core.errors import UsageError, listing, nearest
from tunewright.stages.compression.step import Costs

SYNTAX = re.compile(r"\s*([a-z0-9_]+)\s*(<=?|>=?)\s*([0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?)\s*([a-zµμ/]*)\s*", re.IGNORECASE)
TIMES = {"ms": 1.0, "s": 1000.0, "us": 0.001, "µs": 0.001, "μs": 0.001}
SIZES = {"MiB": 1.0, "MB": 1e6 / 2**20, "KiB": 1 / 1024, "KB": 1e3 / 2**20, "GiB": 1024.0, "GB": 1e9 / 2**20}
EXAMPLE = '--target "p95<5ms,size<20MB"'


@dataclass(frozen=True)
class Measure:
    """Something that is measured of every step. units: name, in any case → how many of `shown` it is; more: is better."""

    of: Callable[[Costs], float]
    units: Mapping[str, float]
    shown: str
    more: bool = False


MEASURES = {
    "p50": Measure(lambda one: one.speed.p50, TIMES, "ms"),
    "p95": Measure(lambda one: one.speed.p95, TIMES, "ms"),
    "size": Measure(lambda one: one.size_mb, SIZES, "MiB"),
    "throughput": Measure(lambda one: one.speed.in_bulk, {"": 1.0, "/s": 1.0, "rows/s": 1.0}, "rows/s", more=True),
    "speedup": Measure(lambda one: one.speedup, {"": 1.0, "x": 1.0}, "x", more=True),
}


@dataclass(frozen=True)
class Target:
    """A limit on one of MEASURES, in the unit that it is shown in."""

    name: str
    limit: float

    @property
    def measure(self) -> Measure:
        """What it limits."""
        return MEASURES[self.name]

    def value(self, one: Costs) -> float:
        """What it is."""
        return self.measure.of(one)

    def short(self, one: Costs) -> float:
        """By how much it is missed, as the logarithm of the ratio; 0 where it is not."""
        ratio = self.limit / self.value(one) if self.measure.more else self.value(one) / self.limit
        return max(0.0, math.log(ratio))

    def to_dict(self, one: Costs) -> dict[str, Any]:
        """As report.json holds it."""
        measure = self.measure
        return {
            "name": self.name,
            "limit": self.limit,
            "unit": measure.shown,
            "more": measure.more,
            "value": self.value(one),
        }

    def told(self, one: Costs) -> str:
        """ "p95 7.1 ms (limit 5)"."""
        return f"{self.name} {self.value(one):.3g} {self.measure.shown} (wanted {'>' if self.measure.more else '<'} {self.limit:.3g})"


def parse(text: str) -> tuple[Target, ...]:
    """The targets in "p95<5ms,size<20MB". Raises UsageError that says what is wrong, and what may stand there."""
    found: dict[str, Target] = {}
    for part in text.split(","):
        target = _one(part)
        if target.name in found:
            raise UsageError(f"--target names {target.name} twice. Give one limit for each.")
        found[target.name] = target
    return tuple(found.values())


def _one(part: str) -> Target:
    matched = SYNTAX.fullmatch(part)
    if matched is None:
        raise UsageError(
            f"--target: {part.strip()[:80]!r} is no target. Write a measure, < or >, and a number with its unit, several "
            f"with commas: {EXAMPLE}. Measures: {listing(MEASURES)}."
        )
    name, sign, number, unit = matched[1].lower(), matched[2][0], float(matched[3]), matched[4]
    if name not in MEASURES:
        raise UsageError(f"--target: {name!r} is not measured.{nearest(name, MEASURES)} Measures: {listing(MEASURES)}.")
    measure = MEASURES[name]
    if (sign == ">") != measure.more:
        other = ">" if measure.more else "<"
        raise UsageError(f"--target: of {name} {'more' if measure.more else 'less'} is better. Write {name}{other}{matched[3]}{unit}.")  # fmt: skip
    factors = {known.lower(): factor for known, factor in measure.units.items()}
    if unit.lower() not in factors:
        units = [one for one in measure.units if one]
        near = nearest(unit, units) if unit else ""
        told = f"the unit {unit!r} is none of {name}" if unit else f"{name} needs a unit"
        raise UsageError(f"--target: {told}.{near} Units: {listing(units)}.")
    if number <= 0:
        raise UsageError(f"--target: nothing reaches {part.strip()!r}. Give a number over 0.")
    return Target(name, number * factors[unit.lower()])
