"""Plain text, one example a line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tunewright.core.contracts import Reader, Row
from tunewright.data import conlltext, jsontext
from tunewright.data import encoding as files


@dataclass(frozen=True)
class Text(Reader):
    """Lines of a text file, in the column "text"; an empty one is a row without text, so that none is lost unseen."""

    encoding: str = "auto"  # auto: UTF-8, UTF-16 or GB18030, by the bytes; or any name that Python knows

    suffixes: ClassVar[tuple[str, ...]] = (".txt",)

    def recognises(self, source: str) -> bool:
        """See Reader.recognises. Tables, JSON lines and tagged words are left to their readers."""
        if not os.path.isfile(source) or Path(source).suffix.lower() not in self.suffixes:
            return False
        sample = files.first_lines(source)
        return not (files.looks_tabular(sample) or conlltext.looks_tagged(sample) or jsontext.looks_jsonl(source))

    def read(self, source: str) -> Iterator[Row]:
        """See Reader.read."""
        for number, line in files.lines(source, files.check_encoding(self.encoding, source)):
            garbled = files.MARK in line or "\0" in line
            yield Row(number, {"text": line}, "garbled: bytes that do not decode, or NUL characters" if garbled else "")

    def describe(self, source: str) -> dict[str, Any]:
        """See Reader.describe."""
        return {"encoding": files.check_encoding(self.encoding, source), "columns": ["text"]}
