"""What signals share: a number of each row, the pieces that it is made of, or where it lies. numpy only."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tunewright.core.contracts import Signal, Traffic
from tunewright.core.drift import (
    Drift,
    binned,
    compare_counts,
    compare_means,
    cut,
    features_of,
    learn_features,
    unknown_shares,
    widely_known,
)


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
        return compare_counts(usual["counts"], sketch)


class PieceSignal(Signal):
    """The share of each row's pieces that usual rows do not hold. Known are those that two usual rows hold at least: what one
    row alone holds is nowhere kept."""

    @abstractmethod
    def pieces(self, traffic: Traffic) -> Sequence[np.ndarray]:
        """Each row's pieces, as numbers."""

    def learn(self, usual: Traffic) -> Mapping[str, Any] | None:
        """See Signal.learn. Each usual row is looked at as if it were new: by what the others hold."""
        known, shares = widely_known(self.pieces(usual))
        edges = cut(shares)
        return {"known": known, "edges": edges, "counts": binned(shares, edges)} if len(usual) else None

    def sketch(self, traffic: Traffic, usual: Mapping[str, Any]) -> np.ndarray:
        """See Signal.sketch."""
        return binned(unknown_shares(self.pieces(traffic), usual["known"]), usual["edges"])

    def compare(self, usual: Mapping[str, Any], sketch: np.ndarray, rows: int) -> Drift:
        """See Signal.compare."""
        return compare_counts(usual["counts"], sketch)


class VectorSignal(Signal):
    """A vector of each row: means of random features of a Gaussian kernel are compared."""

    @abstractmethod
    def vectors(self, traffic: Traffic) -> np.ndarray:
        """(rows, numbers) the vectors."""

    def learn(self, usual: Traffic) -> Mapping[str, Any] | None:
        """See Signal.learn."""
        return learn_features(self.vectors(usual))

    def sketch(self, traffic: Traffic, usual: Mapping[str, Any]) -> np.ndarray:
        """See Signal.sketch."""
        return features_of(self.vectors(traffic), usual).sum(axis=0)

    def compare(self, usual: Mapping[str, Any], sketch: np.ndarray, rows: int) -> Drift:
        """See Signal.compare."""
        return compare_means(usual["mean"], usual["covariance"], usual["rows"], sketch, rows)
