"""Give two texts one label, or a number: same meaning or not, follows or contradicts, how alike."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tunewright.core import classes, numbers
from tunewright.core.contracts import Measures
from tunewright.core.errors import LabelError
from tunewright.core.types import Example, Label, Policy, Prediction, Window
from tunewright.core.windows import window
from tunewright.data.cell import is_empty, plain

if TYPE_CHECKING:
    from tunewright.models.processor import Processor


@dataclass(frozen=True)
class SentencePair(classes.LabelTask):
    """Pairs of texts to label names, or to numbers under `regression`; the model reads both at once."""

    regression: bool = False  # the label column holds numbers, as of likeness, that are to be predicted
    symmetric: bool = (
        False  # read every pair in both orders: the answer no longer depends on the order, at twice the cost
    )

    inputs: ClassVar[tuple[str, ...]] = ("text_a", "text_b")
    target: ClassVar[str] = "label"

    @property
    def baselines(self) -> tuple[str, ...]:  # type: ignore[override]
        """See Task.baselines."""
        both = ("overlap", "cosine", "linear_probe")
        return both if self.regression else ("majority", *both)

    @property
    def classes(self) -> bool:  # type: ignore[override]
        """See Task.classes."""
        return not self.regression

    @property
    def objective(self) -> str:  # type: ignore[override]
        """See Task.objective."""
        return "squared_error" if self.regression else "cross_entropy"

    @property
    def start(self) -> str:
        """See Task.start: an encoder knows likeness from each text by itself, and nothing of two texts read at once."""
        return "bi_encoder"

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
        value = plain(cells.get("label"))
        inputs = {role: cells.get(role) for role in self.inputs}
        if is_empty(value):
            return inputs, None
        return inputs, _number(value) if self.regression else classes.one(value)

    def encode(self, examples: Sequence[Example], processor: Processor, labels: Sequence[str]) -> list[Window]:
        """See Task.encode. "labels" is () int64, or () float32 under regression.

        Symmetric: a pair's windows are followed by those of its other order. Examples that all have one text, the same of
        the two, are read as that text by itself.
        """
        targets = self.gold(examples, labels)
        texts = [
            [str(example.inputs[role]) for example in examples]
            for role in self.inputs
            if all(role in example.inputs for example in examples)
        ]
        found = [
            [window(index, part, targets.get(index)) for part in parts]
            for index, parts in enumerate(processor.encode(*texts))
        ]
        if self.symmetric and len(texts) == 2:
            for index, parts in enumerate(processor.encode(*reversed(texts))):
                found[index] += [_counted_already(window(index, part, targets.get(index))) for part in parts]
        return [part for parts in found for part in parts]

    def gold(self, examples: Sequence[Example], labels: Sequence[str]) -> dict[int, np.ndarray]:
        """See LabelTask.gold."""
        if not self.regression:
            return super().gold(examples, labels)
        return {i: np.asarray(e.label, dtype=np.float32) for i, e in enumerate(examples) if e.label is not None}

    def join(self, windows: Sequence[Window], outputs: Sequence[np.ndarray]) -> np.ndarray:
        """See LabelTask.join; the plain mean when symmetric, so that both orders weigh alike."""
        return np.mean(outputs, axis=0) if self.symmetric else super().join(windows, outputs)

    def decode(
        self, logits: np.ndarray, windows: Sequence[Window], labels: Sequence[str], policy: Policy
    ) -> Prediction:
        """See LabelTask.decode. A number comes without a measure of certainty: its score is 1."""
        if not self.regression:
            return super().decode(logits, windows, labels, policy)
        truncated = sum(part.truncated for part in windows)
        return Prediction(float(np.asarray(logits)[0]), 1.0, truncated_tokens=truncated)


def _number(value: Any) -> float:
    try:
        number = float(str(value).strip())  # of a list, a mapping or a bool this is no number
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise LabelError(f"A number is expected where regression is on, not {value!r:.80}.")
    return number


def _counted_already(part: Window) -> Window:
    """The window with all its tokens known from an earlier one: each counts once, however often it is read."""
    return replace(part, shared=part.tokens, truncated=0)
