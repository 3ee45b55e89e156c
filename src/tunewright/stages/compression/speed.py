"""Time two bundles side by side, each in turn, so that what else runs on the machine falls on both."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tunewright.core.progress import Progress
from tunewright.core.types import Example, Prediction
from tunewright.predict.footprint import peak
from tunewright.predict.infer import Inferred
from tunewright.predict.predictor import Predictor
from tunewright.stages.compression.evidence import some, unlabelled

ALONE = 100  # rows that are answered one at a time
BLOCK = 10  # of them in a row by one bundle: threads of the other, which spin for a while, disturb the first alone
IN_BULK = 256  # and together
ROUNDS = 3  # of the latter; the median counts
MEASURED = 64  # rows that are answered while memory is measured
MIB = 2**20


@dataclass(frozen=True)
class Speed:
    """p50, p95: milliseconds of one row, half and 19 of 20 of them; in_bulk: rows a second."""

    p50: float
    p95: float
    in_bulk: float


@dataclass(frozen=True)
class Raced:
    """Two bundles' speed, and what each says to rows one at a time."""

    first: Speed
    second: Speed
    rows: Sequence[Example]
    first_alone: Sequence[tuple[Inferred, Prediction]]
    second_alone: Sequence[tuple[Inferred, Prediction]]


def race(first: Predictor, second: Predictor, examples: Sequence[Example], progress: Progress) -> Raced:
    """Answer rows with both in turn: some alone, then many together."""
    alone, many = some(examples, ALONE), list(unlabelled(some(examples, IN_BULK)))
    times: dict[Predictor, list[float]] = {first: [], second: []}
    bulk: dict[Predictor, list[float]] = {first: [], second: []}
    said: dict[Predictor, list[tuple[Inferred, Prediction]]] = {first: [], second: []}
    with progress.task("Timing", total=len(alone) + ROUNDS) as step:
        for predictor in (first, second):
            list(predictor.answers(many[:1]))  # what is made at first use
        for start in range(0, len(alone), BLOCK):
            block = list(unlabelled(alone[start : start + BLOCK]))
            for predictor in (first, second):
                for example in block:
                    started = time.perf_counter()
                    said[predictor] += predictor.answers([example])
                    times[predictor].append(time.perf_counter() - started)
            step(len(block))
        for _ in range(ROUNDS):
            for predictor in (first, second):
                started = time.perf_counter()
                for _answer in predictor.answers(many):
                    pass
                bulk[predictor].append(time.perf_counter() - started)
            step(1)
    speeds = [
        Speed(*(1000 * np.quantile(times[one], [0.5, 0.95])).tolist(), len(many) / statistics.median(bulk[one]))
        for one in (first, second)
    ]
    return Raced(*speeds, rows=alone, first_alone=said[first], second_alone=said[second])


def size(folder: Path) -> float:
    """MiB of all files under `folder`."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / MIB


def memory(bundle: Path, examples: Sequence[Example]) -> float | None:
    """MiB that a fresh process takes at most to answer some of these rows from `bundle`; None where it fails."""
    rows = some(examples, MEASURED)
    return peak(bundle, [{**dataclasses.asdict(row)["columns"], **row.inputs} for row in rows])
