"""The loss ledger: every input row and token is accounted for, on disk, at constant memory."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunewright.core.errors import DataError
from tunewright.core.files import machine_errors, parse_json
from tunewright.core.types import BELOW
from tunewright.data.encoding import reading

_ROWS = ("read", "used", "dropped", "moved_in", "moved_out")


class Ledger:
    """Accounts for rows and tokens by split: one JSONL line for each one lost, counts in memory, a summary at the end.

    path: the JSONL file, begun anew. Lines are {"split", "file", "line", "kind", "reason"} for a dropped row,
    {"split", "row", "truncated"} for a truncated one, and {"summary": …} last. They hold no text of the data.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._rows: dict[str, Counter[str]] = {}
        self._reasons: dict[str, Counter[str]] = {}
        self._tokens: dict[str, dict[str, int]] = {}
        with machine_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(self.path, "w", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115 - open as long as the ledger is

    @classmethod
    def resume(cls, source: Path | str, path: Path | str) -> Ledger:
        """Continue the closed ledger `source` in the new file `path`: same lines and counts, the summary still to come.

        `source` stays as it is. Raises DataError when it does not end with a summary.
        """
        with reading(source):
            lines = Path(source).read_text(encoding="utf-8").splitlines()
        summary = parse_json(lines[-1], source).get("summary") if lines else None
        if summary is None:
            raise DataError(f"{source} is no complete ledger: its last line is no summary. Prepare the data anew.")
        ledger = cls(path)
        with machine_errors(ledger.path):
            ledger._file.writelines(line + "\n" for line in lines[:-1])
        for split, counts in summary["rows"].items():
            ledger._rows[split] = Counter({name: counts[name] for name in _ROWS})
            ledger._reasons[split] = Counter(counts["reasons"])
        ledger._tokens = summary["tokens"]
        return ledger

    @classmethod
    def joined(cls, sources: Mapping[str, Path | str], path: Path | str) -> Ledger:
        """The lines and counts of several closed ledgers in the new file `path`, the summary still to come.

        sources: name → ledger; the name is put before the files that its lines name.
        """
        ledger = cls(path)
        with tempfile.TemporaryDirectory() as scratch:
            for name, source in sources.items():
                other = cls.resume(source, Path(scratch) / name)
                other._file.close()
                for line in other.path.read_text(encoding="utf-8").splitlines():
                    entry = parse_json(line, source)
                    ledger._write({**entry, "file": f"{name}{BELOW}{entry['file']}"} if "file" in entry else entry)
                for own, theirs in ((ledger._rows, other._rows), (ledger._reasons, other._reasons)):
                    for split, counts in theirs.items():
                        own.setdefault(split, Counter()).update(counts)
        return ledger

    def read(self, split: str, count: int = 1) -> None:
        """Count rows that were seen in the input."""
        self._count(split, "read", count)

    def use(self, split: str, count: int = 1) -> None:
        """Count rows that go on."""
        self._count(split, "used", count)

    def drop(self, split: str, file: str, line: int, reason: str, kind: str, count: int = 1) -> None:
        """Record a row that does not go on, and why. `kind` is a machine word ("empty_text"); `count` rows at once
        where one line speaks for all ("limit")."""
        self._count(split, "dropped", count)
        self._reasons.setdefault(split, Counter())[kind] += count
        entry = {"split": split, "file": file, "line": line, "kind": kind, "reason": reason}
        self._write(entry if count == 1 else entry | {"rows": count})

    def move(self, source_split: str, to_split: str, count: int) -> None:
        """Count rows that were cut from one split into another."""
        self._count(source_split, "moved_out", count)
        self._count(to_split, "moved_in", count)

    def tokens(self, split: str, *, seen: int, used: int, truncated: int, windows: int, split_rows: int) -> None:
        """Set a split's tokens: seen in the texts, used by the model, cut off; windows made, and rows in several."""
        self._tokens[split] = {
            "seen": seen, "used": used, "truncated": truncated, "windows": windows, "split_rows": split_rows
        }  # fmt: skip

    def truncate(self, split: str, file_line: str, truncated: int) -> None:
        """Record one row of which `truncated` tokens were cut off."""
        self._write({"split": split, "row": file_line, "truncated": truncated})

    def summary(self) -> dict[str, Any]:
        """Counts by split: {"rows": {split: {"read", …, "reasons": {kind: n}}}, "tokens": {split: {…}}}."""
        rows = {
            split: {name: counts[name] for name in _ROWS} | {"reasons": dict(self._reasons.get(split, {}))}
            for split, counts in self._rows.items()
        }
        return {"rows": rows, "tokens": {split: dict(counts) for split, counts in self._tokens.items()}}

    def balance(self) -> list[str]:
        """What does not add up, one sentence each; [] when every row and token is accounted for."""
        wrong = []
        for split, counts in self._rows.items():
            came = counts["read"] + counts["moved_in"]
            went = counts["used"] + counts["dropped"] + counts["moved_out"]
            if came != went:
                wrong.append(f"{split}: {came} rows came in and {went} are accounted for")
            if counts["dropped"] != sum(self._reasons.get(split, {}).values()):
                wrong.append(f"{split}: {counts['dropped']} rows dropped do not match their reasons")
        for split, tokens in self._tokens.items():
            if tokens["seen"] != tokens["used"] + tokens["truncated"]:
                wrong.append(
                    f"{split}: {tokens['seen']} tokens seen, {tokens['used'] + tokens['truncated']} accounted for"
                )
        return wrong

    def close(self) -> None:
        """Write the summary as the last line and close the file. Closing twice is harmless."""
        if not self._file.closed:
            self._write({"summary": self.summary()})
            with machine_errors(self.path):
                self._file.close()

    def _count(self, split: str, name: str, count: int) -> None:
        self._rows.setdefault(split, Counter())[name] += count

    def _write(self, entry: dict[str, Any]) -> None:
        with machine_errors(self.path):
            self._file.write(json.dumps(entry, ensure_ascii=False) + "\n")
