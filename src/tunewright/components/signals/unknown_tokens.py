"""Tokens that texts do not usually hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tunewright.core.contracts import Traffic
from tunewright.core.signals import PieceSignal
from tunewright.core.types import Note


@dataclass(frozen=True)
class UnknownTokens(PieceSignal):
    """Known are those that two usual texts hold at least: what one text alone holds is nowhere kept."""

    title: ClassVar[Note] = Note("unknown tokens", "没见过的词元")
    least: ClassVar[float] = 0.05  # of 100 rows, 5 in another bin
    of_texts: ClassVar[bool] = True

    def pieces(self, traffic: Traffic) -> list[np.ndarray]:
        """See PieceSignal.pieces."""
        return list(traffic.tokens)
