"""Labels with levels, as "science/physics": their ancestors, and how answers are measured at every level. numpy only."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tunewright.core import classes
from tunewright.core.errors import LabelError
from tunewright.core.types import Label, Prediction


def path(names: Sequence[Any], separator: str) -> str:
    """One label of its levels' names, the topmost first: ("science", "physics") → "science/physics"."""
    names = [classes.one(name) for name in names]
    label = separator.join(names)
    if not all(names):
        raise LabelError(f"A level of the label {label!r:.80} has no name. Levels are joined by {separator!r}.")
    return label


def ancestors(label: str, separator: str) -> list[str]:
    """What stands above a label, the nearest first: "a/b/c" → ["a/b", "a"]."""
    return lineage(label, separator)[-2::-1]


def lineage(label: str, separator: str) -> list[str]:
    """All levels of a label, the topmost first and itself the last: "a/b" → ["a", "a/b"]."""
    return list(itertools.accumulate(label.split(separator), lambda above, name: f"{above}{separator}{name}"))


def settled(prediction: Prediction, separator: str, accept: float | None) -> Prediction:
    """The prediction with its wider answers: each ancestor's probability is the sum of the labels' below it.

    Where the label itself is not sure enough and an ancestor is, the nearest such one is what is given.
    """
    wider = []
    for above in ancestors(prediction.value, separator):
        below = above + separator
        score = sum(score for label, score in prediction.scores.items() if label == above or label.startswith(below))
        wider.append((above, min(score, 1.0)))
    if prediction.decision == "model":
        return replace(prediction, wider=tuple(wider))
    sure = tuple(itertools.dropwhile(lambda answer: answer[1] < accept, wider))
    return replace(prediction, wider=sure or tuple(wider), decision="parent" if sure else "abstain")


@dataclass(frozen=True)
class HierarchyMeasures(classes.ClassMeasures):
    """Beside the measures of labels: "hierarchical_f1", and "level_1_accuracy", "level_2_accuracy", … from the top.

    hierarchical_f1 counts every level of what was said and of what is true, over all rows together (Kiritchenko, Matwin
    and Famili 2005), so that a near miss costs less than a far one. A level's accuracy is the share of rows that are
    right down to it, among those that go so deep or were said to. As everywhere, the answer counts that would be given
    if the model never abstained.
    """

    separator: str = "/"

    def metrics(
        self, gold: Sequence[Label], predictions: Sequence[Prediction], labels: Sequence[str]
    ) -> dict[str, Any]:
        """See Measures.metrics."""
        known = [(true, said) for true, said in zip(gold, predictions, strict=True) if true is not None]
        once = np.ones((1, len(known)))
        both = [true for true, _ in known], [said for _, said in known]
        depth = max((label.count(self.separator) + 1 for label in labels), default=1)
        names = ["hierarchical_f1", *(f"level_{level}_accuracy" for level in range(1, depth + 1))]
        own = {name: float(self.weighed(name, *both, labels)(once)[0]) for name in names}
        return {**own, **super().metrics(gold, predictions, labels)}

    def quality(self, gold: Label, prediction: Prediction) -> float:
        """See Measures.quality: the F1 of this one row."""
        true, said = (lineage(str(label), self.separator) for label in (gold, prediction.value))
        return 2 * _shared(true, said) / (len(true) + len(said))

    def right(self, gold: Label, value: Any) -> bool:
        """See Measures.right: the label, or one of its ancestors."""
        return value in lineage(str(gold), self.separator)

    def weighed(
        self, metric: str, gold: Sequence[Label], predictions: Sequence[Prediction], labels: Sequence[str]
    ) -> Callable[[np.ndarray], np.ndarray] | None:
        """See Measures.weighed."""
        true, said = (
            [lineage(str(label), self.separator) for label in side] for side in (gold, [p.value for p in predictions])
        )
        if metric == "hierarchical_f1":
            hits = np.array([2 * _shared(*pair) for pair in zip(true, said, strict=True)], dtype=float)
            sizes = np.array([len(a) + len(b) for a, b in zip(true, said, strict=True)], dtype=float)
        elif metric.startswith("level_"):
            level = int(metric.split("_")[1])
            deep = [max(len(a), len(b)) >= level for a, b in zip(true, said, strict=True)]
            hits = np.array([a[:level] == b[:level] for a, b in zip(true, said, strict=True)], dtype=float) * deep
            sizes = np.array(deep, dtype=float)
        else:
            return super().weighed(metric, gold, predictions, labels)

        def measure(weights: np.ndarray) -> np.ndarray:
            whole = weights @ sizes
            return np.divide(weights @ hits, whole, out=np.zeros_like(whole), where=whole > 0)

        return measure


def _shared(one: Sequence[str], other: Sequence[str]) -> int:
    """How many levels from the top two labels have in common."""
    return sum(a == b for a, b in zip(one, other, strict=False))
