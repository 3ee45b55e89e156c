"""Answers of several tasks at once: a mapping of each task's name to its answer, and how such answers are measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunewright.core.contracts import Measures, Parts, Task
from tunewright.core.types import BELOW, Label, Prediction

MEAN = "mean"  # of the tasks' deciding metrics: what decides over all of them


@dataclass(frozen=True)
class NamedParts(Parts):
    """Tasks by name, each with labels of its own: those of the whole that have its name before them."""

    named: Mapping[str, Task]

    @property
    def tasks(self) -> tuple[Task, ...]:  # type: ignore[override]
        """See Parts.tasks."""
        return tuple(self.named.values())

    def labels(self, labels: Sequence[str]) -> list[tuple[str, ...]]:
        """See Parts.labels."""
        return [_own(name, labels) for name in self.named]

    def split(self, label: Label) -> list[Label]:
        """See Parts.split."""
        return [label.get(name) for name in self.named]  # type: ignore[union-attr]

    def join(self, predictions: Sequence[Prediction | None]) -> Prediction:
        """See Parts.join; the score is that of the least certain task."""
        said = {name: one for name, one in zip(self.named, predictions, strict=True) if one is not None}
        scores = {f"{name}{BELOW}{label}": score for name, one in said.items() for label, score in one.scores.items()}
        return Prediction(
            value={name: one.value for name, one in said.items()},
            score=min(one.score for one in said.values()),
            scores=scores,
            truncated_tokens=sum(one.truncated_tokens for one in said.values()),
            parts=said,
        )


@dataclass(frozen=True)
class NamedMeasures(Measures):
    """Each task by its own measures, on the rows that have its label."""

    named: Mapping[str, Task]

    def metrics(
        self, gold: Sequence[Label], predictions: Sequence[Prediction], labels: Sequence[str]
    ) -> dict[str, Any]:
        """See Measures.metrics: each task's deciding metric under its name (None without rows), their mean, "per_class"
        with the tasks' names before the labels, and "parts", all that each task's own measures say."""
        found, per_class = {}, {}
        for part in self._parts(gold, predictions, labels):
            found[part.name] = own = part.task.measures.metrics(part.gold, part.said, part.labels)
            per_class |= {f"{part.name}{BELOW}{label}": row for label, row in own.get("per_class", {}).items()}
        values = {name: found[name][task.metric] if name in found else None for name, task in self.named.items()}
        known = [value for value in values.values() if value is not None]
        rows = sum(label is not None for label in gold)
        return {"n": rows, MEAN: sum(known) / max(1, len(known)), **values, "per_class": per_class, "parts": found}

    def right(self, gold: Label, value: Any) -> bool:
        """See Measures.right: all tasks of which the label is known."""
        return all(self.named[name].measures.right(own, value.get(name)) for name, own in gold.items())  # type: ignore[union-attr]

    def quality(self, gold: Label, prediction: Prediction) -> float:
        """See Measures.quality: the mean of the tasks of which the label is known."""
        pairs = [(self.named[name], own, prediction.parts[name]) for name, own in gold.items()]  # type: ignore[union-attr]
        return sum(task.measures.quality(own, said) for task, own, said in pairs) / max(1, len(pairs))

    def weighed(
        self, metric: str, gold: Sequence[Label], predictions: Sequence[Prediction], labels: Sequence[str]
    ) -> Callable[[np.ndarray], np.ndarray] | None:
        """See Measures.weighed."""
        parts = [part for part in self._parts(gold, predictions, labels) if metric in (MEAN, part.name)]
        ways = [(part.rows, part.weighed()) for part in parts]
        if not ways or not all(way for _, way in ways):
            return None
        return lambda weights: sum(way(weights[:, rows]) for rows, way in ways) / len(ways)  # type: ignore[misc]

    def _parts(self, gold: Sequence[Label], predictions: Sequence[Prediction], labels: Sequence[str]) -> list[_Part]:
        found = []
        for name, task in self.named.items():
            rows = [row for row, label in enumerate(gold) if label is not None and name in label]
            if rows:
                own, said = [gold[row][name] for row in rows], [predictions[row].parts[name] for row in rows]
                found.append(_Part(name, task, np.array(rows), own, said, _own(name, labels)))
        return found


@dataclass(frozen=True)
class _Part:
    """One task's rows among those of all."""

    name: str
    task: Task
    rows: np.ndarray
    gold: Sequence[Label]
    said: Sequence[Prediction]
    labels: tuple[str, ...]

    def weighed(self) -> Callable[[np.ndarray], np.ndarray] | None:
        return self.task.measures.weighed(self.task.metric, self.gold, self.said, self.labels)


def _own(name: str, labels: Sequence[str]) -> tuple[str, ...]:
    before = name + BELOW
    return tuple(label.removeprefix(before) for label in labels if label.startswith(before))
