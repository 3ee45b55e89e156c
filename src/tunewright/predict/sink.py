"""Where answers go: one JSON object a line, or a table."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from tunewright.core.errors import DataError, UsageError, nearest
from tunewright.core.files import jsonable

Write = Callable[[Mapping[str, Any]], None]
ENDINGS = {".jsonl": None, ".csv": ",", ".tsv": "\t"}  # what a file can be written as, and its delimiter


def ending(path: Path | str) -> str:
    """The ending of a file to be written. Raises UsageError when it is none that can be."""
    suffix = Path(path).suffix.lower()
    if suffix not in ENDINGS:
        raise UsageError(
            f"Answers are written as .jsonl, .csv or .tsv, and {path} ends otherwise.{nearest(suffix, ENDINGS)}"
        )
    return suffix


def writer(file: TextIO, suffix: str, columns: Sequence[str]) -> Write:
    """The function that writes one row to `file`, opened for text; `columns` are a table's, in order."""
    delimiter = ENDINGS[suffix]
    return _table(file, columns, delimiter) if delimiter else _json_lines(file)


def _json_lines(file: TextIO) -> Write:
    def write(row: Mapping[str, Any]) -> None:
        file.write(json_text(row) + "\n")

    return write


def json_text(value: Any) -> str:
    """`value` as JSON on one line; a lone surrogate, which a JSON input may hold, becomes JSON's escape for it."""
    try:  # as a rule there is nothing to convert, and looking for it takes thrice as long
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError):
        text = json.dumps(jsonable(value), ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _table(file: TextIO, columns: Sequence[str], delimiter: str) -> Write:
    rows = csv.writer(file, delimiter=delimiter, lineterminator="\n")
    rows.writerow(columns)
    known = frozenset(columns)

    def write(row: Mapping[str, Any]) -> None:
        if new := row.keys() - known:
            raise DataError(
                f"A row has the column {sorted(new)[0]!r}, which the rows before did not have, so it is not in the "
                "table's header. Write .jsonl instead."
            )
        rows.writerow([_cell(row.get(column)) for column in columns])

    return write


def _cell(value: Any) -> Any:
    """What a cell of a table holds: nested values as JSON."""
    if isinstance(value, (dict, list, tuple)):
        return json_text(value)
    return "" if value is None else value
