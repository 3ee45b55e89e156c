"""Look at what is answered, in a thread of its own: answers are given before anyone looks at them."""

from __future__ import annotations

import logging
import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tunewright.core.bundle import Bundle
from tunewright.core.errors import BundleError
from tunewright.core.run import now
from tunewright.core.types import Prediction
from tunewright.monitor.reference import Reference, of_bundle
from tunewright.monitor.traffic import traffic_of
from tunewright.monitor.watching import Watching
from tunewright.monitor.windows import Look, Monitor
from tunewright.predict.infer import Inferred

log = logging.getLogger("tunewright.serve")
WAITING = 64  # batches that wait to be looked at; more are not looked at, and counted
KEPT = 120  # looks that the status page shows

Answered = Sequence[tuple[Inferred, Prediction]]


@dataclass(frozen=True)
class Alarm:
    """Answers of a version differ from what is usual. Holds numbers and names alone."""

    model: str
    version: str
    look: Look
    usual_accuracy: float | None

    def to_dict(self) -> dict[str, Any]:
        """As a webhook gets it."""
        about = self.look.to_dict()
        failed = [
            {
                "name": check.name,
                "p": check.value,
                "limit": check.limit,
                "distance": about["signals"].get(check.name, {}).get("distance"),
            }
            for check in self.look.gate.failed
        ]
        return {
            "event": "drift",
            "model": self.model,
            "version": self.version,
            "time": now(),
            "answers": {"first": self.look.first, "count": self.look.rows},
            "signals": failed,
            "estimated_accuracy": about["estimated_accuracy"],
            "usual_accuracy": self.usual_accuracy,
        }


class Watched:
    """One version with what has been seen of its answers."""

    def __init__(self, name: str, version: str, usual: Reference, watching: Watching) -> None:
        self.name, self.version, self.usual = name, version, usual
        self.looks: deque[tuple[str, Look]] = deque(maxlen=KEPT)  # when, and what was seen
        self.skipped = 0  # answers that nobody looked at, as too many waited
        self._monitor, self._watching = Monitor(usual, watching), watching

    @property
    def rows(self) -> int:
        """Answers that were looked at."""
        return self._monitor.rows

    def look(self, answered: Answered, bundle: Bundle) -> list[Alarm]:
        """Take answers in, and say what is not as usual."""
        alarms = []
        for look in self._monitor.add(traffic_of(bundle.task, answered)):
            self.looks.append((now(), look))
            if look.alarms:
                alarms.append(Alarm(self.name, self.version, look, (self.usual.accuracy or {}).get("accuracy")))
        return alarms

    def about(self) -> dict[str, Any]:
        """As the status has it."""
        looks = [{"time": time, **look.to_dict()} for time, look in list(self.looks)]
        return {
            "usual_rows": self.usual.rows,
            "usual_accuracy": (self.usual.accuracy or {}).get("accuracy"),
            "first_look": self._watching.first,
            "rows": self.rows,
            "skipped": self.skipped,
            "looks": looks,
        }


class Watch:
    """Looks at the answers of all versions. told: functions that get every alarm, in this thread."""

    def __init__(self, watching: Watching, told: Sequence[Callable[[Alarm], None]]) -> None:
        self._watching, self._told = watching, told
        self._waiting: queue.Queue[tuple[Watched, Bundle, Answered] | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._work, name="watch", daemon=True)
        self._thread.start()

    def over(self, name: str, version: str, bundle: Bundle) -> Watched | None:
        """What watches this version; None where its bundle does not say what is usual."""
        try:
            return Watched(name, version, of_bundle(bundle), self._watching)
        except BundleError:
            log.warning(
                "%s is not watched: its bundle does not say what is usual of its answers. It was made by an earlier version, or "
                "from too few validation rows.",
                name,
            )
            return None

    def see(self, watched: Watched, bundle: Bundle, answered: Answered) -> None:
        """Answers were given: look at them when there is time, and never hold them up."""
        try:
            self._waiting.put_nowait((watched, bundle, answered))
        except queue.Full:
            watched.skipped += len(answered)

    def close(self, seconds: float) -> None:
        """Look at what waits, and end the thread."""
        self._waiting.put(None)
        self._thread.join(seconds)

    def _work(self) -> None:
        while (waiting := self._waiting.get()) is not None:
            watched, bundle, answered = waiting
            try:
                for alarm in watched.look(answered, bundle):
                    for tell in self._told:
                        tell(alarm)
            except Exception as error:  # whatever is wrong with looking, answers go on; no message, it may hold a text
                watched.skipped += len(answered)
                log.error("Watching %s met a defect: %s.", watched.name, type(error).__name__)
