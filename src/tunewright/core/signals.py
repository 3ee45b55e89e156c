"""What signals share: a number of each row. numpy only."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from tunewright.core.contracts import Signal, Traffic
from tunewright.core.drift import Drift, binned, compare_ordered, cut


class NumberSignal(Signal):
    """A number of each row, in bins that hold as many of the usual rows each."""

    @abstractmethod
    def numbers(self, traffic: Traffic) -> np.ndarray:
        """(rows,) the numbers."""

    def learn(self, usual: Traffic) -> Mapping[str, Any] | None:
        """See Signal.learn."""
        numbers = self.numbers(usual)
        edges = cut(numbers)
        return {"edges": edges, "counts": binned(numbers, edges)} if len(usual) else None

    def sketch(self, traffic: Traffic, usual: Mapping[str, Any]) -> np.ndarray:
        """See Signal.sketch."""
        return binned(self.numbers(traffic), usual["edges"])

    def compare(self, usual: Mapping[str, Any], sketch: np.ndarray, rows: int) -> Drift:
        """See Signal.compare."""
        return compare_ordered(usual["counts"], sketch)
