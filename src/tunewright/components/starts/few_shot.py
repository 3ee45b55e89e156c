"""Draw the few rows of each label together before the head is fitted (as SetFit does, Tunstall et al. 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from tunewright.core import linear
from tunewright.core.contracts import Beginning, Start, Task


@dataclass(frozen=True)
class FewShot(Start):
    """For some eight to some dozens of rows a label: every pair of rows of a batch teaches something."""

    steps: Annotated[int, Field(ge=1)] = 100  # that draw them together; few rows come back many times
    nearest_mean: bool = False  # the head then is each label's mean, in place of logistic regression on the features

    goes_on: ClassVar[bool] = False

    def suits(self, task: Task) -> bool:
        """See Start.suits: labels, from pooled features."""
        return task.scored and not (self.nearest_mean and task.multi_label)

    def head(self, given: Beginning) -> tuple[np.ndarray, np.ndarray] | None:
        """See Start.head."""
        given.gather(self.steps)
        features, labels = given.features(given.train), [row.label for row in given.train]
        if self.nearest_mean:
            return linear.nearest_mean(features, labels, given.labels)
        none = features[:0], []
        fit = linear.fit_for(given.task, features, given.train, *none, given.labels)
        return fit.weight, fit.bias
