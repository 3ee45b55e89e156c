"""JSON read piece by piece: one object a line, or the items of a list that may be larger than memory."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tunewright.core.errors import DataError
from tunewright.data.encoding import LONGEST_LINE, MARK, first_lines, lines

_DATA_KEYS = ("data", "rows", "examples", "items", "records")
_LIST_UNDER_KEY = re.compile(rf'\s*{{\s*"(?:{"|".join(_DATA_KEYS)})"\s*:\s*\[')
_PARAGRAPHS = re.compile(r'"paragraphs"\s*:\s*\[')
_BLANK = " \t\r\n"
_LONG_NUMBER = "a number has thousands of digits"  # the one thing that Python refuses and JSON allows


def parse_object(line: str) -> tuple[dict[str, Any], str]:
    """Return (values, "") of a line that holds one JSON object, or ({}, why it is none)."""
    if MARK in line:
        return {}, "garbled: bytes that do not decode, or a line of over 16 million characters"
    try:
        value = json.loads(line.lstrip("\ufeff"))
    except RecursionError:
        return {}, "JSON that is nested too deeply"
    except ValueError as error:
        where = f" at character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else ""
        return {}, f"not valid JSON{where}"
    if not isinstance(value, dict):
        return {}, "not a JSON object"
    return value, ""


def looks_jsonl(path: Path | str) -> bool:
    """Whether a file's first line is a whole JSON object, and not the only thing a JSON document would hold."""
    found = [line for line in first_lines(path) if line.strip()]
    if not found or parse_object(found[0])[1]:
        return False
    return len(found) > 1 or not any(isinstance(value, list) for value in parse_object(found[0])[0].values())


def looks_nested(path: Path | str) -> bool:
    """Whether a file begins like SQuAD's JSON, whose questions stand inside paragraphs of articles."""
    return any(_PARAGRAPHS.search(line) for line in first_lines(path))


def marked(value: Any) -> bool:
    """Whether bytes that did not decode stand anywhere in a parsed value."""
    return MARK in json.dumps(value, ensure_ascii=False)


def items(path: Path | str, encoding: str) -> Iterator[tuple[int, Any]]:
    """Give (line it starts on, value) of every item of the list in a JSON file, or of the rows its columns make.

    Raises DataError with the line when the file is no JSON, or holds neither a list nor columns.
    """
    buffer = _Buffer(path, encoding)
    if buffer.skip_to_list():
        yield from buffer.list_items()
        return
    yield from enumerate(_rows_of(buffer.whole(), path), 1)


class _Buffer:
    """A window on a file's text that grows at its end and is cut at its start, counting lines."""

    def __init__(self, path: Path | str, encoding: str) -> None:
        self._path = path
        self._lines = lines(path, encoding, keep_ends=True)
        self._text = ""
        self._at = 0
        self._line = 1
        self._decoder = json.JSONDecoder()
        self._alone = False  # whether the list is the whole document, rather than under a key
        self._more()

    def skip_to_list(self) -> bool:
        """Move behind the bracket that opens the list of rows. False when the file does not begin with one."""
        self._text = self._text.lstrip("\ufeff")
        alone = re.match(r"\s*\[", self._text)
        match = alone or _LIST_UNDER_KEY.match(self._text)
        if match is None:
            return False
        self._alone = alone is not None
        self._move(match.end())
        return True

    def list_items(self) -> Iterator[tuple[int, Any]]:
        while True:
            mark = self._next_mark()
            if mark == "]":
                self._move(1)
                if self._alone and self._next_mark():
                    raise DataError(
                        f"{self._path}:{self._line}: something stands behind the list's end. Join it to the list, or "
                        "write one object a line and name the file .jsonl."
                    )
                return
            if mark == ",":
                self._move(1)
                continue
            if mark == "":
                raise DataError(f"{self._path}:{self._line}: the list does not end: the file was cut off. Get it anew.")
            yield self._line, self._item()

    def whole(self) -> Any:
        while self._more():
            pass
        try:
            return json.loads(self._text)
        except RecursionError:
            raise DataError(f"{self._path} is JSON that is nested too deeply.") from None
        except json.JSONDecodeError as error:
            raise DataError(f"{self._path}:{error.lineno} is not valid JSON: {error.msg}.") from None
        except ValueError:
            raise DataError(f"{self._path} is not valid JSON: {_LONG_NUMBER}.") from None

    def _next_mark(self) -> str:
        while True:
            while self._at < len(self._text) and self._text[self._at] in _BLANK:
                self._move(1)
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def _item(self) -> Any:
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except RecursionError:
                raise DataError(f"{self._path}:{self._line} is JSON that is nested too deeply.") from None
            except ValueError as error:
                if len(self._text) - self._at < 4 * LONGEST_LINE and self._more():
                    continue
                why = error if isinstance(error, json.JSONDecodeError) else _LONG_NUMBER
                raise DataError(f"{self._path}:{self._line} is not valid JSON: {why}.") from None
            # A number at the window's end may go on in the next piece.
            if end == len(self._text) and self._more():
                continue
            self._move(end - self._at)
            return value

    def _move(self, count: int) -> None:
        self._line += self._text.count("\n", self._at, self._at + count)
        self._at += count

    def _more(self) -> bool:
        """Take in more text, at least as much as is waiting, so that a long item is not parsed again at every line."""
        waiting = self._text[self._at :]
        pieces, size = [waiting], 0
        for _, line in self._lines:
            pieces.append(line)
            size += len(line)
            if size >= max(len(waiting), 1 << 16):
                break
        self._text, self._at = "".join(pieces), 0
        return size > 0


def _rows_of(value: Any, path: Path | str) -> Iterator[Any]:
    """Rows of a parsed JSON document that is no plain list."""
    if isinstance(value, Mapping):
        for name in _DATA_KEYS:
            if isinstance(value.get(name), (list, dict)):
                inner = value[name]
                yield from inner if isinstance(inner, list) else _rows_of(inner, path)
                return
        columns = list(value)
        lengths = {len(column) for column in value.values() if isinstance(column, (list, dict))}
        if columns and len(lengths) == 1 and all(isinstance(column, (list, dict)) for column in value.values()):
            # pandas writes columns as {"0": …, "1": …}.
            plain = [list(column.values()) if isinstance(column, dict) else column for column in value.values()]
            yield from (dict(zip(columns, cells, strict=True)) for cells in zip(*plain, strict=True))
            return
    raise DataError(
        f"{path} holds neither a list of objects nor columns of equal length. "
        'Give [{"text": …, "label": …}, …], {"data": [...]}, or {"text": [...], "label": [...]}.'
    )
