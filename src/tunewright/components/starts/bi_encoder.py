"""Begin a model that reads two texts at once with what the encoder knows of each by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from tunewright.core import alike, ranking
from tunewright.core.contracts import Beginning, Start, Task
from tunewright.core.linear import LinearFit, fit_for
from tunewright.core.types import Example, Note

PAIRS = 32  # a step that are made, so that hardly one is seen twice
CHUNK = 512  # texts whose neighbours are looked for at a time


@dataclass(frozen=True)
class BiEncoder(Start):
    """For pairs of texts and an encoder of sentences, which was made to read one at a time: the cosine of both texts'
    features is taught before any label (Trans-Encoder, Liu et al. 2022), of the rows and of other pairs of their texts.

    It is taught where that cosine, alone, answers more of the validation rows than the features of both texts read at
    once. The head then begins as a probe.
    """

    steps: Annotated[int, Field(ge=1)] = 1000  # in which the cosines are taught

    why: ClassVar[Note] = Note(
        "what the encoder knows of two texts, read one by one, is taught to it for both at once",
        "先让模型在同时读两段文本时学会编码器分别读它们时已知的相似度",
    )

    def suits(self, task: Task) -> bool:
        """See Start.suits: a label, or a number, for two texts and nothing beside them."""
        return task.probe and len(task.inputs) == 2 and not task.beside.columns

    def head(self, given: Beginning) -> tuple[np.ndarray, np.ndarray] | None:
        """See Start.head."""
        roles = given.task.inputs
        joint = _fit(given, given.features(given.train), given.features(given.validation))
        apart = _fit(given, *(alike.cosines(given.features, rows, roles) for rows in (given.train, given.validation)))
        if apart.score > joint.score:
            given.teach(self.steps, *_pairs(given, PAIRS * self.steps))
            joint = _fit(given, given.features(given.train), given.features(given.validation))
        return joint.weight, joint.bias


def _fit(given: Beginning, train: np.ndarray, validation: np.ndarray) -> LinearFit:
    return fit_for(given.task, train, given.train, validation, given.validation, given.labels)


def _pairs(given: Beginning, wanted: int) -> tuple[list[Example], np.ndarray]:
    """About `wanted` pairs of the rows' texts, without labels, and the cosine of each: those of the rows, and each text with
    others whose ranks among its neighbours are drawn evenly in their logarithm. Rows and texts are in an order by chance."""
    first, second = given.task.inputs
    named = {one.inputs[role]: one for role in (first, second) for one in alike.alone(given.train, role)}
    texts, places = list(named), {text: place for place, text in enumerate(named)}
    features = ranking.unit(given.features(list(named.values()))).astype(np.float32)
    chance = np.random.default_rng(0)
    of_rows = np.array([[places[row.inputs[role]] for role in (first, second)] for row in given.train])
    each = -(-max(wanted - len(of_rows), 0) // len(texts))
    found = np.concatenate([of_rows, _neighbours(features, each, chance)])
    found = chance.permutation(np.unique(np.sort(found, axis=1), axis=0))
    found = np.where(chance.random((len(found), 1)) < 0.5, found, found[:, ::-1])
    values = np.sum(features[found[:, 0]] * features[found[:, 1]], axis=1)
    pairs = [
        Example(f"texts {one} and {other}", {first: texts[one], second: texts[other]}) for one, other in found.tolist()
    ]
    return pairs, values


def _neighbours(features: np.ndarray, each: int, chance: np.random.Generator) -> np.ndarray:
    """(pairs, 2) every text with up to `each` others, by the logarithm of their ranks."""
    count = len(features) - 1
    if not each or not count:
        return np.zeros((0, 2), dtype=np.int64)
    found = []
    for begin in range(0, len(features), CHUNK):
        near = features[begin : begin + CHUNK] @ features.T
        near[np.arange(len(near)), np.arange(begin, begin + len(near))] = -2  # itself comes last
        for place, row in enumerate(near, start=begin):
            ranks = np.unique(np.minimum((count + 1) ** chance.random(each), count).astype(np.int64) - 1)
            others = np.argpartition(-row, ranks)[ranks]
            found.append(np.stack([np.full(len(others), place), others], axis=1))
    return np.concatenate(found)
