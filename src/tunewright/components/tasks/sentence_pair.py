"""Give two texts one label, or a number: same meaning or not, follows or contradicts, how alike."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tunewright.core import classes, numbers
from tunewright.core.contracts import Measures, Task
from tunewright.core.errors import LabelError
from tunewright.core.types import Example, Label, Policy, Prediction, Window
from tunewright.core.windows import weighted_mean, window
from tunewright.data.cell import is_empty

if TYPE_CHECKING:
    from tunewright.models.processor import Processor


@dataclass(frozen=True)
class SentencePair(Task):
    """Pairs of texts to label names, or to numbers under `regression`; the model reads both at once."""

    regression: bool = False  # the label column holds numbers, as of likeness, that are to be predicted
    symmetric: bool = (
        False  # read every pair in both orders: the answer no longer depends on the order, at twice the cost
    )

    inputs: ClassVar[tuple[str, ...]] = ("text_a", "text_b")
    target: ClassVar[str] = "label"
    head: ClassVar[str] = "pooled"
    probe: ClassVar[bool] = True

    @property
    def baselines(self) -> tuple[str, ...]:  # type: ignore[override]
        """See Task.baselines."""
        return ("overlap", "linear_probe") if self.regression else ("majority", "overlap", "linear_probe")

    @property
    def classes(self) -> bool:  # type: ignore[override]
        """See Task.classes."""
        return not self.regression

    @property
    def objective(self) -> str:  # type: ignore[override]
        """See Task.objective."""
        return "squared_error" if self.regression else "cross_entropy"

    @property
    def measures(self) -> Measures:  # type: ignore[override]
        """See Task.measures, core.measures and, for numbers, core.numbers."""
        return numbers.NumberMeasures() if self.regression else classes.ClassMeasures()

    @property
    def metric(self) -> str:  # type: ignore[override]
        """See Task.metric."""
        return "spearman" if self.regression else "accuracy"

    def outputs(self, labels: Sequence[str]) -> tuple[str, ...]:
        """See Task.outputs: one a label, or the number alone."""
        return ("value",) if self.regression else tuple(labels)

    def read(self, cells: Mapping[str, Any]) -> tuple[dict[str, Any], Label]:
        """See Task.read."""
        value = cells.get("label")
        value = value.tolist() if hasattr(value, "tolist") else value
        if isinstance(value, (list, tuple)):
            raise LabelError(f"One label is expected, not a list: {value!r:.80}.")
        inputs = {role: cells.get(role) for role in self.inputs}
        if is_empty(value):
            return inputs, None
        return inputs, _number(value) if self.regression else classes.one(value)

    def encode(self, examples: Sequence[Example], processor: Processor, labels: Sequence[str]) -> list[Window]:
        """See Task.encode. "labels" is () int64, or () float32 under regression.

        Symmetric: a pair's windows are followed by those of its other order.
        """
        targets = _numbers(examples) if self.regression else classes.targets(examples, labels)
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
        """See Task.decode and core.classes. A number comes without a measure of certainty: its score is 1."""
        if not self.regression:
            return classes.decode(logits, windows, labels, policy)
        truncated = sum(window.truncated for window in windows)
        return Prediction(float(np.asarray(logits).reshape(-1)[0]), 1.0, truncated_tokens=truncated)


def _number(value: Any) -> float:
    try:
        number = float(str(value).strip())
    except ValueError:
        number = math.nan
    if isinstance(value, (bool, Mapping)) or not math.isfinite(number):
        raise LabelError(f"A number is expected where regression is on, not {value!r:.80}.")
    return number


def _numbers(examples: Sequence[Example]) -> dict[int, np.ndarray]:
    return {i: np.float32(e.label) for i, e in enumerate(examples) if e.label is not None}


def _counted_already(part: Window) -> Window:
    """The window with all its tokens known from an earlier one: each counts once, however often it is read."""
    return Window(**{**vars(part), "shared": part.tokens, "truncated": 0})
