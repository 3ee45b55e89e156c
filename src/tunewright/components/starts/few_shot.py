"""Draw the few rows of each label together before the head is fitted (as SetFit does, Tunstall et al. 2022)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from tunewright.core import linear
from tunewright.core.contracts import Beginning, Start, Task
from tunewright.core.described import check_descriptions, described
from tunewright.core.types import Example

PATH = (
    0.001,
)  # the head's inverse penalty: rows drawn together tell little of how a label spreads, so trust their means


@dataclass(frozen=True)
class FewShot(Start):
    """For some eight to some dozens of rows a label: every pair of rows of a batch teaches something."""

    steps: Annotated[int, Field(ge=1)] = (
        25  # that draw them together; after more (60, 100) fewer answers were right, the rows being known by heart
    )
    names: bool = True  # what each label is called is one row more of it, as a text; names without a letter are not
    descriptions: tuple[
        tuple[str, str], ...
    ] = ()  # pairs of a label and what it is about: a row more of it, in place of its name
    nearest_mean: bool = False  # the head then is each label's mean, in place of logistic regression on the features

    goes_on: ClassVar[bool] = False

    def suits(self, task: Task) -> bool:
        """See Start.suits: labels, from pooled features; what is described is a single text."""
        if self.descriptions and len(task.inputs) != 1:
            return False
        return task.scored and not (self.nearest_mean and task.multi_label)

    def check(self, labels: Sequence[str]) -> None:
        """See Start.check: descriptions are of labels."""
        check_descriptions(self.descriptions, labels)

    def head(self, given: Beginning) -> tuple[np.ndarray, np.ndarray] | None:
        """See Start.head."""
        named = self._named(given)
        given.gather(self.steps, named)
        rows = [*given.train, *named]
        features = given.features(rows)
        if self.nearest_mean:
            return linear.nearest_mean(features, [row.label for row in rows], given.labels)
        none = features[:0], []
        fit = linear.fit_for(given.task, features, rows, *none, given.labels, path=PATH)
        return fit.weight, fit.bias

    def _named(self, given: Beginning) -> list[Example]:
        """A row for each label that is described or whose name is a word. A pair of texts is not what a label is called."""
        if len(given.task.inputs) != 1:
            return []
        own = {label for label, _ in self.descriptions}
        if self.names:
            own |= {label for label in given.labels if any(sign.isalpha() for sign in label)}
        found = described(given.task, given.labels, self.descriptions)
        return [one for label, one in zip(given.labels, found, strict=True) if label in own]
