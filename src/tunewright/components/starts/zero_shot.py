"""Begin with what the labels are called: a text gets the label whose name the backbone finds most like it. No rows needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from tunewright.core import linear
from tunewright.core.contracts import Beginning, Start, Task
from tunewright.core.described import check_descriptions, described


@dataclass(frozen=True)
class ZeroShot(Start):
    """The rows that train are not looked at; those of validation calibrate the scores.

    For backbones whose features are made for likeness, as the packaged ones are.
    """

    descriptions: tuple[
        tuple[str, str], ...
    ] = ()  # pairs of a label and what it is about, in words as they stand in texts; the others are described by their names
    template: Annotated[str, Field(pattern=r"\{\}")] = "{}"  # around each description, as "This text is about {}."

    goes_on: ClassVar[bool] = False

    def suits(self, task: Task) -> bool:
        """See Start.suits: labels for a single text."""
        return task.scored and not task.multi_label and len(task.inputs) == 1

    def check(self, labels: Sequence[str]) -> None:
        """See Start.check: descriptions are of labels."""
        check_descriptions(self.descriptions, labels)

    def head(self, given: Beginning) -> tuple[np.ndarray, np.ndarray] | None:
        """See Start.head."""
        named = described(given.task, given.labels, self.descriptions, self.template)
        return linear.nearest_mean(given.features(named), given.labels, given.labels)
