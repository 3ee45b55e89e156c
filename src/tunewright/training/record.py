"""metrics.jsonl: every number of a run as it comes, and the trackers beside it."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tunewright.core.contracts import Tracker
from tunewright.core.errors import DamagedFile
from tunewright.core.files import jsonable, machine_errors


class Record:
    """Appends one JSON object a line, flushed at once; `mark` and `rewind` let a resumed run continue its own file."""

    def __init__(self, path: Path, trackers: Sequence[Tracker] = ()) -> None:
        self.path = path
        self.trackers = trackers
        path.touch()

    def log(self, step: int, kind: str, values: Mapping[str, Any], **about: Any) -> None:
        """Write {"step", "kind", **about, **values}; numbers go to the trackers as "kind/name"."""
        line = json.dumps(jsonable({"step": step, "kind": kind, **about, **values}), ensure_ascii=False)
        with machine_errors(self.path), open(self.path, "a", encoding="utf-8") as file:
            file.write(line + "\n")
        numbers = {f"{kind}/{name}": float(value) for name, value in values.items() if isinstance(value, (int, float))}
        for tracker in self.trackers:
            tracker.log(step, numbers)

    def mark(self) -> int:
        """The file's size now, in bytes."""
        return self.path.stat().st_size

    def rewind(self, mark: int) -> None:
        """Forget what was written after `mark`."""
        if self.mark() < mark:
            raise DamagedFile(f"{self.path} is shorter than when the run was interrupted. Restore it, or start anew.")
        with open(self.path, "r+b") as file:
            file.truncate(mark)
            os.fsync(file.fileno())


@contextlib.contextmanager
def recording(folder: Path, trackers: Sequence[Tracker], settings: Mapping[str, Any]) -> Iterator[Record]:
    """A Record in a run's folder with its trackers open."""
    for tracker in trackers:
        tracker.start(folder, settings)
    try:
        yield Record(folder / "metrics.jsonl", trackers)
    finally:
        for tracker in trackers:
            tracker.finish()
