"""Begin with what the labels are called: a text gets the label whose name the backbone finds most like it. No rows needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from tunewright.core import linear
from tunewright.core.contracts import Beginning, Start, Task
from tunewright.core.errors import RecipeError, listing, nearest
from tunewright.core.types import Example


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

    def head(self, given: Beginning) -> tuple[np.ndarray, np.ndarray] | None:
        """See Start.head."""
        described = dict(self.descriptions)
        if unknown := [label for label in described if label not in given.labels]:
            raise RecipeError(
                f"train.start.descriptions: there is no label {unknown[0]!r}.{nearest(unknown[0], given.labels)} "
                f"Known: {listing(given.labels)}."
            )
        texts = [self.template.replace("{}", described.get(label, _words(label))) for label in given.labels]
        [role] = given.task.inputs
        named = [Example(f"label {index}", {role: text}) for index, text in enumerate(texts)]
        return linear.nearest_mean(given.features(named), given.labels, given.labels)


def _words(label: str) -> str:
    """A label's name as words: "credit_card-lost" is "credit card lost"."""
    return " ".join(label.replace("_", " ").replace("-", " ").split()) or label
