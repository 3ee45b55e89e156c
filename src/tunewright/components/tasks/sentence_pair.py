"""Give two texts one label: same meaning or not, follows or contradicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tunewright.core import classes
from tunewright.core.contracts import Task
from tunewright.core.errors import LabelError
from tunewright.core.types import Example, Label, Policy, Prediction, Window
from tunewright.core.windows import weighted_mean, window
from tunewright.data.cell import is_empty

if TYPE_CHECKING:
    from tunewright.models.processor import Processor


@dataclass(frozen=True)
class SentencePair(Task):
    """Pairs of texts to label names; the model reads both at once."""

    symmetric: bool = False  # read every pair in both orders: the answer no longer depends on the order, at twice the cost

    inputs: ClassVar[tuple[str, ...]] = ("text_a", "text_b")
    target: ClassVar[str] = "label"
    head: ClassVar[str] = "pooled"
    objective: ClassVar[str] = "cross_entropy"
    metric: ClassVar[str] = "accuracy"
    probe: ClassVar[bool] = True
    baselines: ClassVar[tuple[str, ...]] = ("majority", "overlap", "linear_probe")

    def read(self, cells: Mapping[str, Any]) -> tuple[dict[str, Any], Label]:
        """See Task.read."""
        value = cells.get("label")
        value = value.tolist() if hasattr(value, "tolist") else value
        if isinstance(value, (list, tuple)):
            raise LabelError(f"One label is expected, not a list: {value!r:.80}.")
        return {role: cells.get(role) for role in self.inputs}, None if is_empty(value) else classes.one(value)

    def encode(self, examples: Sequence[Example], processor: Processor, labels: Sequence[str]) -> list[Window]:
        """See Task.encode. "labels" is () int64. Symmetric: a pair's windows are followed by those of its other order."""
        targets = classes.targets(examples, labels)
        texts = [[str(example.inputs[role]) for example in examples] for role in self.inputs]
        found = [
            [window(index, part, targets.get(index)) for part in parts]
            for index, parts in enumerate(processor.encode(*texts))
        ]
        if self.symmetric:
            for index, parts in enumerate(processor.encode(*reversed(texts))):
                again = [window(index, part, targets.get(index)) for part in parts]
                found[index] += [_counted_already(part) for part in again]
        return [part for parts in found for part in parts]

    def join(self, windows: Sequence[Window], outputs: Sequence[np.ndarray]) -> np.ndarray:
        """See Task.join: the mean of the windows' logits (labels,), weighted by their tokens unless symmetric."""
        return np.mean(outputs, axis=0) if self.symmetric else weighted_mean(windows, outputs)

    def decode(
        self, logits: np.ndarray, windows: Sequence[Window], labels: Sequence[str], policy: Policy
    ) -> Prediction:
        """See Task.decode and core.classes."""
        return classes.decode(logits, windows, labels, policy)

    def metrics(
        self, gold: Sequence[Label], predictions: Sequence[Prediction], labels: Sequence[str]
    ) -> dict[str, Any]:
        """See Task.metrics and core.measures."""
        return classes.metrics(gold, predictions, labels)


def _counted_already(part: Window) -> Window:
    """The window with all its tokens known from an earlier one: each counts once, however often it is read."""
    return Window(**{**vars(part), "shared": part.tokens, "truncated": 0})
