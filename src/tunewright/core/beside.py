"""Columns beside the text, numbers and names, as a vector whose linear map is added to the logits. numpy only.

Late fusion in its plainest form: logits = head(text) + map(vector). So every runtime computes the text's part as ever, and
the rest is a product of small arrays (models/beside.py).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tunewright.core.errors import LabelError
from tunewright.core.names import is_empty, one

MOST_NAMES = 1000  # of a column that are told apart, the most frequent ones; others are as unknown ones


@dataclass(frozen=True)
class Beside:
    """Which columns are read beside the text, and what training rows hold there.

    numeric, categorical: the columns; known: a numeric column → its mean and deviation, a categorical one → its names;
    empty before `seen_in` has looked.
    """

    numeric: Sequence[str] = ()
    categorical: Sequence[str] = ()
    known: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    @property
    def columns(self) -> tuple[str, ...]:
        """All of them, in the vector's order."""
        return (*self.numeric, *self.categorical)

    @property
    def width(self) -> int:
        """How long the vector is: two numbers for a numeric column, one for each name of a categorical one."""
        return 2 * len(self.numeric) + sum(len(self.known[column]) for column in self.categorical)

    def problem(self, values: Mapping[str, Any]) -> str:
        """Why a row cannot be read, "" when it can: a number is one, a name is no list; either may be missing."""
        for column in self.numeric:
            if not is_empty(values.get(column)) and not math.isfinite(_number(values[column])):
                return f"column {column!r} holds no number: {values[column]!r:.40}"
        for column in self.categorical:
            try:
                _name(values.get(column))
            except LabelError:
                return f"column {column!r} holds no name: {values[column]!r:.40}"
        return ""

    def vector(self, values: Mapping[str, Any]) -> np.ndarray:
        """(width,) float32 of a row's columns.

        Numbers are counted in deviations from the training mean; a missing one is the mean, and the number behind it 1.
        Names are one-hot; a name that is missing or that no training row has is nowhere.
        """
        found = np.zeros(self.width, dtype=np.float32)
        for place, column in enumerate(self.numeric):
            mean, deviation = self.known[column]
            missing = is_empty(values.get(column))
            found[2 * place] = 0.0 if missing else (_number(values[column]) - mean) / deviation
            found[2 * place + 1] = missing
        start = 2 * len(self.numeric)
        for column in self.categorical:
            names = list(self.known[column])
            if (name := _name(values.get(column))) in names:
                found[start + names.index(name)] = 1.0
            start += len(names)
        return found

    def unknown(self, values: Mapping[str, Any]) -> list[str]:
        """The categorical columns whose name no training row has."""
        return [
            column
            for column in self.categorical
            if (name := _name(values.get(column))) and name not in self.known[column]
        ]

    def seen_in(self, rows: Iterable[Mapping[str, Any]]) -> dict[str, tuple[Any, ...]]:
        """`known`, from training rows."""
        numbers: dict[str, list[float]] = {column: [] for column in self.numeric}
        names: dict[str, Counter[str]] = {column: Counter() for column in self.categorical}
        for values in rows:
            for column, given in numbers.items():
                if not is_empty(values.get(column)):
                    given.append(_number(values[column]))
            for column, counts in names.items():
                counts.update(filter(None, [_name(values.get(column))]))
        found: dict[str, tuple[Any, ...]] = {
            column: (float(np.mean(given)), float(np.std(given)) or 1.0) if given else (0.0, 1.0)
            for column, given in numbers.items()
        }
        kept = {column: [name for name, _ in counts.most_common(MOST_NAMES)] for column, counts in names.items()}
        return found | {column: tuple(sorted(some)) for column, some in kept.items()}


def _number(value: Any) -> float:
    """The cell as a number; not-a-number where it is none."""
    try:
        return float(str(value).strip())
    except ValueError:
        return math.nan


def _name(value: Any) -> str:
    return "" if is_empty(value) else one(value)
