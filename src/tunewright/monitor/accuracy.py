"""How many answers are right, estimated from scores alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

BINS = 15  # of scores, as many rows each
FEWEST = 50  # rows below which nothing is estimated


@dataclass(frozen=True)
class Estimate:
    """The estimated share of right answers, and bounds that hold the true one in 19 of 20 windows, if scores go on to mean
    what they meant. p: how often by chance alone it is as far below the usual."""

    value: float
    low: float
    high: float
    p: float

    def to_dict(self) -> dict[str, float]:
        """As plain data for JSON."""
        return asdict(self)


def learn(scores: np.ndarray, right: np.ndarray) -> dict[str, Any] | None:
    """What scores say of rightness, from rows whose answers were judged; None: too few rows."""
    if len(scores) < FEWEST:
        return None
    order = np.argsort(scores, kind="stable")
    parts = np.array_split(order, min(BINS, len(scores) // 25))
    at = np.array([scores[part].mean() for part in parts])
    share = _rising(np.array([right[part].mean() for part in parts]), np.array([len(part) for part in parts]))
    wrong = round(float((1 - right).sum()))
    threshold = float(np.sort(scores)[wrong]) if wrong < len(scores) else 1.1
    p = np.interp(scores, at, share)
    return {
        "expected": float(p.mean()),
        "spread": float(p.var()),
        "at": at,
        "share": share,
        "threshold": threshold,
        "rows": len(scores),
        "accuracy": float(right.mean()),
    }


def sketch(scores: np.ndarray, usual: Mapping[str, Any]) -> np.ndarray:
    """Sums over rows: what each is expected to be right, and what that varies by."""
    p = np.interp(scores, usual["at"], usual["share"])
    return np.array([p.sum(), (p * (1 - p)).sum(), (p * p).sum(), (scores >= usual["threshold"]).sum(), scores.sum()])


def estimate(usual: Mapping[str, Any], sums: np.ndarray, rows: int) -> Estimate:
    """The estimate for `rows` rows with these sums."""
    from scipy.stats import norm

    value = float(sums[0] / rows)
    drawn = float(sums[1]) / rows**2  # which of the rows are right
    known = usual["accuracy"] * (1 - usual["accuracy"]) / usual["rows"]  # what scores mean, from so many rows
    half = 1.96 * float(np.sqrt(drawn + known))
    spread = max(0.0, float(sums[2]) / rows - value**2)
    error = float(np.sqrt(spread / rows + usual["spread"] / usual["rows"])) or 1e-9
    p = float(norm.cdf((value - usual["expected"]) / error))
    return Estimate(value, max(0.0, value - half), min(1.0, value + half), p)


def _rising(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The nearest values that do not fall (pool adjacent violators)."""
    blocks: list[list[float]] = []
    for value, weight in zip(values, weights, strict=True):
        blocks.append([value, weight, 1])
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            (a, n, k), (b, m, l) = blocks[-2:]
            blocks[-2:] = [[(a * n + b * m) / (n + m), n + m, k + l]]
    return np.concatenate([np.full(int(count), value) for value, _, count in blocks])
