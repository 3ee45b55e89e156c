"""What `tunewright search` may try: recipe keys, each with its choices or its range."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tunewright.core.errors import listing, nearest

Place = tuple[str, ...]  # path of keys in the section `search.space`
RANGE = ("low", "high", "log", "step", "times")
# What decides how the model learns. All else decides what it learns from, or how it is judged: with other rows, another
# split (the seed) or another metric, two trials could not be compared.
SEARCHED = ("model", "train", "data.max_tokens", "data.overflow", "data.stride")
TIMES = "train.learning_rate"  # the key whose `auto` is a number that follows from backbone and method
FIGURES = 4  # of a drawn number: more are noise, and people read them


@dataclass(frozen=True)
class Choices:
    """A key that takes one of some values."""

    key: str
    values: tuple[Any, ...]  # as a recipe writes them

    @property
    def probes(self) -> tuple[Any, ...]:
        """Values that show whether the recipe takes all."""
        return self.values

    def names(self) -> tuple[str, ...]:
        """Each value as one word, in order."""
        return tuple(json.dumps(value, ensure_ascii=False, sort_keys=True) for value in self.values)


@dataclass(frozen=True)
class Range:
    """A key that takes numbers from `low` to `high`, both included."""

    key: str
    low: float
    high: float
    log: bool = False  # drawn evenly on a logarithmic scale
    step: float | None = None  # between neighbouring values; None: any value
    whole: bool = False  # whole numbers only
    times: bool = False  # the numbers are factors of what `auto` means for the trial's backbone and method

    @property
    def probes(self) -> tuple[Any, ...]:
        """Values that show whether the recipe takes all."""
        return ("auto",) if self.times else (self.low, self.high)

    def holds(self, value: Any) -> bool:
        """Whether `value` is one of the numbers."""
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not self.low <= value <= self.high:
            return False
        steps = (value - self.low) / self.step if self.step else 0.0
        return abs(steps - round(steps)) < 1e-9

    def rounded(self, value: float) -> float:
        """A drawn number with few figures, still inside the range."""
        if self.whole or self.step:
            return value
        return min(max(float(f"{value:.{FIGURES}g}"), self.low), self.high)


Parameter = Choices | Range


def leaves(space: Mapping[str, Any], place: Place = ()) -> Iterator[tuple[str, Any, Place]]:
    """(dotted key, what is given for it, where it stands) of a space whose keys are dotted, nested, or both."""
    for name, given in space.items():
        inner = (*place, str(name))
        if isinstance(given, Mapping) and given and not given.keys() & set(RANGE):
            yield from leaves(given, inner)
        else:
            yield ".".join(inner), given, inner


def parse(key: str, given: Any) -> Parameter:
    """The choices or the range given for a key. Raises ValueError with what is wrong and what would be right."""
    if not any(key == allowed or key.startswith(f"{allowed}.") for allowed in SEARCHED):
        raise ValueError(
            f"{key} cannot be searched: trials are compared on the same rows by the same metric. "
            f"Keys that can: {', '.join(f'{name}.…' if '.' not in name else name for name in SEARCHED)}"
        )
    if "." not in key:
        raise ValueError(f"{key} is a whole section; name a key in it, as train.learning_rate")
    if isinstance(given, (list, tuple)):
        return _choices(key, given)
    if isinstance(given, Mapping) and given:
        return _range(key, given)
    raise ValueError(
        f"{key} is {json.dumps(given, default=str)}; it takes choices, as [16, 32], "
        "or a range, as {low: 1e-5, high: 3e-4, log: true}"
    )


def refuse_overlap(keys: list[str]) -> None:
    """Raise ValueError when a key stands twice, or inside another one."""
    for number, key in enumerate(keys):
        for other in keys[:number]:
            if key == other or key.startswith(f"{other}.") or other.startswith(f"{key}."):
                raise ValueError(
                    f"{key} overlaps with {other}, and the one would undo the other; keep one, "
                    "as train.method: [full, {name: lora, rank: 16}]"
                )


def _choices(key: str, given: list[Any] | tuple[Any, ...]) -> Choices:
    found = Choices(key, tuple(given))
    if len(set(found.names())) < max(2, len(given)):
        what = "is empty" if not given else "has one value alone" if len(given) == 1 else "has a value twice"
        raise ValueError(f"{key} {what}; give at least two different values to choose from")
    return found


def _range(key: str, given: Mapping[str, Any]) -> Range:
    for name in given:
        if name not in RANGE:
            raise ValueError(f"{key} has no {name!r} in a range.{nearest(name, RANGE)} Known: {listing(RANGE)}")
    for name in ("low", "high", "step"):
        value = given.get(name)
        if name in given and (
            isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value)
        ):
            raise ValueError(f"{key}: {name} is {json.dumps(value, default=str)}, and must be a number")
    if missing := [name for name in ("low", "high") if name not in given]:
        raise ValueError(f"{key}: {missing[0]} is missing; a range has low and high")
    low, high, step, log = given["low"], given["high"], given.get("step"), given.get("log", False)
    if low >= high:
        raise ValueError(f"{key}: low is {low} and high is {high}; low must be below high")
    if not isinstance(log, bool):
        raise ValueError(f"{key}: log is {json.dumps(log, default=str)}, and must be true or false")
    if log and low <= 0:
        raise ValueError(f"{key}: low is {low}; on a logarithmic scale it must be above 0")
    if step is not None and (log or step <= 0 or step > high - low):
        raise ValueError(f"{key}: step is {step}; it must be above 0, at most high - low, and without log")
    if "times" in given and (given["times"] != "auto" or key != TIMES):
        raise ValueError(f"{key}: times can only be auto, and only for {TIMES}: factors of what auto means there")
    return Range(key, low, high, log, step, times="times" in given)
