"""Paired bootstrap intervals, deterministic by seed, vectorised and at bounded memory. numpy only.

Rows are resampled with replacement; both models are measured on the same resampled rows (Efron and Tibshirani 1993,
percentile interval; for paired comparison of classifiers: Berg-Kirkpatrick et al. 2012). Rows with equal outcome are
one multinomial cell, so resampling 100 000 rows of accuracy costs no more than resampling four.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tunewright.core.measures import COUNT_METRICS, count, label_f1

Metric = str | Callable[[Any, Any], float]
MOST_CELLS = 4_000_000  # numbers in one chunk of resampled rows: about 32 MB


@dataclass(frozen=True)
class Interval:
    """A measured value and the bounds that hold the true one with the stated confidence."""

    value: float
    low: float
    high: float
    metric: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As plain data for JSON."""
        return asdict(self)


def difference(
    gold: Any,
    a: Any,
    b: Any,
    metric: Metric,
    labels: Sequence[str] | int,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """metric(b) - metric(a) on the same rows, with its paired bootstrap interval. Arguments as for `resample`."""
    values = resample(gold, (a, b), metric, labels, resamples=resamples, seed=seed)
    return summarise(values[:, 1] - values[:, 0], metric, confidence)


def interval(
    gold: Any,
    predicted: Any,
    metric: Metric,
    labels: Sequence[str] | int,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """metric(predicted) with its bootstrap interval. Arguments as for `resample`."""
    return summarise(
        resample(gold, (predicted,), metric, labels, resamples=resamples, seed=seed)[:, 0], metric, confidence
    )


def resample(
    gold: Any,
    models: Sequence[Any],
    metric: Metric,
    labels: Sequence[str] | int,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> np.ndarray:
    """Each model's metric on all rows, then on every resample, the same rows for all models: (1 + resamples, models).

    gold and each of `models`: label indices (rows,), or zeros and ones (rows, labels), for a metric that is named in
    measures.COUNT_METRICS; any sequences of rows for a metric that is a function of (gold rows, predicted rows).
    labels: their names, or how many there are.
    """
    if len(gold) == 0:
        return np.zeros((1 + resamples, len(models)))
    rng = np.random.default_rng(seed)
    if callable(metric):
        return _resample_rows(gold, models, metric, resamples, rng)
    outputs = labels if isinstance(labels, int) else len(labels)
    measure = COUNT_METRICS[metric]
    gold, models, amounts = _cells(np.asarray(gold), [np.asarray(model) for model in models], metric)
    widest = max(int(np.sum(part > 0)) if part.ndim > 1 else len(part) for part in (gold, *models))
    return np.concatenate(
        [
            np.stack([measure(count(gold, model, outputs, weights)) for model in models], axis=1)
            for weights in _weights(amounts, resamples, max(widest, outputs), rng)
        ]
    )


def resample_label_f1(
    gold: np.ndarray, models: Sequence[np.ndarray], labels: int, *, resamples: int = 2000, seed: int = 0
) -> np.ndarray:
    """As `resample`, the F1 of every label by itself: (1 + resamples, models, labels)."""
    gold, models, amounts = _cells(np.asarray(gold), [np.asarray(model) for model in models], "")
    rng = np.random.default_rng(seed)
    return np.concatenate(
        [
            np.stack([label_f1(count(gold, model, labels, weights)) for model in models], axis=1)
            for weights in _weights(amounts, resamples, max(len(amounts), labels), rng)
        ]
    )


def resample_weighed(
    measures: Sequence[Callable[[np.ndarray], np.ndarray]], rows: int, *, resamples: int = 2000, seed: int = 0
) -> np.ndarray:
    """As `resample`, for measures that are functions of how often each row counts (see Task.weighed)."""
    weights = _weights(np.ones(rows, dtype=np.int64), resamples, rows, np.random.default_rng(seed))
    return np.concatenate([np.stack([measure(part) for measure in measures], axis=1) for part in weights])


def summarise(values: np.ndarray, metric: Metric = "", confidence: float = 0.95) -> Interval:
    """The percentile interval of values (1 + resamples,) whose first entry is measured on the rows as they are."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(values[1:], [tail, 1 - tail]) if len(values) > 1 else (values[0], values[0])
    name = metric if isinstance(metric, str) else getattr(metric, "__name__", "")
    return Interval(float(values[0]), float(low), float(high), name)


def least_disagreements(confidence: float = 0.95) -> int:
    """How many rows two models must differ on before any evidence at this confidence is possible.

    If they are equally good, each such row is a fair coin: k rows that all favour one model have the two-sided
    probability 2 · ½ᵏ (sign test). A bootstrap interval of fewer rows can exclude zero by accident alone.
    """
    return int(np.ceil(np.log2(2 / (1 - confidence)) - 1e-9))


def _cells(gold: np.ndarray, models: list[np.ndarray], metric: str) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """Distinct outcomes of a row (gold, each model's answer) and how many rows have each."""
    if metric == "accuracy":  # only right or wrong matters: gold is 1, and an answer is 1 when it is right
        models = [_equal(gold, model).astype(np.int64) for model in models]
        gold = np.ones(len(gold), dtype=np.int64)
    width = 1 if gold.ndim == 1 else gold.shape[1]
    rows = np.concatenate([part.reshape(len(gold), width) for part in (gold, *models)], axis=1).astype(np.int32)
    distinct, amounts = np.unique(rows, axis=0, return_counts=True)
    parts = [distinct[:, start : start + width] for start in range(0, distinct.shape[1], width)]
    if gold.ndim == 1:
        parts = [part[:, 0] for part in parts]
    return parts[0], parts[1:], amounts


def _equal(gold: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    return gold == predicted if gold.ndim == 1 else np.all((gold > 0.5) == (predicted > 0.5), axis=1)


def _weights(amounts: np.ndarray, resamples: int, width: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """How often each cell occurs: first in the rows as they are, then in resamples; `width` numbers stand for each."""
    yield amounts[None, :].astype(float)
    rows = int(np.sum(amounts))
    chunk = max(1, MOST_CELLS // width)
    for start in range(0, resamples, chunk):
        yield rng.multinomial(rows, amounts / rows, size=min(chunk, resamples - start)).astype(float)


def _resample_rows(
    gold: Sequence[Any], models: Sequence[Sequence[Any]], metric: Callable, resamples: int, rng: np.random.Generator
) -> np.ndarray:
    """The same for any function of (gold rows, predicted rows): one call for each model and resample."""
    rows = len(gold)
    draws = [np.arange(rows), *(rng.integers(rows, size=rows) for _ in range(resamples))]
    return np.array(
        [[metric(_take(gold, draw), _take(model, draw)) for model in models] for draw in draws], dtype=float
    )


def _take(values: Any, rows: np.ndarray) -> Any:
    return values[rows] if isinstance(values, np.ndarray) else [values[row] for row in rows]
