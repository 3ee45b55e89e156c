"""Give a text one label, or several."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from tunewright.core import measures
from tunewright.core.contracts import Task
from tunewright.core.errors import LabelError
from tunewright.core.numeric import sigmoid, softmax
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
    def metric(self) -> str:
        """See Task.metric."""
        return "micro_f1" if self.multi_label else "accuracy"

    def read(self, cells: Mapping[str, Any]) -> tuple[dict[str, Any], Label]:
        """See Task.read. An empty cell is unknown; an empty list, when multi_label, says that no label applies."""
        return {"text": cells.get("text")}, self._parsed(cells.get("label"))

    def _parsed(self, value: Any) -> Label:
        value = value.tolist() if hasattr(value, "tolist") else value
        if is_empty(value):
            return None
        if self.multi_label:
            return tuple(sorted({_name(part) for part in self._parts(value) if not is_empty(part)}))
        if isinstance(value, (list, tuple)) and len(value) == 1:
            value = value[0]
        if isinstance(value, (list, tuple)):
            raise LabelError(
                f"One label is expected, and the cell holds {len(value)}: {value!r:.80}. "
                "Set task: {name: text_classification, multi_label: true} when a text can have several."
            )
        return _name(value)

    def encode(self, examples: Sequence[Example], processor: Processor, labels: Sequence[str]) -> list[Window]:
        """See Task.encode. "labels" is () int64, or (labels,) float32 zeros and ones when multi_label."""
        targets = self._targets(examples, labels)
        encoded = processor.encode([str(example.inputs["text"]) for example in examples])
        return [window(index, part, targets.get(index)) for index, parts in enumerate(encoded) for part in parts]

    def join(self, windows: Sequence[Window], outputs: Sequence[np.ndarray]) -> np.ndarray:
        """See Task.join: the mean of the windows' logits, weighted by their tokens. Returns (labels,)."""
        return weighted_mean(windows, outputs)

    def decode(
        self, logits: np.ndarray, windows: Sequence[Window], labels: Sequence[str], policy: Policy
    ) -> Prediction:
        """See Task.decode. When multi_label, the score is that of the least certain yes or no."""
        logits = np.asarray(logits, dtype=np.float64)
        if self.multi_label:
            probabilities = sigmoid(logits)
            yes = probabilities >= np.array([policy.thresholds.get(label, 0.5) for label in labels])
            value = tuple(sorted(label for label, said in zip(labels, yes, strict=True) if said))
            score = float(np.min(np.where(yes, probabilities, 1 - probabilities)))
        else:
            probabilities = softmax(logits)
            best = int(np.argmax(probabilities))
            value, score = labels[best], float(probabilities[best])
        return Prediction(
            value=value,
            score=score,
            scores=dict(zip(labels, probabilities.tolist(), strict=True)),
            decision="abstain" if policy.accept is not None and score < policy.accept else "model",
            truncated_tokens=sum(window.truncated for window in windows),
        )

    def metrics(
        self, gold: Sequence[Label], predictions: Sequence[Prediction], labels: Sequence[str]
    ) -> dict[str, Any]:
        """See Task.metrics and core.measures. Rows of unknown label are left out; abstentions count as answers."""
        known = [(true, said) for true, said in zip(gold, predictions, strict=True) if true is not None]
        true = self._encode([label for label, _ in known], labels)
        said = self._encode([prediction.value for _, prediction in known], labels)
        scores = np.array([[prediction.scores.get(label, 0.0) for label in labels] for _, prediction in known])
        measure = measures.multi_label if self.multi_label else measures.classification
        return measure(true, said, labels, scores.reshape(len(known), len(labels)))

    def _parts(self, value: Any) -> Sequence[Any]:
        if isinstance(value, (list, tuple)):
            return value
        text = str(value).strip()
        if text.startswith("[") and text.endswith("]"):
            try:
                return json.loads(text)
            except ValueError:
                pass
        return [part.strip() for part in _name(value).split(self.separator)]

    def _targets(self, examples: Sequence[Example], labels: Sequence[str]) -> dict[int, np.ndarray]:
        known = [index for index, example in enumerate(examples) if example.label is not None]
        names, where = [examples[index].label for index in known], [examples[index].id for index in known]
        return {
            index: np.asarray(target) for index, target in zip(known, self._encode(names, labels, where), strict=True)
        }

    def _encode(self, values: Sequence[Any], labels: Sequence[str], where: Sequence[str] | None = None) -> np.ndarray:
        if self.multi_label and not values:
            return np.zeros((0, len(labels)), dtype=np.float32)
        return measures.encode_labels(values, labels, where)


def _name(value: Any) -> str:
    """A cell's value as a label name: 3 and 3.0 are "3"; white space around a name is none of it."""
    if isinstance(value, (list, tuple, Mapping)):
        raise LabelError(f"A label is a name or a number, not {value!r:.80}.")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()
