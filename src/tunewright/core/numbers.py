"""Measures of numbers against numbers: rank and linear correlation, and how far off they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tunewright.core.contracts import Measures
from tunewright.core.types import Label, Prediction


def measures(gold: Sequence[float], said: Sequence[float]) -> dict[str, float]:
    """ "n", "spearman" and "pearson" in [-1, 1] (0 where either side does not vary), "mae", "rmse".

    Spearman (1904) is Pearson's correlation of ranks, equal numbers sharing their mean rank.
    """
    off = np.asarray(said, dtype=np.float64) - np.asarray(gold, dtype=np.float64)
    if not len(off):
        return {"n": 0, **dict.fromkeys(("spearman", "pearson", "mae", "rmse"), 0.0)}
    once = np.ones((1, len(off)))
    return {
        "n": len(off),
        **{name: float(weighed(name, gold, said)(once)[0]) for name in ("spearman", "pearson")},
        "mae": float(np.mean(np.abs(off))),
        "rmse": float(np.sqrt(np.mean(off**2))),
    }


class NumberMeasures(Measures):
    """Of answers that are numbers."""

    def metrics(
        self, gold: Sequence[Label], predictions: Sequence[Prediction], labels: Sequence[str]
    ) -> dict[str, Any]:
        """See Measures.metrics and `measures`."""
        both = [(true, said.value) for true, said in zip(gold, predictions, strict=True) if true is not None]
        return measures([true for true, _ in both], [said for _, said in both])

    def quality(self, gold: Label, prediction: Prediction) -> float:
        """See Measures.quality: minus the distance."""
        return -abs(prediction.value - gold)

    def weighed(
        self, metric: str, gold: Sequence[Label], predictions: Sequence[Prediction], labels: Sequence[str]
    ) -> Callable[[np.ndarray], np.ndarray] | None:
        """See Measures.weighed."""
        return weighed(metric, gold, [said.value for said in predictions])


def weighed(metric: str, gold: Sequence[float], said: Sequence[float]) -> Callable[[np.ndarray], np.ndarray] | None:
    """ "spearman" or "pearson" as a function of how often each row counts: (resamples, rows) → (resamples,)."""
    if metric not in ("spearman", "pearson"):
        return None
    sides = [np.asarray(side, dtype=np.float64) for side in (gold, said)]
    order = [np.unique(side, return_inverse=True)[1] for side in sides]

    def measure(weights: np.ndarray) -> np.ndarray:
        if metric == "spearman":
            return _weighed_correlation(*(_ranks(places, weights) for places in order), weights)
        return _weighed_correlation(*sides, weights)

    return measure


def _ranks(places: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(resamples, rows) mean ranks, given each row's place (rows,) among the different values."""
    by_value = np.argsort(places, kind="stable")
    starts = np.searchsorted(places[by_value], np.arange(int(places.max()) + 1))
    inside = np.add.reduceat(weights[:, by_value], starts, axis=1)
    return (np.cumsum(inside, axis=1) - inside + (inside + 1) / 2)[:, places]


def _weighed_correlation(one: np.ndarray, other: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(resamples,) Pearson's correlation; one, other: (rows,) or (resamples, rows)."""
    total = np.sum(weights, axis=1, keepdims=True)
    one, other = (side - np.sum(weights * side, axis=1, keepdims=True) / total for side in (one, other))
    size = np.sqrt(np.sum(weights * one**2, axis=1) * np.sum(weights * other**2, axis=1))
    product = np.sum(weights * one * other, axis=1)
    return np.clip(np.divide(product, size, out=np.zeros_like(product), where=size > 1e-12), -1, 1)
