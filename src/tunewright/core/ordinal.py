"""Labels with an order, as grades: which one to say, and how far off answers are. numpy only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunewright.core import classes
from tunewright.core.types import Label, Prediction

KAPPA = "quadratic_weighted_kappa"


def middle(probabilities: np.ndarray) -> int:
    """The place of the label to say: the median, which is the one of least expected distance.

    On similarity in six grades (STS-B) it was ahead of the likeliest label and of the rounded mean, in kappa and distance.
    """
    return int(np.searchsorted(np.cumsum(probabilities), 0.5 * np.sum(probabilities)))


@dataclass(frozen=True)
class OrdinalMeasures(classes.ClassMeasures):
    """Beside the measures of labels: "quadratic_weighted_kappa" (Cohen 1968), and "mae" in steps from label to label.

    Kappa holds the squared distances of answer and truth against those that chance would give: 1 is perfect, 0 chance.
    """

    def metrics(
        self, gold: Sequence[Label], predictions: Sequence[Prediction], labels: Sequence[str]
    ) -> dict[str, Any]:
        """See Measures.metrics."""
        known = [(true, said) for true, said in zip(gold, predictions, strict=True) if true is not None]
        true, said = _places([label for label, _ in known], [prediction for _, prediction in known], labels)
        kappa = float(_kappa(true, said)(np.ones((1, len(known))))[0])
        mae = float(np.mean(np.abs(said - true))) if known else 0.0
        return {KAPPA: kappa, "mae": mae, **super().metrics(gold, predictions, labels)}

    def quality(self, gold: Label, prediction: Prediction) -> float:
        """See Measures.quality: minus the steps between them; a prediction's scores stand in the labels' order."""
        order = list(prediction.scores)
        return -float(abs(order.index(prediction.value) - order.index(gold)))

    def weighed(
        self, metric: str, gold: Sequence[Label], predictions: Sequence[Prediction], labels: Sequence[str]
    ) -> Callable[[np.ndarray], np.ndarray] | None:
        """See Measures.weighed."""
        if metric != KAPPA:
            return super().weighed(metric, gold, predictions, labels)
        return _kappa(*_places(gold, predictions, labels))


def _places(
    gold: Sequence[Label], predictions: Sequence[Prediction], labels: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """(rows,) places of the true and of the said labels in their order."""
    place = {label: float(index) for index, label in enumerate(labels)}
    return np.array([place[label] for label in gold]), np.array([place[said.value] for said in predictions])


def _kappa(true: np.ndarray, said: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Kappa as a function of how often each row counts: (resamples, rows) → (resamples,); 0 where it is undefined.

    By chance, answer and truth are independent with their own shares: their mean squared distance is then the sum of
    both variances and of the squared distance of the means.
    """

    def measure(weights: np.ndarray) -> np.ndarray:
        rows = np.maximum(np.sum(weights, axis=1), 1)
        observed = weights @ (true - said) ** 2 / rows
        means = [weights @ side / rows for side in (true, said)]
        squares = weights @ (true**2 + said**2) / rows
        chance = squares - 2 * means[0] * means[1]
        agreement = np.divide(observed, chance, out=np.ones_like(chance), where=chance > 1e-12)
        return 1 - agreement

    return measure
