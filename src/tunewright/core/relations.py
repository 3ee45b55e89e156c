"""How relations are measured: by type and direction, pairs without a relation left out."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunewright.core.classes import ClassMeasures
from tunewright.core.types import Label, Prediction

_DIRECTION = re.compile(r"\(e\d,\s*e\d\)$")


@dataclass(frozen=True)
class RelationMeasures(ClassMeasures):
    """Beside the measures of labels: "relation_f1", macro F1 over the types of relation as SemEval-2010 task 8 has it.

    "Cause-Effect(e1,e2)" and "Cause-Effect(e2,e1)" are one type in two directions; an answer of the right type in the
    wrong direction is wrong, and counts among what was said and what was true of the type (Hendrickx et al. 2010,
    section 4). negative: the label of no relation, which is no type.
    """

    negative: str = "Other"

    def metrics(
        self, gold: Sequence[Label], predictions: Sequence[Prediction], labels: Sequence[str]
    ) -> dict[str, Any]:
        """See Measures.metrics."""
        known = [(true, said.value) for true, said in zip(gold, predictions, strict=True) if true is not None]
        found = super().metrics(gold, predictions, labels)
        measure = self._relation_f1([true for true, _ in known], [said for _, said in known], labels)
        return {"relation_f1": float(measure(np.ones((1, len(known))))[0]), **found}

    def weighed(
        self, metric: str, gold: Sequence[Label], predictions: Sequence[Prediction], labels: Sequence[str]
    ) -> Callable[[np.ndarray], np.ndarray] | None:
        """See Measures.weighed."""
        if metric != "relation_f1":
            return super().weighed(metric, gold, predictions, labels)
        return self._relation_f1(gold, [said.value for said in predictions], labels)

    def _relation_f1(
        self, gold: Sequence[Any], said: Sequence[Any], labels: Sequence[str]
    ) -> Callable[[np.ndarray], np.ndarray]:
        types = sorted({type_of(label) for label in labels if label != self.negative})
        place = {label: types.index(type_of(label)) for label in labels if label != self.negative}
        true, given = (_one_hot([place.get(label, -1) for label in side], len(types)) for side in (gold, said))
        hits = true * np.array([a == b for a, b in zip(gold, said, strict=True)], dtype=float).reshape(-1, 1)

        def measure(weights: np.ndarray) -> np.ndarray:
            sums = weights @ (true + given)
            f1 = np.divide(2 * (weights @ hits), sums, out=np.zeros_like(sums), where=sums > 0)
            occurring = np.sum(sums > 0, axis=1)
            return np.sum(f1, axis=1) / np.maximum(occurring, 1)

        return measure


def type_of(label: str) -> str:
    """A relation's type without its direction: "Cause-Effect" of "Cause-Effect(e1,e2)"."""
    return _DIRECTION.sub("", label)


def _one_hot(places: Sequence[int], size: int) -> np.ndarray:
    """(rows, size); a row of zeros for -1."""
    return (np.asarray(places, dtype=np.int64).reshape(-1, 1) == np.arange(size)).astype(float)
