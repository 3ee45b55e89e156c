"""Watch answers as they come: a window of the newest ones, looked at several times while it moves on, kept as sums."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunewright.core import catalog, gate
from tunewright.core.contracts import Signal, Traffic
from tunewright.core.drift import Drift
from tunewright.core.gate import Gate
from tunewright.core.types import Note
from tunewright.monitor import accuracy
from tunewright.monitor.accuracy import Estimate
from tunewright.monitor.reference import Reference
from tunewright.monitor.watching import Watching

ACCURACY = "estimated_accuracy"
TITLE = Note("the estimated share of right answers", "估计的答对比例")
LEAST_DROP = 0.02  # of the estimated accuracy that is worth an alarm
FEWEST = 50  # answers below which nothing is said: means of features are not normal yet


@dataclass(frozen=True)
class Look:
    """What `rows` answers, the first of which was number `first` (from 0), say of themselves.

    drifts: the signal → how it differs from what is usual; estimate: of the share of right answers, None where
    nothing is known of it.
    """

    first: int
    rows: int
    drifts: Mapping[Signal, Drift]
    estimate: Estimate | None

    @property
    def tests(self) -> dict[str, float]:
        """Everything that can raise an alarm, with its p-value."""
        found = {catalog.name_of(signal): drift.p for signal, drift in self.drifts.items()}
        return found if self.estimate is None else {**found, ACCURACY: self.estimate.p}

    def gate(self, level: float, looks: int) -> Gate:
        """Whether all is as usual.

        `level` is shared by so many looks and all tests, however these depend on each other (Bonferroni), so that all of
        them together raise a false alarm no more often. What differs too little to matter is no check.
        """
        limit = self.limit(level, looks)
        checks = [
            gate.check(catalog.name_of(signal), drift.p, ">=", limit, _as_usual(signal.title))
            for signal, drift in self.drifts.items()
            if drift.distance >= signal.least
        ]
        if self.estimate is not None and self.estimate.drop >= LEAST_DROP:
            checks.append(gate.check(ACCURACY, self.estimate.p, ">=", limit, _as_usual(TITLE)))
        return Gate("monitor", tuple(checks))

    def limit(self, level: float, looks: int) -> float:
        """The p-value of a single test below which an alarm is raised."""
        return level / looks / max(1, len(self.tests))

    def to_dict(self) -> dict[str, Any]:
        """As `monitor --json` and the server's status have it."""
        drifts = {
            catalog.name_of(one): {"p": drift.p, "distance": drift.distance} for one, drift in self.drifts.items()
        }
        estimate = None if self.estimate is None else self.estimate.to_dict()
        return {"first": self.first, "rows": self.rows, "signals": drifts, "estimated_accuracy": estimate}


def _as_usual(title: Note) -> Note:
    return Note(f"p-value: {title.en} as usual.", f"p 值：{title.zh}与平时一样。")


@dataclass(frozen=True)
class _Pane:
    """Sums over a stretch of rows."""

    rows: int
    sketches: tuple[np.ndarray, ...]

    def __add__(self, other: _Pane) -> _Pane:
        both = zip(self.sketches, other.sketches, strict=True)
        return _Pane(self.rows + other.rows, tuple(one + two for one, two in both))


class Monitor:
    """Compares the newest answers with what is usual. Only sums of them are kept, of as many panes as it looks."""

    def __init__(self, reference: Reference, watching: Watching | None = None) -> None:
        self.reference, self.watching = reference, watching or Watching()
        # answers between two looks
        self.pane = max(1, math.ceil(self.watching.window / self.watching.looks))
        self._panes: deque[_Pane] = deque(maxlen=self.watching.looks)
        self._open: _Pane | None = None
        self.rows = 0  # that were seen in all

    def add(self, traffic: Traffic) -> Iterator[Look]:
        """Take rows in; gives a look whenever another pane is full."""
        start = 0
        while start < len(traffic):
            room = self.pane - (self._open.rows if self._open else 0)
            part = traffic.part(start, start + room)
            start += room
            self.rows += len(part)
            new = self._sums(part)
            self._open = new if self._open is None else self._open + new
            if self._open.rows == self.pane:
                yield self._close()

    def rest(self) -> Look | None:
        """A look at the newest rows, where some came since the last one."""
        return None if self._open is None else self._close()

    def _close(self) -> Look:
        assert self._open is not None
        self._panes.append(self._open)
        self._open = None
        window = self._panes[0]
        for pane in list(self._panes)[1:]:
            window = window + pane
        *sketches, scores = window.sketches
        compared = zip(self.reference.signals.items(), sketches, strict=True)
        drifts = {signal: signal.compare(usual, sketch, window.rows) for (signal, usual), sketch in compared}
        known = self.reference.accuracy
        estimate = None if known is None else accuracy.estimate(known, scores, window.rows)
        return Look(self.rows - window.rows, window.rows, drifts, estimate)

    def _sums(self, traffic: Traffic) -> _Pane:
        signals = [signal.sketch(traffic, usual) for signal, usual in self.reference.signals.items()]
        known = self.reference.accuracy
        scores = np.zeros(0) if known is None else accuracy.sketch(traffic.scores, known)
        return _Pane(len(traffic), (*signals, scores))
