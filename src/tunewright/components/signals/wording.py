"""Which words texts are made of: their tokens, on random axes (random indexing, Sahlgren 2005)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tunewright.core.contracts import Traffic
from tunewright.core.signals import VectorSignal
from tunewright.core.types import Note

AXES = 64  # a hash has so many bits


@dataclass(frozen=True)
class Wording(VectorSignal):
    """Means of random features of a Gaussian kernel are compared."""

    title: ClassVar[Note] = Note("wording of texts", "文本用词")
    of_texts: ClassVar[bool] = True

    def vectors(self, traffic: Traffic) -> np.ndarray:
        """Each row's tokens, every one a random vector that its number alone decides, added up to a length of 1: (rows, AXES)."""
        found = np.zeros((len(traffic), AXES))
        for row, tokens in enumerate(traffic.tokens):
            found[row] = _axes(tokens).sum(axis=0)
        return found / np.maximum(1e-9, np.linalg.norm(found, axis=1, keepdims=True))


def _axes(tokens: np.ndarray) -> np.ndarray:
    """A sign on every axis for each token, (tokens, AXES): the bits of a hash (splitmix64, Steele et al. 2014)."""
    mixed = tokens.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    bits = (mixed[:, None] >> np.arange(AXES, dtype=np.uint64)) & np.uint64(1)
    return bits * 2.0 - 1.0
