"""How sure the model is of its answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tunewright.core.contracts import Traffic
from tunewright.core.signals import NumberSignal
from tunewright.core.types import Note


@dataclass(frozen=True)
class Confidence(NumberSignal):
    """Scores, in bins that hold as many of the usual rows each."""

    title: ClassVar[Note] = Note("how sure answers are", "回答的把握")
    least: ClassVar[float] = 0.05  # of 100 rows, 5 in another bin

    def numbers(self, traffic: Traffic) -> np.ndarray:
        """See NumberSignal.numbers."""
        return traffic.scores
