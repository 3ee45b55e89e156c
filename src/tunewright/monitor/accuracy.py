"""How many answers are right, estimated from scores alone.

Each score stands for the share of validation rows that were right with scores like it: average confidence, mended where
scores do not mean what they say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

BINS, ROWS_A_BIN = 15, 25  # of scores at most, with so many rows each at least
FEWEST = 50  # rows below which nothing is estimated


@dataclass(frozen=True)
class Estimate:
    """The estimated share of right answers, and bounds that hold the true one in 19 of 20 windows, if scores go on to mean
    what they meant. drop: how far it is below what is usual; p: how often by chance alone it is as far below."""

    value: float
    low: float
    high: float
    drop: float
    p: float

    def to_dict(self) -> dict[str, float]:
        """As plain data for JSON."""
        return asdict(self)


def learn(scores: np.ndarray, right: np.ndarray) -> dict[str, Any] | None:
    """What scores say of rightness, from rows whose answers were judged; None: too few rows."""
    if len(scores) < FEWEST:
        return None
    parts = np.array_split(np.argsort(scores, kind="stable"), min(BINS, len(scores) // ROWS_A_BIN))
    at = np.array([scores[part].mean() for part in parts])
    share = _rising([float(right[part].mean()) for part in parts], [len(part) for part in parts])
    expected = np.interp(scores, at, share)
    return {
        "rows": len(scores),
        "accuracy": float(right.mean()),
        "at": at,
        "share": share,
        "mean": float(expected.mean()),
        "spread": float(expected.var()),
    }


def sketch(scores: np.ndarray, usual: Mapping[str, Any]) -> np.ndarray:
    """Sums over rows: of how likely each is right, and of the squares of that."""
    expected = np.interp(scores, usual["at"], usual["share"])
    return np.array([expected.sum(), (expected**2).sum()])


def estimate(usual: Mapping[str, Any], sums: np.ndarray, rows: int) -> Estimate:
    """The estimate for `rows` rows with these sums."""
    value, square = (float(total) / rows for total in sums)
    drawn = max(0.0, value - square) / rows  # which of the rows are right, were they drawn by what is likely
    known = usual["accuracy"] * (1 - usual["accuracy"]) / usual["rows"]  # what scores mean, from so many rows
    half = 1.96 * math.sqrt(drawn + known)
    error = math.sqrt(max(0.0, square - value**2) / rows + usual["spread"] / usual["rows"])
    p = 0.5 * math.erfc((usual["mean"] - value) / max(error, 1e-9) / math.sqrt(2))
    return Estimate(value, max(0.0, value - half), min(1.0, value + half), usual["mean"] - value, p)


def _rising(values: list[float], weights: list[int]) -> np.ndarray:
    """The nearest values that do not fall (pool adjacent violators, Ayer et al. 1955)."""
    blocks: list[tuple[float, int, int]] = []
    for value, weight in zip(values, weights, strict=True):
        count = 1
        while blocks and blocks[-1][0] >= value:
            above, rows, length = blocks.pop()
            value, weight, count = (above * rows + value * weight) / (rows + weight), rows + weight, count + length
        blocks.append((value, weight, count))
    return np.repeat([value for value, _, _ in blocks], [count for _, _, count in blocks])
