"""What tasks that give an input one of several labels share: labels in cells, windows, predictions, measures. numpy only."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tunewright.core import measures
from tunewright.core.contracts import Measures, Task
from tunewright.core.names import one
from tunewright.core.numeric import sigmoid, softmax
from tunewright.core.types import Example, Label, Policy, Prediction, Window
from tunewright.core.windows import weighted_mean, window

if TYPE_CHECKING:
    from tunewright.models.processor import Processor


def several(value: Any, separator: str) -> Sequence[Any]:
    """The parts of a cell that holds several labels: a list, JSON, or names between separators."""
    if isinstance(value, (list, tuple)):
        return value
    text = str(value).strip()
    if text.startswith("[") and text.endswith("]"):
        try:
            return json.loads(text)
        except ValueError:
            pass
    return [part.strip() for part in one(value).split(separator)]


class LabelTask(Task):
    """A task whose answer is one of several labels, or when `multi_label` any number of them; its input is a text.

    What a row's cells mean (`read`) is for each task to say.
    """

    probe: ClassVar[bool] = True
    head: ClassVar[str] = "pooled"

    @property
    def objective(self) -> str:  # type: ignore[override]
        """See Task.objective."""
        return "binary_cross_entropy" if self.multi_label else "cross_entropy"

    @property
    def measures(self) -> Measures:  # type: ignore[override]
        """See Task.measures and core.measures."""
        return ClassMeasures(self.multi_label)

    def encode(self, examples: Sequence[Example], processor: Processor, labels: Sequence[str]) -> list[Window]:
        """See Task.encode. "labels" is () int64, or (labels,) float32 zeros and ones when multi_label."""
        targets = self.gold(examples, labels)
        encoded = processor.encode([str(example.inputs["text"]) for example in examples])
        return [window(index, part, targets.get(index)) for index, parts in enumerate(encoded) for part in parts]

    def gold(self, examples: Sequence[Example], labels: Sequence[str]) -> dict[int, np.ndarray]:
        """Place of each labelled example → its "labels"."""
        known = [index for index, example in enumerate(examples) if example.label is not None]
        names, where = [examples[index].label for index in known], [examples[index].id for index in known]
        encoded = encode(names, labels, self.multi_label, where)
        return {index: np.asarray(target) for index, target in zip(known, encoded, strict=True)}

    def join(self, windows: Sequence[Window], outputs: Sequence[np.ndarray]) -> np.ndarray:
        """See Task.join: the mean of the windows' logits, weighted by their tokens. Returns (labels,)."""
        return weighted_mean(windows, outputs)

    def choose(self, probabilities: np.ndarray) -> int:
        """The index of the label that is said: by default the likeliest."""
        return int(np.argmax(probabilities))

    def decode(
        self, logits: np.ndarray, windows: Sequence[Window], labels: Sequence[str], policy: Policy
    ) -> Prediction:
        """See Task.decode: the label that `choose` names, or when multi_label all above their thresholds.

        The score is that of the label, or of the least certain yes or no.
        """
        logits = np.asarray(logits, dtype=np.float64)
        value: Label
        if self.multi_label:
            probabilities = sigmoid(logits)
            yes = probabilities >= np.array([policy.thresholds.get(label, 0.5) for label in labels])
            value = tuple(sorted(label for label, said in zip(labels, yes, strict=True) if said))
            score = float(np.min(np.where(yes, probabilities, 1 - probabilities)))
        else:
            probabilities = softmax(logits)
            best = self.choose(probabilities)
            value, score = labels[best], float(probabilities[best])
        return Prediction(
            value=value,
            score=score,
            scores=dict(zip(labels, probabilities.tolist(), strict=True)),
            decision=policy.decision(score),
            truncated_tokens=sum(part.truncated for part in windows),
        )


def encode(
    values: Sequence[Any], labels: Sequence[str], multi_label: bool, where: Sequence[str] | None = None
) -> np.ndarray:
    """`measures.encode_labels`, right for no rows at all too."""
    if multi_label and not values:
        return np.zeros((0, len(labels)), dtype=np.float32)
    return measures.encode_labels(values, labels, where)


@dataclass(frozen=True)
class ClassMeasures(Measures):
    """core.measures of the rows whose label is known; abstentions count as answers."""

    multi_label: bool = False

    def metrics(
        self, gold: Sequence[Label], predictions: Sequence[Prediction], labels: Sequence[str]
    ) -> dict[str, Any]:
        """See Measures.metrics."""
        known = [(true, said) for true, said in zip(gold, predictions, strict=True) if true is not None]
        true = encode([label for label, _ in known], labels, self.multi_label)
        said = encode([prediction.value for _, prediction in known], labels, self.multi_label)
        scores = np.array([[prediction.scores.get(label, 0.0) for label in labels] for _, prediction in known])
        measure = measures.multi_label if self.multi_label else measures.classification
        return measure(true, said, labels, scores.reshape(len(known), len(labels)))

    def weighed(
        self, metric: str, gold: Sequence[Label], predictions: Sequence[Prediction], labels: Sequence[str]
    ) -> Callable[[np.ndarray], np.ndarray] | None:
        """See Measures.weighed."""
        if metric not in measures.COUNT_METRICS:
            return None
        true = encode(gold, labels, self.multi_label)
        said = encode([prediction.value for prediction in predictions], labels, self.multi_label)
        measure = measures.COUNT_METRICS[metric]
        return lambda weights: measure(measures.count(true, said, len(labels), weights))
