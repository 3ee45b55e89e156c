"""Try the recipe's augmenters on a few training rows: what they make, and how long it takes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tunewright.core.numeric import spread
from tunewright.core.types import Example, Note
from tunewright.data.augment import Augmentation, Copy, key_of
from tunewright.data.dataset import Dataset
from tunewright.stages.assemble import Plan

ROWS, SHOWN = (
    24,
    3,
)  # training rows that are tried, from all over the split; changed copies of each augmenter that are shown


@dataclass(frozen=True)
class Tried:
    """Copies of some rows. opening, a_row: seconds to open the augmenters, and for all copies of a row."""

    rows: Sequence[Example]
    copies: Sequence[Copy]
    opening: float = 0.0
    a_row: float = 0.0

    def seconds(self, rows: int) -> float:
        """What copies of so many rows take."""
        return self.opening + rows * self.a_row

    def changed(self, by: str) -> list[Copy]:
        """The copies of one augmenter that differ from their row, as texts are compared."""
        return [copy for copy in self.copies if copy.by == by and copy.key != key_of(self.rows[copy.row])]

    def shown(self) -> list[dict[str, Any]]:
        """A few of each augmenter, for people: {"by", "row": its original's id, "from", "to": texts by role}."""
        return [
            {"by": copy.by, "row": copy.example.id, "from": self.rows[copy.row].inputs, "to": copy.example.inputs}
            for by in self._names()
            for copy in self.changed(by)[:SHOWN]
        ]

    def notes(self) -> list[Note]:
        """How many copies differ, by augmenter: one that hardly finds anything to change is not worth its time."""
        made = {by: (len(self.changed(by)), sum(copy.by == by for copy in self.copies)) for by in self._names()}
        return [
            Note(
                f"data.augment: {changed} of {count} copies that {by} made of some rows are changed; others are left out.",
                f"data.augment：{by} 对部分数据所做的 {count} 个副本中有 {changed} 个与原文不同，其余不用。",
            )
            for by, (changed, count) in made.items()
        ]

    def _names(self) -> list[str]:
        return list(dict.fromkeys(copy.by for copy in self.copies))


def try_out(plan: Plan, dataset: Dataset) -> Tried:
    """Make the copies of some rows. Raises what the augmenters raise when they cannot work here."""
    augmenters, train = plan.recipe.data.augment, dataset.splits["train"]
    if not augmenters:
        return Tried((), ())
    rows = train.take(spread(len(train), ROWS))
    started = time.perf_counter()
    opened = Augmentation(augmenters, plan.recipe.task, dataset.splits, plan.recipe.seed)
    list(opened.copies(rows, 0))  # some open their sources when a text first needs them
    opening = time.perf_counter() - started
    copies = list(opened.copies(rows, 0))
    a_row = (time.perf_counter() - started - opening) / len(rows)
    return Tried(rows, copies, max(0.0, opening - a_row * len(rows)), a_row)
