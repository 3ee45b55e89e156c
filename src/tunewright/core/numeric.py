"""Probabilities from logits, without overflow, and numbers evenly apart. numpy only."""

from __future__ import annotations

import numpy as np


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities along the last axis."""
    shifted = np.exp(logits - np.max(logits, axis=-1, keepdims=True))
    return shifted / np.sum(shifted, axis=-1, keepdims=True)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Logarithms of the probabilities along the last axis."""
    shifted = logits - np.max(logits, axis=-1, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=-1, keepdims=True))


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """The probability of yes, of each logit on its own."""
    return 0.5 * (1 + np.tanh(0.5 * logits))


def spread(size: int, most: int) -> np.ndarray:
    """At most `most` numbers below `size`, evenly apart, the first and the last among them."""
    return np.unique(np.linspace(0, size - 1, min(most, size)).round().astype(np.int64))


def negative_log_likelihood(logits: np.ndarray, gold: np.ndarray) -> np.ndarray:
    """Loss of each row (rows,): softmax for gold indices (rows,), summed sigmoids for zeros and ones (rows, labels)."""
    if gold.ndim == 1:
        return -log_softmax(logits)[np.arange(len(gold)), gold]
    return np.sum(np.logaddexp(0, logits) - gold * logits, axis=-1)
