"""Who changed what, when, and with which outcome: lines of JSON that are only added to, each on the disk before the next step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tunewright.core.errors import MachineError
from tunewright.core.files import append_json, check_appendable
from tunewright.core.run import now
from tunewright.serve.keys import CALLER
from tunewright.serve.limits import RequestError

BEGUN, DONE, REFUSED, DEFECT = "begun", "done", "refused", "defect"


class Audit:
    """The log in `file`; without one nothing is kept. Raises MachineError for a file that cannot be added to."""

    def __init__(self, file: Path | None = None) -> None:
        if file is not None:
            check_appendable(file)
        self._file = file

    def add(self, action: str, outcome: str, **about: Any) -> None:
        """Add a line. Raises RequestError where it cannot be written: what nobody can look up later is not done."""
        if self._file is None:
            return
        key = CALLER.get()
        who = {"who": key.who, "key": key.id, "role": key.role} if key else {"who": None}
        try:
            append_json(self._file, {"at": now(), **who, "action": action, "outcome": outcome, **about})
        except (MachineError, OSError):
            raise RequestError(503, "audit", "The audit log cannot be written, so nothing is changed.") from None
