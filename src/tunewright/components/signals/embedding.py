"""Where the network puts texts: its outputs, which are an affine map of its last features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tunewright.core.contracts import Task, Traffic
from tunewright.core.signals import VectorSignal
from tunewright.core.types import Note


@dataclass(frozen=True)
class Embedding(VectorSignal):
    """Means of random features of a Gaussian kernel are compared."""

    title: ClassVar[Note] = Note("embedding of texts", "文本的嵌入")
    of_texts: ClassVar[bool] = True

    def suits(self, task: Task) -> bool:
        """See Signal.suits. Of tasks that give a row one vector."""
        return task.probe

    def vectors(self, traffic: Traffic) -> np.ndarray:
        """See VectorSignal.vectors."""
        return np.asarray(traffic.outputs, dtype=float)
