"""Look through rows of a file, a window at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tunewright.core.errors import DataError, plural
from tunewright.core.progress import Progress
from tunewright.monitor import reference
from tunewright.monitor.reference import Reference
from tunewright.monitor.traffic import traffic_of
from tunewright.monitor.watching import FEWEST, Watching
from tunewright.monitor.windows import Look, Monitor
from tunewright.predict.infer import chunked
from tunewright.predict.predictor import Predictor
from tunewright.predict.stream import Stream

TOGETHER = 256  # rows that are sketched at a time


@dataclass(frozen=True)
class Monitored:
    """What was seen in rows.

    looks: one a window, in order; level: shared by all of them; usual: rows that they were compared with;
    accuracy: usual share of right answers, None where it is not known; problems: rows that could not be answered;
    left_over: rows at the end, too few for a window.
    """

    looks: tuple[Look, ...]
    level: float
    usual: int
    accuracy: float | None
    problems: int
    left_over: int

    @property
    def alarm(self) -> bool:
        """Whether any window differs from what is usual more than chance would have it."""
        return not all(look.gate.passed for look in self.looks)

    def to_dict(self) -> dict[str, Any]:
        """As `monitor --json` prints it."""
        return {
            "verdict": "alarm" if self.alarm else "as_usual",
            "rows": sum(look.rows for look in self.looks),
            "usual_rows": self.usual,
            "usual_accuracy": self.accuracy,
            "level": self.level,
            "windows": [look.to_dict() for look in self.looks],
            "problems": self.problems,
            "left_over": self.left_over,
        }


def monitor(
    stream: Stream, predictor: Predictor, usual: Reference, watching: Watching, progress: Progress | None = None
) -> Monitored:
    """Answer the stream's rows and compare them, `watching.window` at a time. Raises DataError for too few rows."""
    seen = Monitor(usual, Watching(watching.window, looks=1, level=watching.level))
    looks: list[Look] = []
    for rows in chunked(stream.answers(progress), TOGETHER):
        looks += seen.add(traffic_of(predictor.bundle.task, rows))
    if seen.rows < FEWEST:
        raise DataError(f"{plural(seen.rows, 'row')} can be answered: nothing is to be seen in fewer than {FEWEST}.")
    rest = seen.rest()
    if rest is not None and rest.rows >= FEWEST:
        looks.append(rest)
    left_over = seen.rows - sum(look.rows for look in looks)
    known: Mapping[str, Any] = usual.accuracy or {}
    shared = tuple(replace(look, level=watching.level / len(looks)) for look in looks)
    return Monitored(shared, watching.level, usual.rows, known.get("accuracy"), stream.tally.problems, left_over)


def learn(stream: Stream, predictor: Predictor, progress: Progress | None = None) -> Reference:
    """What is usual, from the stream's rows. Raises DataError for too few of them."""
    found = reference.learn(predictor.bundle.task, list(stream.answers(progress)))
    if found.rows < FEWEST:
        raise DataError(f"{plural(found.rows, 'row')} can be answered: {FEWEST} at least say what is usual.")
    return found
