"""What a server remembers between requests, and its workers share: counts towards quotas, and answers that feedback is on.

A small database (SQLite), in a file that all workers open or, for one process, in memory. Texts are in it only where the
server was told to keep them, and masked then.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunewright.core.errors import MachineError
from tunewright.serve import quota
from tunewright.serve.keys import Key
from tunewright.serve.limits import RequestError

DAYS = 7  # that answers are kept for feedback
SWEEP = 256  # writes between two looks for what is too old
WAIT = 5.0  # seconds for another worker to be done


class Store:
    """Raises MachineError for a file that is no such database or cannot be written."""

    def __init__(self, file: Path | None = None) -> None:
        try:
            if file is not None:
                file.parent.mkdir(parents=True, exist_ok=True)
            self._base = sqlite3.connect(
                ":memory:" if file is None else file, timeout=WAIT, isolation_level=None, check_same_thread=False
            )
            self._base.execute("PRAGMA journal_mode = WAL")
            self._base.execute(
                "PRAGMA synchronous = OFF"
            )  # a kill loses nothing; a crash of the machine may, the last counts
            self._base.execute(
                "CREATE TABLE IF NOT EXISTS used (key, what, period, number, count, PRIMARY KEY (key, what, period))"
            )
            self._base.execute("CREATE TABLE IF NOT EXISTS answers (id PRIMARY KEY, at, about)")
        except (sqlite3.Error, OSError) as error:
            raise MachineError(
                f"{file} cannot be used to keep counts and answers: {error}. Choose another --state."
            ) from None
        self._writes = 0

    def take(self, key: Key, what: str, amount: int, now: float | None = None) -> None:
        """Count `amount` requests or rows of this key. Raises RequestError, and counts nothing, where a quota is used up."""
        now = time.time() if now is None else now
        windows = quota.windows(key.quotas, what, now)
        if not windows:
            return
        self._base.execute("BEGIN IMMEDIATE")
        try:
            for period, number, most, left in windows:
                used = self._used(key.id, what, period, number)
                if used + amount > most:
                    raise _exceeded(what, period, amount, most, left)
                self._base.execute(
                    "INSERT OR REPLACE INTO used VALUES (?, ?, ?, ?, ?)", (key.id, what, period, number, used + amount)
                )
        except BaseException:
            self._base.execute("ROLLBACK")
            raise
        self._base.execute("COMMIT")

    def _used(self, key: str, what: str, period: str, number: int) -> int:
        asked = "SELECT number, count FROM used WHERE key = ? AND what = ? AND period = ?"
        found = self._base.execute(asked, (key, what, period)).fetchone()
        return found[1] if found is not None and found[0] == number else 0

    def remember(self, id: str, about: Mapping[str, Any]) -> None:
        """Keep what was answered, for feedback within DAYS days."""
        text = json.dumps(about, ensure_ascii=False, separators=(",", ":"))
        self._base.execute("INSERT INTO answers VALUES (?, ?, ?)", (id, time.time(), text))
        self._writes += 1
        if self._writes % SWEEP == 0:
            self._base.execute("DELETE FROM answers WHERE at < ?", (time.time() - DAYS * 86_400,))

    def recall(self, id: str) -> dict[str, Any] | None:
        """What was kept under this id; None: nothing, or no longer."""
        asked = "SELECT about FROM answers WHERE id = ? AND at >= ?"
        found = self._base.execute(asked, (id, time.time() - DAYS * 86_400)).fetchone()
        return None if found is None else json.loads(found[0])

    def close(self) -> None:
        """Give the file back."""
        self._base.close()


def _exceeded(what: str, period: str, amount: int, most: int, left: int) -> RequestError:
    if amount > most:
        return RequestError(
            413, "quota", f"The request has {amount:,} {what}, and this key may have {most:,} a {period}. Send fewer."
        )
    return RequestError(
        429,
        "quota",
        f"This key may have {most:,} {what} a {period}, and has had them. Try again in {left:,} s.",
        {"Retry-After": str(left)},
    )
