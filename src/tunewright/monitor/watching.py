"""How closely answers are watched."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

PAUSE = 3600.0  # seconds after an alert in which a model raises no further one
FILE_WINDOW = 500  # rows of a file that are compared at a time
FEWEST = 50  # answers below which nothing is said: means are not normal yet


@dataclass(frozen=True)
class Watching:
    """How closely answers are watched."""

    # answers that are compared with what is usual; with those between two looks 500, within which a change is seen whole
    window: int = 450
    looks: int = 9  # times that a window is looked at while it is exchanged: a sudden change is seen before it is full
    level: float = 0.03  # how often, by chance, a window of unchanged answers raises an alarm, at most

    @property
    def pane(self) -> int:
        """Answers between two looks."""
        return max(1, math.ceil(self.window / self.looks))

    @property
    def first(self) -> int:
        """Answers before the first look."""
        return self.pane * math.ceil(min(FEWEST, self.window) / self.pane)

    def level_at(self, rows: int) -> float:
        """The level of a look at so many rows: the looks at a window that fills share `level`, and so do those in which a
        full one is exchanged."""
        return _shared(self.level, self.looks, self.first // self.pane, rows >= self.pane * self.looks)


@functools.lru_cache(maxsize=64)
def _shared(level: float, looks: int, first: int, full: bool) -> float:
    from tunewright.core.drift import level_of_each

    overlaps = [1 - 1 / looks] * (looks - 1) if full else [panes / (panes + 1) for panes in range(first, looks)]
    return level_of_each(level, [part**2 if full else part for part in overlaps])
