"""One JSON object a line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tunewright.core.contracts import Reader, Row
from tunewright.data import encoding as files
from tunewright.data import jsontext


@dataclass(frozen=True)
class Jsonl(Reader):
    """Rows of a JSON Lines file."""

    encoding: str = "auto"  # auto: UTF-8, UTF-16 or GB18030, by the bytes; or any name that Python knows

    suffixes: ClassVar[tuple[str, ...]] = (".jsonl", ".ndjson", ".jl")

    def recognises(self, source: str) -> bool:
        """See Reader.recognises. A .json file counts when its first line is a whole object and others follow."""
        if not os.path.isfile(source):
            return False
        suffix = Path(source).suffix.lower()
        return suffix in self.suffixes or (suffix in (".json", ".txt") and jsontext.looks_jsonl(source))

    def read(self, source: str) -> Iterator[Row]:
        """See Reader.read."""
        for number, line in files.lines(source, files.check_encoding(self.encoding, source)):
            if line.strip("\ufeff \t\r\n"):
                values, problem = jsontext.parse_object(line)
                yield Row(number, values, problem)

    def describe(self, source: str) -> dict[str, Any]:
        """See Reader.describe."""
        encoding = files.check_encoding(self.encoding, source)
        columns: dict[str, None] = {}
        for line in files.sample_lines(source, encoding):
            columns.update(dict.fromkeys(jsontext.parse_object(line)[0]))
        return {"encoding": encoding, "columns": list(columns)}
