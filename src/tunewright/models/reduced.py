"""Vectors in fewer numbers, and shorter where they tell little. numpy only."""

from __future__ import annotations

import numpy as np

RARE = 1e-3  # Arora et al. 2017: a piece of this share of all pieces counts half


def directions(vectors: np.ndarray, counts: np.ndarray, width: int) -> np.ndarray:
    """Vectors (rows, hidden) in the `width` directions in which those that occur differ most, of mean square 1.

    counts (rows,): how often each occurs; where none does, all count alike.
    """
    weights = counts if counts.any() else np.ones(len(vectors))
    weights = np.sqrt(weights) / np.sqrt(weights).sum()  # the most frequent pieces shall not be all that counts
    centred = vectors - weights @ vectors
    axes = np.linalg.eigh((centred * weights[:, None]).T @ centred).eigenvectors[:, ::-1][:, :width]
    found = centred @ axes
    return (found / np.sqrt(np.square(found).mean() or 1.0)).astype(np.float32)


def less_frequent(vectors: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Each vector by a / (a + its share of all pieces) (Arora et al. 2017, equation 7)."""
    share = counts / max(1, counts.sum())
    return vectors * (RARE / (RARE + share)).astype(np.float32)[:, None]
