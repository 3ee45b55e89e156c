"""Compare two texts by the cosine of the backbone as it is, and fit a linear model on that number alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tunewright.core import ranking
from tunewright.core.contracts import Baseline, Given, Task
from tunewright.core.linear import predictions
from tunewright.core.types import Example, Prediction


@dataclass(frozen=True)
class Cosine(Baseline):
    """What a pretrained encoder of sentences knows of likeness: each text has features of its own, and nothing is tuned."""

    def suits(self, task: Task) -> bool:
        """See Baseline.suits: one label, or a number, for two texts."""
        return task.probe and len(task.inputs) == 2

    def predict(self, given: Given) -> list[Prediction]:
        """See Baseline.predict."""
        return predictions(given, *(_cosines(given, part) for part in (given.train, given.validation, given.test)))


def _cosines(given: Given, examples: Sequence[Example]) -> np.ndarray:
    """(examples, 1); 0 where a text has no features."""
    if not examples:
        return np.zeros((0, 1), dtype=np.float32)
    first, second = (ranking.unit(given.embed(_alone(examples, role))) for role in given.task.inputs)
    return np.sum(first * second, axis=1, keepdims=True, dtype=np.float32)


def _alone(examples: Sequence[Example], role: str) -> list[Example]:
    """Each example with that text alone."""
    return [Example(f"{example.id} {role}", {role: example.inputs[role]}) for example in examples]
