"""Characters that texts are not usually written with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tunewright.core.contracts import Signal, Traffic
from tunewright.core.drift import Drift, binned, compare_ordered, cut, unknown_shares, widely_known
from tunewright.core.types import Note


@dataclass(frozen=True)
class UnknownCharacters(Signal):
    """The share of each text's characters that usual texts do not hold. Known are those that two usual texts hold at least:
    what one text alone holds is nowhere kept."""

    title: ClassVar[Note] = Note("unknown characters", "没见过的字符")
    least: ClassVar[float] = 0.02  # of 100 rows, 2 with more of them
    of_texts: ClassVar[bool] = True

    def learn(self, usual: Traffic) -> Mapping[str, Any] | None:
        """See Signal.learn. Each usual text is looked at as if it were new: by what the others hold."""
        known, shares = widely_known(_characters(usual.texts))
        edges = cut(shares)
        return {"known": known, "edges": edges, "counts": binned(shares, edges)} if len(usual) else None

    def sketch(self, traffic: Traffic, usual: Mapping[str, Any]) -> np.ndarray:
        """See Signal.sketch."""
        return binned(unknown_shares(_characters(traffic.texts), usual["known"]), usual["edges"])

    def compare(self, usual: Mapping[str, Any], sketch: np.ndarray, rows: int) -> Drift:
        """See Signal.compare."""
        return compare_ordered(usual["counts"], sketch)


def _characters(texts: Sequence[str]) -> list[np.ndarray]:
    return [np.frombuffer(text.encode("utf-32-le", "replace"), dtype=np.uint32).astype(np.int64) for text in texts]
