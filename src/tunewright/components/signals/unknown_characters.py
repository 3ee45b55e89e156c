"""Characters that texts are not usually written with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tunewright.core.contracts import Signal, Traffic
from tunewright.core.drift import Drift, binned, compare_counts, cut, unknown_shares, widely_known
from tunewright.core.types import Note


@dataclass(frozen=True)
class UnknownCharacters(Signal):
    """Known are those that two usual texts hold at least: what one text alone holds is nowhere kept."""

    title: ClassVar[Note] = Note("unknown characters", "没见过的字符")
    least: ClassVar[float] = 0.02  # of 100 rows, 2 in another bin
    of_texts: ClassVar[bool] = True

    def learn(self, usual: Traffic) -> Mapping[str, Any] | None:
        """See Signal.learn. Each usual row is looked at as if it were new: by what the others hold."""
        known, shares = widely_known(_pieces(usual))
        edges = cut(shares)
        return {"known": known, "edges": edges, "counts": binned(shares, edges)} if len(usual) else None

    def sketch(self, traffic: Traffic, usual: Mapping[str, Any]) -> np.ndarray:
        """See Signal.sketch."""
        return binned(unknown_shares(_pieces(traffic), usual["known"]), usual["edges"])

    def compare(self, usual: Mapping[str, Any], sketch: np.ndarray, rows: int) -> Drift:
        """See Signal.compare."""
        return compare_counts(usual["counts"], sketch)


def _pieces(traffic: Traffic) -> list[np.ndarray]:
    return [
        np.frombuffer(text.encode("utf-32-le", "replace"), dtype=np.uint32).astype(np.int64) for text in traffic.texts
    ]
