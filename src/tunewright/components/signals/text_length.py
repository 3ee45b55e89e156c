"""How long texts are, in tokens of the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tunewright.core.contracts import Signal, Traffic
from tunewright.core.drift import Drift, binned, compare_counts, cut
from tunewright.core.types import Note


@dataclass(frozen=True)
class TextLength(Signal):
    """Tokens of each text, in bins that hold as many of the usual rows each."""

    title: ClassVar[Note] = Note("length of texts", "文本长度")
    least: ClassVar[float] = 0.05  # of 100 rows, 5 in another bin

    def learn(self, usual: Traffic) -> Mapping[str, Any] | None:
        """See Signal.learn."""
        edges = cut(usual.lengths)
        return {"edges": edges, "counts": binned(usual.lengths, edges)} if len(usual) else None

    def sketch(self, traffic: Traffic, usual: Mapping[str, Any]) -> np.ndarray:
        """See Signal.sketch."""
        return binned(traffic.lengths, usual["edges"])

    def compare(self, usual: Mapping[str, Any], sketch: np.ndarray, rows: int) -> Drift:
        """See Signal.compare."""
        return compare_counts(usual["counts"], sketch)
