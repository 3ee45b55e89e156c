"""Where the network puts texts: its outputs, which are an affine map of its last features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tunewright.core.contracts import Signal, Task, Traffic
from tunewright.core.drift import Drift, along, compare_means, learn_directions
from tunewright.core.types import Note


@dataclass(frozen=True)
class Embedding(Signal):
    """Means along the directions in which usual outputs differ most, and how far from the middle they lie."""

    title: ClassVar[Note] = Note("embedding of texts", "文本的嵌入")

    def suits(self, task: Task) -> bool:
        """See Signal.suits. Of tasks that give a row one vector."""
        return task.probe

    def learn(self, usual: Traffic) -> Mapping[str, Any] | None:
        """See Signal.learn."""
        return learn_directions(usual.outputs)

    def sketch(self, traffic: Traffic, usual: Mapping[str, Any]) -> np.ndarray:
        """See Signal.sketch."""
        return along(traffic.outputs, usual).sum(axis=0)

    def compare(self, usual: Mapping[str, Any], sketch: np.ndarray, rows: int) -> Drift:
        """See Signal.compare."""
        directions, far = slice(0, -1), slice(-1, None)
        found = [
            compare_means(usual["mean"][part], usual["covariance"][part, part], usual["rows"], sketch[part], rows)
            for part in (directions, far)
        ]
        least = min(found, key=lambda drift: drift.p)
        return Drift(min(1.0, len(found) * least.p), least.distance)
