"""Fit a linear model on the frozen backbone's features: what pretraining gives without any tuning."""

from __future__ import annotations

from dataclasses import dataclass

from tunewright.core.contracts import Baseline, Given, Task
from tunewright.core.linear import predictions
from tunewright.core.types import Prediction


@dataclass(frozen=True)
class LinearProbe(Baseline):
    """The strongest of the cheap baselines as a rule. Its penalty is chosen on validation."""

    def suits(self, task: Task) -> bool:
        """See Baseline.suits: labels or a number, from pooled features."""
        return task.probe

    def predict(self, given: Given) -> list[Prediction]:
        """See Baseline.predict."""
        train, validation, test = (given.embed(part) for part in (given.train, given.validation, given.test))
        return predictions(given, train, validation, test)
