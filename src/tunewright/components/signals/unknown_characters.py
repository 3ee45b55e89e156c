"""Characters that texts are not usually written with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tunewright.core.contracts import Traffic
from tunewright.core.signals import PieceSignal
from tunewright.core.types import Note


@dataclass(frozen=True)
class UnknownCharacters(PieceSignal):
    """Known are those that two usual texts hold at least: what one text alone holds is nowhere kept."""

    title: ClassVar[Note] = Note("unknown characters", "没见过的字符")
    least: ClassVar[float] = 0.02  # of 100 rows, 2 in another bin
    of_texts: ClassVar[bool] = True

    def pieces(self, traffic: Traffic) -> list[np.ndarray]:
        """See PieceSignal.pieces."""
        return [
            np.frombuffer(text.encode("utf-32-le", "replace"), dtype=np.uint32).astype(np.int64)
            for text in traffic.texts
        ]
