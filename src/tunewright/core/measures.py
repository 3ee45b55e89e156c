"""Measures of predictions against gold labels: accuracy, F1, MCC, per class, confusion, calibration. numpy only.

Single-label gold and predictions are label indices (rows,); multi-label ones are zeros and ones (rows, labels).
Every count-based measure is a function of `Counts`, so the same lines serve one evaluation and thousands of resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunewright.core.errors import LabelError, listing, nearest

BINS = 15  # of the calibration measures, as in Guo et al. 2017
MOST_LABELS = 500  # a full confusion table of more labels would be larger than the rest of a report; pairs are kept
MOST_PAIRS = 50  # confusion pairs, most frequent first


@dataclass(frozen=True)
class Counts:
    """What count-based measures need. Leading axes (…) are resamples, or absent for plain rows.

    hits, gold, predicted: (…, labels) how often each label was right, true and said; exact, rows: (…) rows that are
    entirely right, and all rows.
    """

    hits: np.ndarray
    gold: np.ndarray
    predicted: np.ndarray
    exact: np.ndarray
    rows: np.ndarray


def accuracy(counts: Counts) -> np.ndarray:
    """Share of rows that are entirely right; for several labels a row this is the subset accuracy."""
    return _ratio(counts.exact, counts.rows)


def macro_f1(counts: Counts) -> np.ndarray:
    """Mean F1 of the labels that are true or said at least once, as scikit-learn has it by default."""
    occurring = (counts.gold + counts.predicted) > 0
    return _ratio(np.sum(label_f1(counts), axis=-1), np.sum(occurring, axis=-1))


def micro_f1(counts: Counts) -> np.ndarray:
    """F1 over all label decisions together; equals accuracy when each row has one label."""
    return _ratio(2 * np.sum(counts.hits, axis=-1), np.sum(counts.gold + counts.predicted, axis=-1))


def mcc(counts: Counts) -> np.ndarray:
    """Matthews correlation of single-label answers, for any number of classes (Gorodkin 2004); 0 when undefined."""
    rows = counts.rows.astype(float)
    covariance = np.sum(counts.hits, axis=-1) * rows - np.sum(counts.gold * counts.predicted, axis=-1)
    spread_gold = rows**2 - np.sum(counts.gold**2, axis=-1)
    spread_predicted = rows**2 - np.sum(counts.predicted**2, axis=-1)
    return _ratio(covariance, np.sqrt(spread_gold * spread_predicted))


def label_f1(counts: Counts) -> np.ndarray:
    """F1 of every label (…, labels); 0 where a label is neither true nor said."""
    return _ratio(2 * counts.hits, counts.gold + counts.predicted)


# Measures that resample quickly: a function of counts alone. Larger is better in each.
COUNT_METRICS: dict[str, Callable[[Counts], np.ndarray]] = {
    "accuracy": accuracy,
    "macro_f1": macro_f1,
    "micro_f1": micro_f1,
    "mcc": mcc,
}


def encode_labels(values: Sequence[Any], labels: Sequence[str], where: Sequence[str] | None = None) -> np.ndarray:
    """Label names as indices (rows,) int64, or tuples of names as zeros and ones (rows, labels) float32.

    where: each row's "file:line", for the message. Raises LabelError for a name that is not among `labels`.
    """
    position = {label: index for index, label in enumerate(labels)}

    def index(row: int, label: str) -> int:
        try:
            return position[label]
        except KeyError:
            place = where[row] if where is not None else f"Row {row + 1}"
            raise LabelError(
                f"{place}: label {label!r} is not among the labels {listing(labels)}.{nearest(label, labels)} "
                "Fix the row, or add the label under data.labels."
            ) from None

    if not any(isinstance(value, (tuple, list)) for value in values):
        return np.array([index(row, value) for row, value in enumerate(values)], dtype=np.int64)
    encoded = np.zeros((len(values), len(labels)), dtype=np.float32)
    for row, names in enumerate(values):
        encoded[row, [index(row, name) for name in names]] = 1.0
    return encoded


def count(gold: np.ndarray, predicted: np.ndarray, labels: int, weights: np.ndarray | None = None) -> Counts:
    """Counts of `predicted` against `gold`, both (rows,) indices or both (rows, labels) zeros and ones.

    weights: (resamples, rows), how often each resample holds each row; None counts every row once.
    """
    gold, predicted = np.asarray(gold), np.asarray(predicted)
    if gold.ndim == 1:
        every = np.arange(len(gold))
        exact = gold == predicted
        pairs = [(every[exact], gold[exact]), (every, gold), (every, predicted)]
    else:
        said, true = predicted > 0.5, gold > 0.5
        exact = np.all(said == true, axis=1)
        pairs = [np.nonzero(said & true), np.nonzero(true), np.nonzero(said)]
    if weights is None:
        sums = [np.bincount(label, minlength=labels) for _, label in pairs]
        return Counts(*sums, exact=np.sum(exact), rows=np.asarray(len(gold)))
    sums = [_by_label(weights, rows, label, labels) for rows, label in pairs]
    return Counts(*sums, exact=np.sum(weights[:, exact], axis=1), rows=np.sum(weights, axis=1))


def classification(
    gold: np.ndarray, predicted: np.ndarray, labels: Sequence[str], scores: np.ndarray | None = None
) -> dict[str, Any]:
    """All measures of single-label answers.

    gold, predicted: (rows,) label indices; scores: (rows, labels) probabilities, or (rows,) those of the answers.
    Returns "n", "accuracy", "macro_f1", "micro_f1", "mcc", "per_class" {label: {precision, recall, f1, support}},
    "confusion" (gold × predicted; None above 500 labels), "confusion_pairs" [{gold, predicted, n}], and with scores
    "ece" and "reliability" [{low, high, n, confidence, accuracy}].
    """
    gold, predicted = np.asarray(gold, dtype=np.int64), np.asarray(predicted, dtype=np.int64)
    counts = count(gold, predicted, len(labels))
    found = {"n": len(gold), **{name: float(metric(counts)) for name, metric in COUNT_METRICS.items()}}
    found["per_class"] = per_class(counts, labels)
    found.update(_confusion(gold, predicted, labels))
    if scores is not None:
        scores = np.asarray(scores, dtype=float)
        confidence = scores if scores.ndim == 1 else scores[np.arange(len(gold)), predicted]
        found.update(_calibration(confidence, gold == predicted))
    return found


def multi_label(
    gold: np.ndarray, predicted: np.ndarray, labels: Sequence[str], scores: np.ndarray | None = None
) -> dict[str, Any]:
    """All measures of multi-label answers.

    gold, predicted: (rows, labels) zeros and ones; scores: (rows, labels) probabilities.
    Returns "n", "accuracy" (of the whole set), "macro_f1", "micro_f1", "per_class", and with scores "ece" and
    "reliability" over every yes-or-no decision.
    """
    counts = count(gold, predicted, len(labels))
    found = {"n": len(gold)}
    found.update({name: float(COUNT_METRICS[name](counts)) for name in ("accuracy", "macro_f1", "micro_f1")})
    found["per_class"] = per_class(counts, labels)
    if scores is not None:
        found.update(_calibration(np.ravel(scores), np.ravel(np.asarray(gold) > 0.5)))
    return found


def per_class(counts: Counts, labels: Sequence[str]) -> dict[str, dict[str, float]]:
    """Label → precision, recall, f1 (0 where undefined) and support (rows that truly have it)."""
    precision, recall = _ratio(counts.hits, counts.predicted), _ratio(counts.hits, counts.gold)
    f1 = label_f1(counts)
    return {
        label: {
            "precision": float(precision[index]),
            "recall": float(recall[index]),
            "f1": float(f1[index]),
            "support": int(counts.gold[index]),
        }
        for index, label in enumerate(labels)
    }


def reliability(confidence: np.ndarray, correct: np.ndarray, bins: int = BINS) -> list[dict[str, float]]:
    """Equal-width bins (low, high] of confidence with the accuracy in each; empty bins are left out."""
    confidence, correct = np.asarray(confidence, dtype=float), np.asarray(correct, dtype=float)
    edges = np.linspace(0.0, 1.0, bins + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    rows = np.bincount(place, minlength=bins)
    stated = np.bincount(place, weights=confidence, minlength=bins)
    right = np.bincount(place, weights=correct, minlength=bins)
    return [
        {
            "low": float(edges[index]),
            "high": float(edges[index + 1]),
            "n": int(rows[index]),
            "confidence": float(stated[index] / rows[index]),
            "accuracy": float(right[index] / rows[index]),
        }
        for index in np.flatnonzero(rows)
    ]


def ece(confidence: np.ndarray, correct: np.ndarray, bins: int = BINS) -> float:
    """Expected calibration error: mean distance of confidence from accuracy over the bins, weighted by their rows."""
    return _ece(reliability(confidence, correct, bins))


def _ece(filled: list[dict[str, float]]) -> float:
    rows = sum(entry["n"] for entry in filled)
    return sum(entry["n"] * abs(entry["accuracy"] - entry["confidence"]) for entry in filled) / max(rows, 1)


def _calibration(confidence: np.ndarray, correct: np.ndarray) -> dict[str, Any]:
    filled = reliability(confidence, correct)
    return {"ece": _ece(filled), "reliability": filled}


def _confusion(gold: np.ndarray, predicted: np.ndarray, labels: Sequence[str]) -> dict[str, Any]:
    cells, amounts = np.unique(gold * len(labels) + predicted, return_counts=True)
    rows, columns = np.divmod(cells, max(len(labels), 1))
    wrong = sorted((-n, row, column) for n, row, column in zip(amounts, rows, columns, strict=True) if row != column)
    pairs = [{"gold": labels[row], "predicted": labels[column], "n": int(-n)} for n, row, column in wrong[:MOST_PAIRS]]
    table = None
    if len(labels) <= MOST_LABELS:
        full = np.zeros((len(labels), len(labels)), dtype=np.int64)
        full[rows, columns] = amounts
        table = full.tolist()
    return {"confusion": table, "confusion_pairs": pairs}


def _by_label(weights: np.ndarray, rows: np.ndarray, label: np.ndarray, labels: int) -> np.ndarray:
    """Sum the columns `rows` of `weights` (resamples, rows) by their label: (resamples, labels)."""
    sums = np.zeros((len(weights), labels))
    if len(rows):
        order = np.argsort(label, kind="stable")
        present, starts = np.unique(label[order], return_index=True)
        sums[:, present] = np.add.reduceat(weights[:, rows[order]], starts, axis=1)
    return sums


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, and 0 where there is nothing to divide by."""
    part, whole = np.asarray(part, dtype=float), np.asarray(whole, dtype=float)
    return np.divide(part, whole, out=np.zeros(np.broadcast(part, whole).shape), where=whole > 0)
