"""How long texts are, in tokens of the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tunewright.core.contracts import Traffic
from tunewright.core.signals import NumberSignal
from tunewright.core.types import Note


@dataclass(frozen=True)
class TextLength(NumberSignal):
    """Tokens of each text, in bins that hold as many of the usual rows each."""

    title: ClassVar[Note] = Note("length of texts", "文本长度")
    least: ClassVar[float] = 0.05  # of 100 rows, 5 in another bin

    def numbers(self, traffic: Traffic) -> np.ndarray:
        """See NumberSignal.numbers."""
        return traffic.lengths
