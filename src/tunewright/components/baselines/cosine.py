"""Compare two texts by the cosine of the backbone as it is, and fit a linear model on that number alone."""

from __future__ import annotations

from dataclasses import dataclass

from tunewright.core.alike import cosines
from tunewright.core.contracts import Baseline, Given, Task
from tunewright.core.linear import predictions
from tunewright.core.types import Prediction


@dataclass(frozen=True)
class Cosine(Baseline):
    """What a pretrained encoder of sentences knows of likeness: each text has features of its own, and nothing is tuned."""

    def suits(self, task: Task) -> bool:
        """See Baseline.suits: one label, or a number, for two texts."""
        return task.probe and len(task.inputs) == 2

    def predict(self, given: Given) -> list[Prediction]:
        """See Baseline.predict."""
        parts = (given.train, given.validation, given.test)
        return predictions(given, *(cosines(given.embed, part, given.task.inputs) for part in parts))
