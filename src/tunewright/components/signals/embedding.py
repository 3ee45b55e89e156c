"""Where the network puts texts: its outputs, which are an affine map of its last features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tunewright.core.contracts import Signal, Task, Traffic
from tunewright.core.drift import Drift, compare_means, features_of, learn_features
from tunewright.core.types import Note


@dataclass(frozen=True)
class Embedding(Signal):
    """Means of random features of a Gaussian kernel are compared."""

    title: ClassVar[Note] = Note("embedding of texts", "文本的嵌入")
    of_texts: ClassVar[bool] = True

    def suits(self, task: Task) -> bool:
        """See Signal.suits. Of tasks that give a row one vector."""
        return task.probe

    def learn(self, usual: Traffic) -> Mapping[str, Any] | None:
        """See Signal.learn."""
        return learn_features(_vectors(usual))

    def sketch(self, traffic: Traffic, usual: Mapping[str, Any]) -> np.ndarray:
        """See Signal.sketch."""
        return features_of(_vectors(traffic), usual).sum(axis=0)

    def compare(self, usual: Mapping[str, Any], sketch: np.ndarray, rows: int) -> Drift:
        """See Signal.compare."""
        return compare_means(usual["mean"], usual["covariance"], usual["rows"], sketch, rows)


def _vectors(traffic: Traffic) -> np.ndarray:
    return np.asarray(traffic.outputs, dtype=float)
