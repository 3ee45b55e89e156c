"""Search by the cosine of the backbone as it is: what pretraining gives without any tuning."""

from __future__ import annotations

from dataclasses import dataclass

from tunewright.core import ranking
from tunewright.core.contracts import Baseline, Given, Task
from tunewright.core.types import Policy, Prediction


@dataclass(frozen=True)
class Untuned(Baseline):
    """The pretrained encoder's features of queries and documents, with the prefixes that it expects."""

    def suits(self, task: Task) -> bool:
        """See Baseline.suits: documents that are searched."""
        return task.retrieves

    def predict(self, given: Given) -> list[Prediction]:
        """See Baseline.predict."""
        documents = given.embed(ranking.as_examples(given.labels, given.task.target))
        weight, _ = ranking.index(documents)
        return [ranking.best(weight @ query, given.labels, Policy()) for query in given.embed(given.test)]
