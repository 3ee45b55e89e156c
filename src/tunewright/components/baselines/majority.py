"""Give every row the same answer: the most frequent label of the training rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tunewright.core.contracts import Baseline, Given
from tunewright.core.measures import encode_labels
from tunewright.core.types import Policy, Prediction

FLOOR = 1e-9  # a label without training rows is still not impossible


@dataclass(frozen=True)
class Majority(Baseline):
    """Scores are the labels' shares of the training rows. Multi-label: the constant set of best micro F1."""

    def predict(self, given: Given) -> list[Prediction]:
        """See Baseline.predict."""
        labels = given.labels
        gold = encode_labels([example.label for example in given.train], labels)
        if gold.ndim == 2:
            share = np.clip(np.mean(gold, axis=0, dtype=np.float64), FLOOR, 1 - FLOOR)
            logits, policy = np.log(share / (1 - share)), Policy(_best_set(gold, labels))
        else:
            share = np.maximum(np.bincount(gold, minlength=len(labels)) / max(len(gold), 1), FLOOR)
            logits, policy = np.log(share), Policy()
        return [given.task.decode(logits, (), labels, policy)] * len(given.test)


def _best_set(gold: np.ndarray, labels: Sequence[str]) -> dict[str, float]:
    """Thresholds that let through the most frequent labels, as many as give the best micro F1 on the training rows."""
    amounts = np.sum(gold, axis=0)
    order = np.argsort(-amounts, kind="stable")
    said = np.arange(1, len(labels) + 1) * len(gold)
    best = int(np.argmax(2 * np.cumsum(amounts[order]) / (said + np.sum(amounts)))) + 1
    return {labels[index]: 0.0 if place < best else 1.0 for place, index in enumerate(order)}
