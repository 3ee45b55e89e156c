"""Answer each part of the task by a simple baseline of its own, as intents by TF-IDF and slots by a dictionary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import Field

from tunewright.core import catalog
from tunewright.core.contracts import Baseline, Given, Parts, Task
from tunewright.core.errors import RecipeError, listing
from tunewright.core.types import Example, Prediction


@dataclass(frozen=True)
class ByParts(Baseline):
    """What the parts of a task reach when each is done alone and no network is tuned."""

    baselines: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "overlap",
        "tfidf",
        "dictionary",
    )  # by name; each part is answered by the first one that suits it

    def suits(self, task: Task) -> bool:
        """See Baseline.suits: tasks that are made of several."""
        return task.parts is not None

    def predict(self, given: Given) -> list[Prediction]:
        """See Baseline.predict. Raises RecipeError where no baseline suits a part."""
        parts = given.task.parts
        answers = []
        for place, (task, labels) in enumerate(zip(parts.tasks, parts.labels(given.labels), strict=True)):
            sides = {name: _labelled(getattr(given, name), parts, place) for name in ("train", "validation")}
            asked = [row for row, example in enumerate(given.test) if {*task.inputs} <= example.inputs.keys()]
            test = [given.test[row] for row in asked]
            said = self._for(task).predict(replace(given, task=task, labels=labels, test=test, **sides))
            answers.append(dict(zip(asked, said, strict=True)))
        return [parts.join([said.get(row) for said in answers]) for row in range(len(given.test))]

    def _for(self, task: Task) -> Baseline:
        for name in self.baselines:
            baseline: Baseline = catalog.create("baselines", name)  # type: ignore[assignment]
            if baseline.suits(task):
                return baseline
        raise RecipeError(
            f"evaluate.baselines: by_parts has none for {catalog.name_of(task)} among {listing(self.baselines)}. "
            f"Add one of {listing(map(str, task.baselines))} to its baselines."
        )


def _labelled(examples: Sequence[Example], parts: Parts, place: int) -> list[Example]:
    """The examples that have a label of the part at `place`, with that label alone."""
    found = [(example, parts.split(example.label)[place]) for example in examples]
    return [replace(example, label=label) for example, label in found if label is not None]
