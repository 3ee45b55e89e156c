"""Cut validation and test rows from training rows: stratified, random, grouped or by time; same for the same seed."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tunewright.core.errors import DataError, plural
from tunewright.core.types import Note

TRAIN, VALIDATION, TEST = 0, 1, 2
_FORMATS = ("%Y/%m/%d", "%Y/%m/%d %H:%M", "%Y/%m/%d %H:%M:%S", "%d.%m.%Y", "%d.%m.%Y %H:%M", "%Y年%m月%d日", "%Y%m%d")


@dataclass(frozen=True)
class Cut:
    """Where every row goes. sides: (rows,) of TRAIN, VALIDATION, TEST; notes: what is worth saying aloud."""

    sides: np.ndarray
    notes: list[Note] = field(default_factory=list)


def stratified(codes: np.ndarray, *, validation_share: float, test_share: float, seed: int) -> Cut:
    """Keep each class's share on every side; a class with a single row stays in train.

    codes: (rows,) integer class of each row.
    """
    sides = np.full(len(codes), TRAIN, dtype=np.uint8)
    classes, inverse, counts = np.unique(codes, return_inverse=True, return_counts=True)
    order = np.argsort(inverse, kind="stable")
    starts = np.concatenate([[0], np.cumsum(counts)])
    random = np.random.default_rng(seed)
    test = _allot(counts, test_share, room=counts - 1)
    validation = _allot(counts, validation_share, room=counts - 1 - test)
    for index in range(len(classes)):
        members = random.permutation(order[starts[index] : starts[index + 1]])
        sides[members[: test[index]]] = TEST
        sides[members[test[index] : test[index] + validation[index]]] = VALIDATION
    single = int((counts == 1).sum())
    return Cut(sides, [_untested(single)] if single else [])


def _untested(labels: int) -> Note:
    return Note(
        f"{plural(labels, 'label')} (or combination of labels) with a single row, which stays in train: not tested.",
        f"有 {labels} 个标签（或标签组合）只有一条数据；这条数据留在训练集中，因此没有测试。",
    )


def random(rows: int, *, validation_share: float, test_share: float, seed: int) -> Cut:
    """Cut at random, whatever the labels are."""
    order = np.random.default_rng(seed).permutation(rows)
    return Cut(_cut_in_order(order, validation_share=validation_share, test_share=test_share))


def grouped(groups: Sequence[Any], *, validation_share: float, test_share: float, seed: int) -> Cut:
    """Keep all rows of a group on one side. Rows without a group count as a group of their own.

    Raises DataError when there are fewer groups than sides.
    """
    names, inverse = _group_codes(groups)
    counts = np.bincount(inverse, minlength=names)
    sides_needed = 1 + (validation_share > 0) + (test_share > 0)
    if names < sides_needed:
        raise DataError(
            f"The group column has {names} group(s), and {sides_needed} sides need one each. "
            "Choose another data.split.column, or data.split.by: stratified."
        )
    side_of = np.full(names, TRAIN, dtype=np.uint8)
    order = np.random.default_rng(seed).permutation(names)
    left = names
    for side, share in ((TEST, test_share), (VALIDATION, validation_share)):
        taken = _fill(
            order, counts, side_of, round(share * len(inverse)), most=left - 1 - (side == TEST and validation_share > 0)
        )
        side_of[taken] = side
        left -= len(taken)
    return Cut(side_of[inverse])


def by_time(times: np.ndarray, *, validation_share: float, test_share: float) -> Cut:
    """Put the latest rows into test, those before them into validation. times: (rows,) float seconds or numbers."""
    order = np.argsort(-times, kind="stable")
    return Cut(_cut_in_order(order, validation_share=validation_share, test_share=test_share))


def parse_time(value: Any) -> float | None:
    """Return a time cell as a number that orders it (seconds for dates, UTC where no zone is given), or None."""
    if value is None or isinstance(value, bool):
        return None
    text = str(value).strip()
    for parse in (float, _iso, *(_with(pattern) for pattern in _FORMATS)):
        try:
            number = parse(text)
        except (ValueError, OverflowError):
            continue
        return number if np.isfinite(number) else None
    return None


def _iso(text: str) -> float:
    return _seconds(datetime.datetime.fromisoformat(text))


def _with(pattern: str):
    return lambda text: _seconds(datetime.datetime.strptime(text, pattern))


def _seconds(moment: datetime.datetime) -> float:
    return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()


def _allot(counts: np.ndarray, share: float, room: np.ndarray) -> np.ndarray:
    """Rows of each class that go to a side of `share`: largest remainders, never more than the class has room for."""
    wanted = counts * share
    given = np.minimum(np.floor(wanted).astype(np.int64), np.maximum(room, 0))
    missing = round(share * counts.sum()) - int(given.sum())
    for index in np.argsort(-(wanted - np.floor(wanted)), kind="stable"):
        if missing <= 0:
            break
        if given[index] < room[index]:
            given[index] += 1
            missing -= 1
    return given


def _cut_in_order(order: np.ndarray, *, validation_share: float, test_share: float) -> np.ndarray:
    """The first rows in `order` become test, the next validation; at least one row stays in train."""
    sides = np.full(len(order), TRAIN, dtype=np.uint8)
    test = min(_at_least_one(len(order), test_share), max(0, len(order) - 1))
    validation = min(_at_least_one(len(order), validation_share), max(0, len(order) - 1 - test))
    sides[order[:test]] = TEST
    sides[order[test : test + validation]] = VALIDATION
    return sides


def _at_least_one(rows: int, share: float) -> int:
    return max(1, round(rows * share)) if share > 0 else 0


def _group_codes(groups: Sequence[Any]) -> tuple[int, np.ndarray]:
    known: dict[Any, int] = {}
    inverse = np.empty(len(groups), dtype=np.int64)
    for row, group in enumerate(groups):
        name = ("row", row) if group is None or group == "" else group
        inverse[row] = known.setdefault(name, len(known))
    return len(known), inverse


def _fill(order: np.ndarray, counts: np.ndarray, side_of: np.ndarray, wanted: int, most: int) -> list[int]:
    """Free groups, in `order`, that bring a side nearest to `wanted` rows; at least one when any row is wanted."""
    taken: list[int] = []
    size = 0
    for group in order:
        if side_of[group] != TRAIN or len(taken) >= most or size >= wanted:
            continue
        if size + counts[group] <= wanted * 1.1 + 1:
            taken.append(int(group))
            size += int(counts[group])
    if not taken and wanted and most > 0:
        free = [group for group in order if side_of[group] == TRAIN]
        taken = [int(min(free, key=lambda group: counts[group]))]
    return taken
