"""Hold what was saved, and what serves, against what was evaluated, row by row and whatever the task: the export certificate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunewright.core.contracts import Task
from tunewright.core.errors import plural
from tunewright.core.gate import Check, check
from tunewright.core.types import Note, Policy, Prediction
from tunewright.predict.infer import Inferred
from tunewright.predict.render import answer as plain

SERVING = "serving"  # the name of a gate that has these checks alone
SAME = 1e-3  # largest difference of a logit that counts as the same number, for each unit of the row's largest (at least 1)
TIE = 1e-4  # the same, within which either of two answers is right: their scores differ by less


@dataclass(frozen=True)
class Parity:
    """The checks, and every row whose answer differs anywhere: its id, and the answer "evaluated", "saved" and "served"."""

    checks: tuple[Check, ...]
    flips: Sequence[dict[str, Any]]


def compare(
    task: Task,
    labels: Sequence[str],
    policy: Policy,
    built: Sequence[Inferred],
    saved: Sequence[Inferred],
    served: Sequence[Inferred],
    *,
    steady: bool,
    most_flips: float | None = None,
) -> Parity:
    """Compare the answers of the network in memory with those of the saved one, and these with those of what serves.

    built: rows by the network in memory, calibrated; saved: the same rows first, then others, by the saved one in full
    precision; served: the rows of `saved` through what serves. steady: that is exact, so its numbers have to be the same;
    most_flips: else the share of rows whose answer may differ, None: any.
    """
    pairs = list(zip(built, saved, strict=False))
    said = [task.decode(row.logits, row.windows, labels, policy) for row in saved]
    evaluated = [task.decode(row.logits, row.windows, labels, policy) for row in built]
    now = [task.decode(row.logits, row.windows, labels, policy) for row in served]
    rows = _rows(len(pairs), len(saved))
    checks = [
        check("saved: rows cut otherwise", sum(_pieces(one) != _pieces(other) for one, other in pairs), "==", 0, rows[0]),
        *_alike("saved", pairs, list(zip(evaluated, said, strict=False)), rows[0]),
    ]  # fmt: skip
    through = list(zip(saved, served, strict=True))
    if steady:
        checks += _alike("served", through, list(zip(said, now, strict=True)), rows[1])
    elif most_flips is not None:
        other = sum(one.value != two.value for one, two in zip(said, now, strict=True))
        checks.append(check("served: share of answers changed", other / max(1, len(said)), "<=", most_flips, LIMIT))
    return Parity(tuple(checks), list(_flips(saved, evaluated, said, now)))


LIMIT = Note("The recipe allows no more (predict.max_flips).", "配方允许的上限（predict.max_flips）。")


def _rows(first: int, both: int) -> tuple[Note, Note]:
    return (
        Note(
            f"The saved model answers as the one that was trained, on {plural(first, 'row')} of validation.",
            f"保存的模型在 {first} 条验证数据上与训练所得的模型回答相同。",
        ),
        Note(
            f"What serves answers as the saved model, on {plural(both, 'row')} of validation and test.",
            f"提供服务的运行方式在 {both} 条验证和测试数据上与保存的模型回答相同。",
        ),
    )


def _alike(
    what: str,
    rows: Sequence[tuple[Inferred, Inferred]],
    answers: Sequence[tuple[Prediction, Prediction]],
    why: Note,
) -> list[Check]:
    """That logits are the same, and answers but for ties."""
    far_off = [apart(one.logits, other.logits) for one, other in rows]
    flips = sum(one.value != other.value and far > TIE for (one, other), far in zip(answers, far_off, strict=True))
    return [
        check(f"{what}: flipped rows", flips, "==", 0, why),
        check(f"{what}: largest logit difference", max(far_off, default=0.0), "<=", SAME, why),
    ]


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """The largest difference for each unit of the largest number, at least 1; infinite where there is another number of them."""
    if one.shape != other.shape:
        return float("inf")
    return float(np.abs(one - other).max(initial=0.0) / max(1.0, np.abs(one).max(initial=0.0)))


def _pieces(row: Inferred) -> list[list[int]]:
    return [window.features["input_ids"].tolist() for window in row.windows]


def _flips(
    rows: Sequence[Inferred],
    evaluated: Sequence[Prediction],
    saved: Sequence[Prediction],
    served: Sequence[Prediction],
) -> Iterator[dict[str, Any]]:
    for place, row in enumerate(rows):
        first = evaluated[place].value if place < len(evaluated) else saved[place].value
        values = {"evaluated": first, "saved": saved[place].value, "served": served[place].value}
        if values["evaluated"] != values["saved"] or values["saved"] != values["served"]:
            text = row.example.inputs.get("text")
            yield {"id": row.example.id, **{name: plain(value, text) for name, value in values.items()}}
