"""A list of JSON objects, one object of equal columns, or either under a key such as "data"."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

from tunewright.core.contracts import Reader, Row
from tunewright.data import encoding as files
from tunewright.data import jsontext


@dataclass(frozen=True)
class Json(Reader):
    """Rows of a JSON file: a list is read piece by piece, whatever its size; columns of lists are read whole."""

    encoding: str = "auto"  # auto: UTF-8, UTF-16 or GB18030, by the bytes; or any name that Python knows

    suffixes: ClassVar[tuple[str, ...]] = (".json",)

    def recognises(self, source: str) -> bool:
        """See Reader.recognises. A .json file of one object a line, or of SQuAD's form, is left to a reader of its own."""
        if not os.path.isfile(source) or Path(source).suffix.lower() not in self.suffixes:
            return False
        return not jsontext.looks_jsonl(source) and not jsontext.looks_nested(source)

    def read(self, source: str) -> Iterator[Row]:
        """See Reader.read. Rows that share a line are counted on from it: each has a place of its own."""
        encoding = files.check_encoding(self.encoding, source)
        place = 0
        for line, value in jsontext.items(source, encoding):
            place = max(line, place + 1)
            if isinstance(value, dict):
                yield Row(place, value, "garbled: bytes that do not decode" if jsontext.marked(value) else "")
            else:
                yield Row(place, {}, "not a JSON object")

    def describe(self, source: str) -> dict[str, Any]:
        """See Reader.describe."""
        columns: dict[str, None] = {}
        for row in islice(self.read(source), 200):
            columns.update(dict.fromkeys(row.values))
        return {"encoding": files.check_encoding(self.encoding, source), "columns": list(columns)}
