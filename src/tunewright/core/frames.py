"""Frames: an intent and slots under one list of labels, how they are measured, and the two tasks they are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunewright.core import measures, spans
from tunewright.core.contracts import Measures, Parts, Task
from tunewright.core.types import INTENT, Frame, Label, Prediction


def intents(labels: Sequence[str]) -> tuple[str, ...]:
    """The intents among `labels`, without the sign before them."""
    return tuple(label.removeprefix(INTENT) for label in labels if label.startswith(INTENT))


def slots(labels: Sequence[str]) -> tuple[str, ...]:
    """The names of slots among `labels`."""
    return tuple(label for label in labels if not label.startswith(INTENT))


class FrameMeasures(Measures):
    """Of answers that are frames. A slot is right where its characters and its name are, as seqeval counts."""

    def metrics(
        self, gold: Sequence[Label], predictions: Sequence[Prediction], labels: Sequence[str]
    ) -> dict[str, Any]:
        """See Measures.metrics: "accuracy" (frames right in all), "intent_accuracy", "slot_f1", and "per_class", in which
        intents count rows and slots count spans."""
        both = [(true, said.value) for true, said in zip(gold, predictions, strict=True) if true is not None]
        gold, said = [true for true, _ in both], [value for _, value in both]
        once = np.ones((1, len(both)))
        found = {name: float(_weighed(name, gold, said, labels)(once)[0]) for name in _METRICS}
        return {"n": len(both), **found, "per_class": _per_class(gold, said, labels)}

    def quality(self, gold: Label, prediction: Prediction) -> float:
        """See Measures.quality: half for the intent, and half of the slots' own F1."""
        said = prediction.value
        return (float(said.intent == gold.intent) + spans.row_f1(gold.slots, said.slots)) / 2

    def weighed(
        self, metric: str, gold: Sequence[Label], predictions: Sequence[Prediction], labels: Sequence[str]
    ) -> Callable[[np.ndarray], np.ndarray] | None:
        """See Measures.weighed."""
        if metric not in _METRICS:
            return None
        return _weighed(metric, gold, [said.value for said in predictions], labels)


# What a row counts for: 1 where it is right. "slot_f1" is no mean over rows.
_RIGHT: dict[str, Callable[[Frame, Frame], bool]] = {
    "accuracy": lambda true, said: true == said,
    "intent_accuracy": lambda true, said: true.intent == said.intent,
}
_METRICS = (*_RIGHT, "slot_f1")


def _weighed(
    metric: str, gold: Sequence[Frame], said: Sequence[Frame], labels: Sequence[str]
) -> Callable[[np.ndarray], np.ndarray]:
    if metric not in _RIGHT:
        return spans.weighed("f1", [true.slots for true in gold], [given.slots for given in said], slots(labels))
    right = np.array([_RIGHT[metric](*pair) for pair in zip(gold, said, strict=True)], dtype=float)
    return lambda weights: (weights @ right) / np.maximum(np.sum(weights, axis=1), 1)


def _per_class(gold: Sequence[Frame], said: Sequence[Frame], labels: Sequence[str]) -> dict[str, Any]:
    wanted = [label for label in labels if label.startswith(INTENT)]
    rows = [measures.encode_labels([INTENT + frame.intent for frame in side], wanted) for side in (gold, said)]
    inside = spans.count([true.slots for true in gold], [given.slots for given in said], slots(labels))
    found = {
        **measures.per_class(measures.count(*rows, len(wanted)), wanted),
        **measures.per_class(inside, slots(labels)),
    }
    return {label: found[label] for label in labels}


@dataclass(frozen=True)
class FrameParts(Parts):
    """A frame as one label of the text, and spans in it."""

    intent: Task
    slots: Task

    @property
    def tasks(self) -> tuple[Task, Task]:  # type: ignore[override]
        """See Parts.tasks."""
        return self.intent, self.slots

    def labels(self, labels: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """See Parts.labels."""
        return intents(labels), slots(labels)

    def split(self, label: Label) -> tuple[Label, Label]:
        """See Parts.split."""
        return label.intent, label.slots

    def join(self, predictions: Sequence[Prediction | None]) -> Prediction:
        """See Parts.join; the score is that of the less certain part."""
        intent, marked = predictions
        return Prediction(Frame(intent.value, marked.value), min(intent.score, marked.score), intent.scores)
