"""Fit logistic regression on the frozen backbone's features: what pretraining gives without any tuning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tunewright.core.contracts import Baseline, Task
from tunewright.core.linear import answer, fit_for
from tunewright.core.types import Example, Prediction


@dataclass(frozen=True)
class LinearProbe(Baseline):
    """The strongest of the cheap baselines as a rule. Its penalty is chosen on validation."""

    def suits(self, task: Task) -> bool:
        """See Baseline.suits: labels or a number, from pooled features."""
        return task.probe

    def predict(
        self,
        task: Task,
        train: Sequence[Example],
        validation: Sequence[Example],
        test: Sequence[Example],
        labels: Sequence[str],
        embed: Callable[[Sequence[Example]], np.ndarray],
        seed: int,
    ) -> list[Prediction]:
        """See Baseline.predict."""
        train = [example for example in train if example.label is not None]
        validation = [example for example in validation if example.label is not None]
        held_out = embed(validation)
        fit = fit_for(task, embed(train), train, held_out, validation, labels)
        return answer(task, fit, embed(test), labels, held_out, validation)
