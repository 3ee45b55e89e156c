"""Answer with the rarest words that stand nearest to the question's words in the context: no network at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field

from tunewright.core import answers, lexical, spans
from tunewright.core.contracts import Baseline, Given, Task
from tunewright.core.types import Answer, Example, Prediction

LENGTHS = (1, 2, 3, 4, 6, 9, 14, 20)  # units of an answer that are tried
TRIED = 1000  # training rows that they are tried on


class _Weighed(NamedTuple):
    """A context's units: their characters (units, 2), what each is worth as a part of the answer, and whether it may be
    one; known: the share of them that the question has too."""

    context: str
    bounds: np.ndarray
    worth: np.ndarray
    free: np.ndarray
    known: float


@dataclass(frozen=True)
class NearWords(Baseline):
    """A stretch without words of the question, weighed by its own rarity and by that of the question's words around it
    (after the sliding window of Richardson et al. 2013). Its length is what is best on training rows."""

    fading: Annotated[float, Field(gt=0, lt=1)] = (
        0.85  # what a word of the question counts less with each unit of distance: it acts over about six
    )

    def suits(self, task: Task) -> bool:
        """See Baseline.suits: tasks whose answers stand in a context."""
        return isinstance(task.measures, answers.AnswerMeasures)

    def predict(self, given: Given) -> list[Prediction]:
        """See Baseline.predict."""
        texts = dict.fromkeys(str(text) for example in given.train for text in example.inputs.values())
        rare = lexical.rarity(texts)
        quality = given.task.measures.quality
        tried = [(example.label, self._weighed(example, rare)) for example in given.train[:TRIED]]
        length = max(LENGTHS, key=lambda most: sum(quality(gold, _answer(weighed, most)) for gold, weighed in tried))
        return [_answer(self._weighed(example, rare), length) for example in given.test]

    def _weighed(self, example: Example, rare: Mapping[str, float]) -> _Weighed:
        question, context = (str(example.inputs[role]) for role in ("question", "context"))
        pieces, asked = lexical.units(context), set(lexical.units(question))
        unknown = max(rare.values(), default=1.0)
        weights = np.array([rare.get(piece, unknown) for piece in pieces])
        known = np.array([piece in asked for piece in pieces], dtype=bool)
        free = ~known & np.array([piece[0].isalnum() for piece in pieces], dtype=bool)
        worth = np.where(free, weights * self._around(np.where(known, weights, 0.0)), 0.0)
        return _Weighed(context, spans.bounds(context), worth, free, float(known.mean()) if pieces else 0.0)

    def _around(self, weights: np.ndarray) -> np.ndarray:
        """(units,) the sum of all weights, each less with its distance."""
        total = np.zeros(len(weights))
        for side in (slice(None), slice(None, None, -1)):
            held = 0.0
            for index in range(len(weights))[side]:
                held = held * self.fading + weights[index]
                total[index] += held
        return total - weights


def _answer(weighed: _Weighed, length: int) -> Prediction:
    """The stretch of at most `length` free units that is worth most."""
    if not len(weighed.worth):
        return Prediction(None, 0.0)
    sums = np.append(0.0, np.cumsum(weighed.worth))
    ends = np.minimum(np.arange(len(weighed.worth)) + length, _run_ends(weighed.free))
    start = int(np.argmax(sums[ends] - sums[:-1]))
    last = max(int(ends[start]), start + 1) - 1
    place = int(weighed.bounds[start, 0]), int(weighed.bounds[last, 1])
    return Prediction(Answer(weighed.context[slice(*place)], *place), weighed.known)


def _run_ends(free: np.ndarray) -> np.ndarray:
    """(units,) where the run of free units that each stands in ends; itself for others."""
    stops = np.where(free, len(free), np.arange(len(free)))
    return np.minimum.accumulate(stops[::-1])[::-1]
