"""Mark every entity of the training rows wherever it occurs again: what can be had without learning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from tunewright.core import gazetteer, measures, spans
from tunewright.core.contracts import Baseline, Given, Task
from tunewright.core.types import Example, Prediction

SHARES = (0.0, 0.25, 0.5, 0.75)  # tried on validation


@dataclass(frozen=True)
class Dictionary(Baseline):
    """The longest known entity from each place on, with the label it mostly has."""

    least_share: Annotated[float, Field(ge=0, le=1)] | None = (
        None  # entries that are an entity less often, where they occur in training texts, are left out; null: what is best on validation
    )

    def suits(self, task: Task) -> bool:
        """See Baseline.suits: tasks whose answers are spans."""
        return isinstance(task.measures, spans.SpanMeasures)

    def predict(self, given: Given) -> list[Prediction]:
        """See Baseline.predict."""
        known, share = gazetteer.learn(_texts(given.train), [one.label for one in given.train]), self.least_share  # type: ignore[misc]
        if share is None:
            share = max(SHARES, key=lambda least: _f1(given.validation, known, least, given.labels))
        return [
            Prediction(found, min((span.score for span in found), default=1.0))
            for found in gazetteer.mark(_texts(given.test), known, share)
        ]


def _f1(examples: Sequence[Example], known: gazetteer.Gazetteer, least: float, labels: Sequence[str]) -> float:
    found = gazetteer.mark(_texts(examples), known, least)
    return float(measures.micro_f1(spans.count([example.label for example in examples], found, labels)))


def _texts(examples: Sequence[Example]) -> list[str]:
    return [str(example.inputs["text"]) for example in examples]
