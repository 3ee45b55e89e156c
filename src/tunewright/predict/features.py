"""Texts as vectors: the features that a bundle which searches compares, of length 1. No torch where the runtime needs none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tunewright.core import ranking
from tunewright.core.errors import BundleError
from tunewright.core.types import Example
from tunewright.core.windows import weighted_mean
from tunewright.models.members import folders
from tunewright.predict.predictor import Predictor


class Embedded(NamedTuple):
    """A text's vector (hidden,) float32 of length 1, and how many of its tokens were seen and were not."""

    vector: np.ndarray
    tokens: int
    truncated: int


class Embedder:
    """`embedder(examples) -> [Embedded]`: queries and documents, told apart as the bundle's task does.

    A long text's windows are averaged by the tokens that each has for itself, as their logits are. Raises BundleError for
    a bundle that does not search or whose vectors are several, MachineError where its runtime gives no features.
    """

    def __init__(self, predictor: Predictor) -> None:
        bundle = predictor.bundle
        if not bundle.task.retrieves:
            raise BundleError("This model does not search: only one that was trained to compare texts has vectors.")
        if len(folders(bundle.folder)) > 1:
            raise BundleError("Several models vote in this bundle, each with vectors of its own. Take one of them.")
        self._predictor = predictor
        self._run = predictor.runtime.features(bundle.folder)

    def query(self, text: str) -> Example:
        """A text that asks."""
        return self._predictor.example(text)

    def document(self, text: str) -> Example:
        """A text that is found."""
        return ranking.as_examples([text], self._predictor.bundle.task.target)[0]

    def __call__(self, examples: Sequence[Example]) -> list[Embedded]:
        target = self._predictor.bundle.task.target
        places = [[], []]
        for place, example in enumerate(examples):
            places[target in example.inputs].append(place)
        found: dict[int, Embedded] = {}
        for own in filter(None, places):  # a task encodes examples of one kind at a time
            found.update(zip(own, self._embedded([examples[place] for place in own]), strict=True))
        return [found[place] for place in range(len(examples))]

    def _embedded(self, examples: Sequence[Example]) -> list[Embedded]:
        windows = self._predictor.bundle.task.encode(examples, self._predictor.processor, ())
        features = self._run([window.features for window in windows])
        mine: list[list[int]] = [[] for _ in examples]
        for place, window in enumerate(windows):
            mine[window.example].append(place)
        embedded = []
        for own in mine:
            parts = [windows[place] for place in own]
            vector = ranking.unit(weighted_mean(parts, [features[place] for place in own])).astype(np.float32)
            used = sum(part.tokens - part.shared for part in parts)
            embedded.append(Embedded(vector, used, sum(part.truncated for part in parts)))
        return embedded
