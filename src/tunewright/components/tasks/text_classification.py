"""Give a text one label, or several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from tunewright.core import classes
from tunewright.core.contracts import Measures, Task
from tunewright.core.errors import LabelError
from tunewright.core.types import Example, Label, Policy, Prediction, Window
from tunewright.core.windows import weighted_mean, window
from tunewright.data.cell import is_empty

if TYPE_CHECKING:
    from tunewright.models.processor import Processor


@dataclass(frozen=True)
class TextClassification(Task):
    """Texts to label names. The label column holds one name, or several when `multi_label`."""

    multi_label: bool = False  # whether a text can have several labels, or none
    separator: Annotated[str, Field(min_length=1)] = (
        "|"  # between the labels of one cell when multi_label; JSON lists are understood as well
    )

    inputs: ClassVar[tuple[str, ...]] = ("text",)
    target: ClassVar[str] = "label"
    head: ClassVar[str] = "pooled"
    probe: ClassVar[bool] = True
    baselines: ClassVar[tuple[str, ...]] = ("majority", "tfidf", "linear_probe")

    @property
    def objective(self) -> str:
        """See Task.objective."""
        return "binary_cross_entropy" if self.multi_label else "cross_entropy"

    @property
    def measures(self) -> Measures:  # type: ignore[override]
        """See Task.measures and core.measures."""
        return classes.ClassMeasures(self.multi_label)

    @property
    def metric(self) -> str:
        """See Task.metric."""
        return "micro_f1" if self.multi_label else "accuracy"

    def read(self, cells: Mapping[str, Any]) -> tuple[dict[str, Any], Label]:
        """See Task.read. An empty cell is unknown; an empty list, when multi_label, says that no label applies."""
        return {"text": cells.get("text")}, self._label(cells.get("label"))

    def _label(self, value: Any) -> Label:
        value = value.tolist() if hasattr(value, "tolist") else value
        if is_empty(value):
            return None
        if self.multi_label:
            parts = classes.several(value, self.separator)
            return tuple(sorted({classes.one(part) for part in parts if not is_empty(part)}))
        if isinstance(value, (list, tuple)) and len(value) == 1:
            value = value[0]
        if isinstance(value, (list, tuple)):
            raise LabelError(
                f"One label is expected, and the cell holds {len(value)}: {value!r:.80}. "
                "Set task: {name: text_classification, multi_label: true} when a text can have several."
            )
        return classes.one(value)

    def encode(self, examples: Sequence[Example], processor: Processor, labels: Sequence[str]) -> list[Window]:
        """See Task.encode. "labels" is () int64, or (labels,) float32 zeros and ones when multi_label."""
        targets = classes.targets(examples, labels, self.multi_label)
        encoded = processor.encode([str(example.inputs["text"]) for example in examples])
        return [window(index, part, targets.get(index)) for index, parts in enumerate(encoded) for part in parts]

    def join(self, windows: Sequence[Window], outputs: Sequence[np.ndarray]) -> np.ndarray:
        """See Task.join: the mean of the windows' logits, weighted by their tokens. Returns (labels,)."""
        return weighted_mean(windows, outputs)

    def decode(
        self, logits: np.ndarray, windows: Sequence[Window], labels: Sequence[str], policy: Policy
    ) -> Prediction:
        """See Task.decode and core.classes."""
        return classes.decode(logits, windows, labels, policy, self.multi_label)
