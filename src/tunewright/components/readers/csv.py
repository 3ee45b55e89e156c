"""Comma-, tab-, semicolon- or bar-separated tables; encoding, delimiter and header are found out."""

from __future__ import annotations

import csv
import functools
import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from tunewright.core.contracts import Reader, Row
from tunewright.core.errors import DataError
from tunewright.data import encoding as files
from tunewright.data.guess import NAMES

MOST_LINES = 1000  # of one record: a quote that nobody closed must not swallow the rest of the file
_KNOWN_NAMES = frozenset(name for names in NAMES.values() for name in names) | {"id", "index", "split"}


@dataclass(frozen=True)
class Csv(Reader):
    """Rows of a delimited text file; a quoted cell may run over several lines."""

    delimiter: str = "auto"  # auto: tab, comma, semicolon or bar, whichever splits all lines alike
    encoding: str = "auto"  # auto: UTF-8, UTF-16 or GB18030, by the bytes; or any name that Python knows
    header: bool | Literal["auto"] = "auto"  # auto: whether the first line holds names rather than a row

    suffixes: ClassVar[tuple[str, ...]] = (".csv", ".tsv", ".tab")

    def recognises(self, source: str) -> bool:
        """See Reader.recognises. A file of another ending counts when all its first lines have tabs alike."""
        if not os.path.isfile(source):
            return False
        suffix = Path(source).suffix.lower()
        if suffix in self.suffixes:
            return True
        return suffix in (".txt", ".data", ".dat", "") and files.looks_tabular(files.first_lines(source))

    def read(self, source: str) -> Iterator[Row]:
        """See Reader.read."""
        form = self._form(source)
        width = len(form.columns)
        feed = _Feed(files.lines(source, form.encoding, keep_ends=True))
        for line, cells, problem in _records(feed, form.delimiter, form.quoting):
            if form.header:
                form = form.without_header()
                continue
            if problem:
                yield Row(line, {}, problem)
            elif len(cells) != width:
                yield Row(line, {}, f"{len(cells)} columns instead of {width}")
            else:
                yield Row(line, dict(zip(form.columns, cells, strict=True)), _problem(cells))

    def describe(self, source: str) -> dict[str, Any]:
        """See Reader.describe."""
        form = self._form(source)
        return {
            "encoding": form.encoding, "delimiter": form.delimiter, "header": form.header, "columns": list(form.columns)
        }  # fmt: skip

    def _form(self, source: str) -> _Form:
        stat = os.stat(source)
        return _find_form(self, source, stat.st_size, stat.st_mtime_ns)


@dataclass(frozen=True)
class _Form:
    """How one file is written."""

    encoding: str
    delimiter: str
    quoting: int
    header: bool
    columns: tuple[str, ...]

    def without_header(self) -> _Form:
        return _Form(self.encoding, self.delimiter, self.quoting, False, self.columns)


class _Feed:
    """Lines for csv.reader, which knows where the record being read began and can take its lines back."""

    def __init__(self, lines: Iterator[tuple[int, str]]) -> None:
        self._lines = lines
        self._again: deque[tuple[int, str]] = deque()
        self.record: list[tuple[int, str]] = []
        self._size = 0

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        if len(self.record) >= MOST_LINES or self._size > files.LONGEST_LINE:
            raise _Unclosed
        entry = self._again.popleft() if self._again else next(self._lines, None)
        if entry is None:
            if self.record:
                raise _Unclosed
            raise StopIteration
        self.record.append(entry)
        self._size += len(entry[1])
        return entry[1]

    def begin(self) -> None:
        self.record = []
        self._size = 0

    def give_up(self) -> int:
        """Drop the record's first line and put the others back; returns that line's number."""
        self._again.extendleft(reversed(self.record[1:]))
        return self.record[0][0]


class _Unclosed(Exception):
    """A quoted cell does not end."""


def _records(feed: _Feed, delimiter: str, quoting: int) -> Iterator[tuple[int, list[str], str]]:
    """(line, cells, problem) of every record that is not an empty line."""
    csv.field_size_limit(2**31 - 1)
    reader = csv.reader(feed, delimiter=delimiter, quoting=quoting)
    while True:
        feed.begin()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except (_Unclosed, csv.Error):
            line = feed.give_up() if feed.record else 0
            yield line, [], "a quote that is never closed"
            reader = csv.reader(feed, delimiter=delimiter, quoting=quoting)
            continue
        if cells:
            yield feed.record[0][0], cells, ""


def _problem(cells: list[str]) -> str:
    for cell in cells:
        if "\0" in cell:
            return "garbled: holds NUL characters"
        if files.MARK in cell:
            return "garbled: bytes that do not decode, or a line of over 16 million characters"
    return ""


@functools.lru_cache(maxsize=32)
def _find_form(settings: Csv, source: str, size: int, changed: int) -> _Form:
    encoding = files.check_encoding(settings.encoding, source)
    sample = files.sample_lines(source, encoding)
    delimiter = settings.delimiter
    if delimiter == "auto":
        delimiter = files.detect_delimiter(sample, Path(source).suffix.lower())
    if len(delimiter) != 1:
        raise DataError(f'The delimiter {delimiter!r} is not a single character. Use one, as ";" or "\\t".')
    quoting = csv.QUOTE_MINIMAL if _quotes_agree(sample, delimiter) else csv.QUOTE_NONE
    feed = _Feed(iter(list(enumerate((line + "\n" for line in sample), 1))))
    records = [cells for _, cells, problem in _records(feed, delimiter, quoting) if not problem]
    if not records:
        raise DataError(f"{source} holds no rows.")
    header = _has_header(records) if settings.header == "auto" else settings.header
    width = max(set(map(len, records)), key=[len(record) for record in records].count)
    names = [name.strip() for name in records[0]] if header else [""] * width
    return _Form(encoding, delimiter, quoting, header, _unique(names))


def _quotes_agree(sample: list[str], delimiter: str) -> bool:
    """Whether quotes enclose cells here. In tab-separated files they often are plain characters."""
    if delimiter != "\t":
        return True
    try:
        list(csv.reader((line + "\n" for line in sample[:-1] or sample), delimiter=delimiter, strict=True))
    except csv.Error:
        return False
    return True


def _has_header(records: list[list[str]]) -> bool:
    """Whether the first record names columns: known names, or cells unlike those below them."""
    first, rest = records[0], records[1:]
    cells = [cell.strip() for cell in first]
    if not any(cells) or len(set(cells)) < len(cells) or any(len(cell) > 64 for cell in cells):
        return False
    if any(cell.lower() in _KNOWN_NAMES for cell in cells):
        return True
    below = [[record[place].strip() for record in rest if len(record) == len(first)] for place in range(len(first))]
    if any(cell in column for cell, column in zip(cells, below, strict=True)):
        return False
    if any(_is_number(cell) for cell in cells if cell):
        return False
    if any(column and all(map(_is_number, column)) for column in below):
        return True
    return all(
        cell.isascii() and cell.replace("_", "").replace("-", "").isalnum() and len(cell) <= 30 for cell in cells
    )


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _unique(names: list[str]) -> tuple[str, ...]:
    """Names in order; empty ones become column_<number>, repeated ones get their number."""
    found: dict[str, None] = {}
    for place, name in enumerate(names, 1):
        name = name or f"column_{place}"
        while name in found:
            name = f"{name}_{place}"
        found[name] = None
    return tuple(found)
