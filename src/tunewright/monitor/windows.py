"""Watch answers as they come: a window of the newest ones, looked at several times while it moves on, kept as sums."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunewright.core import catalog, gate
from tunewright.core.contracts import Signal, Traffic
from tunewright.core.drift import Drift, combined, limit_of_each
from tunewright.core.gate import Gate
from tunewright.core.types import Note
from tunewright.monitor import accuracy
from tunewright.monitor.accuracy import Estimate
from tunewright.monitor.reference import Reference
from tunewright.monitor.watching import Watching

ACCURACY = "estimated_accuracy"
TITLE = Note("the estimated share of right answers", "估计的答对比例")
TOGETHER = "all_together"
ALL = Note("all signals together", "所有信号合起来")
LEAST_DROP = 0.02  # of the estimated accuracy that is worth an alarm


@dataclass(frozen=True)
class Look:
    """What `rows` answers, the first of which was number `first` (from 0), say of themselves.

    drifts: the signal → how it differs from what is usual; estimate: of the share of right answers, None where
    nothing is known of it; level: how often by chance, at most, such a look may raise an alarm.
    """

    first: int
    rows: int
    drifts: Mapping[Signal, Drift]
    estimate: Estimate | None
    level: float

    @functools.cached_property
    def tests(self) -> dict[str, float]:
        """Everything that can raise an alarm, with its p-value; at last, all of it together. Each p is divided by the signal's
        weight, so that one limit holds for all (Genovese, Roeder and Wasserman 2006)."""
        single = {catalog.name_of(signal): (drift.p, signal.weight) for signal, drift in self.drifts.items()}
        if self.estimate is not None:
            single[ACCURACY] = self.estimate.p, 1.0
        mean = sum(weight for _, weight in single.values()) / max(1, len(single))
        found = {name: min(1.0, p * mean / weight) for name, (p, weight) in single.items()}
        return {**found, TOGETHER: combined([found[name] for name in self._worth])}

    @property
    def _worth(self) -> dict[str, Note]:
        """What differs enough to matter, with its title."""
        found = {
            catalog.name_of(signal): signal.title
            for signal, drift in self.drifts.items()
            if drift.distance >= signal.least
        }
        dropped = self.estimate is not None and self.estimate.drop >= LEAST_DROP
        return {**found, ACCURACY: TITLE} if dropped else found

    @functools.cached_property
    def limit(self) -> float:
        """The p-value of a single test, or of all together, below which an alarm is raised: the level is shared by all tests,
        however these depend on each other."""
        return limit_of_each(self.level, len(self.tests) - 1)

    @functools.cached_property
    def gate(self) -> Gate:
        """Whether all is as usual. What differs too little to matter is no check."""
        checks = {**self._worth, TOGETHER: ALL}
        made = (gate.check(name, self.tests[name], ">=", self.limit, _as_usual(of)) for name, of in checks.items())
        return Gate("monitor", tuple(made))

    @property
    def alarms(self) -> tuple[str, ...]:
        """What is not as usual."""
        return tuple(check.name for check in self.gate.failed)

    @property
    def doubts(self) -> tuple[str, ...]:
        """The signals by which texts are of another kind than usual: of such, scores need not mean what they meant, and the
        estimate may be too high."""
        of_texts = {catalog.name_of(signal) for signal in self.drifts if signal.of_texts}
        return tuple(name for name in self.alarms if name in of_texts)

    def to_dict(self) -> dict[str, Any]:
        """As `monitor --json` and the server's status have it."""
        names = {catalog.name_of(signal): drift for signal, drift in self.drifts.items()}
        drifts = {name: {"p": self.tests[name], "distance": drift.distance} for name, drift in names.items()}
        judged = {"holds": not self.doubts, "doubts": self.doubts}
        return {
            "first": self.first,
            "rows": self.rows,
            "signals": drifts,
            TOGETHER: self.tests[TOGETHER],
            ACCURACY: None if self.estimate is None else {**self.estimate.to_dict(), **judged},
            "limit": self.limit,
            "alarms": self.alarms,
        }


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
        self._panes: deque[_Pane] = deque(maxlen=self.watching.looks)
        self._open: _Pane | None = None
        self.rows = 0  # that were seen in all

    def add(self, traffic: Traffic) -> Iterator[Look]:
        """Take rows in; gives a look whenever another pane is full, from `first` rows on."""
        start = 0
        while start < len(traffic):
            room = self.watching.pane - (self._open.rows if self._open else 0)
            part = traffic.part(start, start + room)
            start += room
            self.rows += len(part)
            new = self._sums(part)
            self._open = new if self._open is None else self._open + new
            if self._open.rows == self.watching.pane:
                look = self._close()
                if look.rows >= self.watching.first:
                    yield look

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
        return Look(self.rows - window.rows, window.rows, drifts, estimate, self.watching.level_at(window.rows))

    def _sums(self, traffic: Traffic) -> _Pane:
        signals = [signal.sketch(traffic, usual) for signal, usual in self.reference.signals.items()]
        known = self.reference.accuracy
        scores = np.zeros(0) if known is None else accuracy.sketch(traffic.scores, known)
        return _Pane(len(traffic), (*signals, scores))
