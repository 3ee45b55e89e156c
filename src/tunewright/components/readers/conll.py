"""Words and their tags in columns, a blank line between sentences (CoNLL)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

from tunewright.core.contracts import Reader, Row
from tunewright.core.errors import DataError
from tunewright.data import conlltext
from tunewright.data import encoding as files


@dataclass(frozen=True)
class Conll(Reader):
    """Sentences as rows: text, tokens, tags, and the spans that the tags mark."""

    delimiter: str = "auto"  # auto: tabs where every line has them, else any white space
    encoding: str = "auto"  # auto: UTF-8, UTF-16 or GB18030, by the bytes; or any name that Python knows
    token_column: int = 0  # the words' column, from 0
    tag_column: int = -1  # the tags' column; -1 is the last

    suffixes: ClassVar[tuple[str, ...]] = (".conll", ".bio", ".bioes", ".iob", ".iob2")

    def recognises(self, source: str) -> bool:
        """See Reader.recognises. A .txt file counts when its lines are words with a tag."""
        if not os.path.isfile(source):
            return False
        suffix = Path(source).suffix.lower()
        return suffix in self.suffixes or (suffix == ".txt" and conlltext.looks_tagged(files.first_lines(source)))

    def read(self, source: str) -> Iterator[Row]:
        """See Reader.read."""
        encoding, delimiter = self._form(source)
        for line, words, broken in conlltext.sentences(files.lines(source, encoding), delimiter):
            yield self._row(line, words, broken, source)

    def describe(self, source: str) -> dict[str, Any]:
        """See Reader.describe."""
        encoding, delimiter = self._form(source)
        if next(islice(self.read(source), 1), None) is None:
            raise DataError(f"{source} holds no sentences.")
        columns = ["text", "tokens", "tags", "spans"]
        return {"encoding": encoding, "delimiter": delimiter or "white space", "columns": columns}

    def _form(self, source: str) -> tuple[str, str | None]:
        encoding = files.check_encoding(self.encoding, source)
        if self.delimiter != "auto":
            return encoding, self.delimiter
        sample = [line for line in files.sample_lines(source, encoding) if line.strip()]
        return encoding, "\t" if sample and all("\t" in line for line in sample) else None

    def _row(self, line: int, words: list[list[str]], broken: int, source: str) -> Row:
        if broken:
            return Row(line, {}, f"line {broken} has another number of columns than the sentence's first, or no tag")
        try:
            tokens = [cells[self.token_column] for cells in words]
            tags = [cells[self.tag_column].strip() for cells in words]
        except IndexError:
            raise DataError(f"{source}:{line} has {len(words[0])} columns: mend token_column and tag_column.") from None
        if any(files.MARK in word or "\0" in word for cells in words for word in cells):
            return Row(line, {}, "garbled: bytes that do not decode, or NUL characters")
        if wrong := next(((index, tag) for index, tag in enumerate(tags) if not conlltext.is_tag(tag)), None):
            return Row(line, {}, f"line {line + wrong[0]}: {wrong[1]!r:.40} is no tag; BIO or BIOES tags are expected")
        text, places = conlltext.join(tokens)
        return Row(line, {"text": text, "tokens": tokens, "tags": tags, "spans": conlltext.spans(tags, places)})
