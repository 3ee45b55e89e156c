"""Measures of numbers against numbers: rank and linear correlation, and how far off they are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def measures(gold: Sequence[float], said: Sequence[float]) -> dict[str, float]:
    """ "n", "spearman" and "pearson" in [-1, 1] (0 where either side does not vary), "mae", "rmse".

    Spearman (1904) is Pearson's correlation of ranks, equal numbers sharing their mean rank.
    """
    from scipy.stats import rankdata

    true, found = np.asarray(gold, dtype=np.float64), np.asarray(said, dtype=np.float64)
    off = found - true
    return {
        "n": len(true),
        "spearman": correlation(rankdata(true), rankdata(found)),
        "pearson": correlation(true, found),
        "mae": float(np.mean(np.abs(off))) if len(off) else 0.0,
        "rmse": float(np.sqrt(np.mean(off**2))) if len(off) else 0.0,
    }


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's correlation of two (rows,)."""
    if len(one) < 2:
        return 0.0
    one, other = one - np.mean(one), other - np.mean(other)
    size = float(np.sqrt(np.sum(one**2) * np.sum(other**2)))
    return float(np.clip(np.sum(one * other) / size, -1, 1)) if size > 1e-12 else 0.0
