"""Where rows to be answered come from: a file of any form that a reader knows, or standard input."""

from __future__ import annotations

import codecs
import io
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO

from tunewright.core.contracts import Row, Task
from tunewright.core.errors import DataError, UsageError, listing, nearest
from tunewright.core.progress import Progress, Silent
from tunewright.data import encoding, jsontext, sources
from tunewright.data.guess import guess_columns, require_beside

SAMPLE_ROWS, SAMPLE_CHARACTERS = 1000, 1_000_000  # of a file, looked at to find the text's column
AHEAD = 100  # rows of a stream looked at before the first is answered
STANDARD_INPUT = "Standard input"


@dataclass(frozen=True)
class Source:
    """Rows that wait for an answer.

    name: as row ids and messages name it; read: gives the rows (once, for a stream); columns: those it has, in order;
    total: how many rows, None when nobody knows; sample: some rows; notes: what was guessed, to be said aloud.
    """

    name: str
    read: Callable[[], Iterator[Row]]
    columns: tuple[str, ...]
    total: int | None
    sample: Sequence[Mapping[str, Any]]
    notes: tuple[str, ...] = ()

    def place(self, row: Row) -> str:
        """A row's "file:line"."""
        return f"{row.file or self.name}:{row.line}"


def open_input(name: str, text_column: str, progress: Progress | None = None) -> Source:
    """The file `name`, or standard input for "-", whose plain lines get the column `text_column`."""
    if name != "-":
        return open_file(name, progress)
    if progress is not None and sys.stdin is not None and sys.stdin.isatty():
        progress.say("Reading standard input: type one text a line, and end with Ctrl-D.")
    return open_stream(getattr(sys.stdin, "buffer", sys.stdin), text_column)


def open_file(path: Path | str, progress: Progress | None = None) -> Source:
    """Look through a file (or whatever else a reader knows) once: its rows, its columns, and whether it is whole.

    So a file that is cut off is refused before the first row is answered, and the time left is known.
    Raises DataError when the file is not there, is empty, or has no row that can be used.
    """
    path = str(path)
    reader, facts = sources.open_source(path)
    looked = _Survey()
    with (progress or Silent()).task(f"Looking through {Path(path).name}") as step:
        for row in sources.rows(path, reader):
            looked.add(row)
            if looked.rows % 1000 == 0:
                step(1000)
    name = Path(path).name
    if not looked.sample:
        raise DataError(looked.nothing(name))
    columns = tuple(dict.fromkeys([*facts.get("columns", ()), *looked.columns]))
    return Source(
        name, lambda: sources.rows(path, reader), columns, looked.rows, looked.sample, (str(sources.told(name, facts)),)
    )


def open_stream(stream: BinaryIO | None, text_column: str = "text") -> Source:
    """Rows of a stream as they come: one JSON object a line when the first line is one, else one text a line.

    An empty line is a row without text, but none among objects. text_column: the column that plain lines get.
    Raises UsageError when the stream is closed, DataError when it is empty, binary, or a table.
    """
    if stream is None or stream.closed:
        raise UsageError("Standard input is closed. Pipe rows into it, or name a file instead of `-`.")
    stream = stream if hasattr(stream, "peek") else io.BufferedReader(stream)  # type: ignore[arg-type]
    found = _encoding(stream.peek(1 << 16))
    text = io.TextIOWrapper(stream, encoding=found, errors=encoding.MARKING)
    lines = encoding.lines_of(text)
    head: list[tuple[int, str]] = []  # up to the first line that holds anything
    for line in lines:
        head.append(line)
        if first := _stripped(line[1]):
            break
    else:
        raise DataError("Standard input is empty: it holds no rows.")
    objects = not jsontext.parse_object(first)[1]
    if not objects:
        _refuse_table(first, text_column)
    every = chain(head, lines)
    rows = (
        (_object(*line) for line in every if _stripped(line[1]))
        if objects
        else (_text(*line, text_column) for line in every)
    )
    ahead = list(islice(rows, AHEAD))
    looked = _Survey()
    for row in ahead:
        looked.add(row)
    form = "one JSON object a line" if objects else "one text a line"
    note = f"{STANDARD_INPUT}: read as {form}, encoding {found!r}"
    columns = tuple(looked.columns) or (text_column,)
    return Source("stdin", lambda: chain(ahead, rows), columns, None, looked.sample, (note,))


def choose_columns(
    source: Source,
    task: Task,
    given: Mapping[str, str] | None = None,
    trained: Mapping[str, str] | None = None,
    *,
    with_target: bool = False,
) -> tuple[dict[str, str], list[str]]:
    """Role → column of every input of the task (and of its label, `with_target`), and a sentence for each guess.

    given: what the user says; trained: the columns of the rows the model was trained on, which come next.
    Raises DataError with the nearest name when a given column is not there, or when nothing fits a role.
    """
    roles = (*task.inputs, *task.targets) if with_target else task.inputs
    given, trained = dict(given or {}), trained or {}
    for role, column in given.items():
        if role not in roles:
            raise UsageError(f"--column names {role!r}, and what is needed is {listing(roles)}.{nearest(role, roles)}")
        if column not in source.columns:
            near = nearest(column, source.columns)
            raise DataError(f"{source.name} has no column {column!r}.{near} {_advice(source, role)}")
    known = {role: trained[role] for role in roles if trained.get(role) in source.columns}
    if len(source.columns) == len(roles) == 1:
        known = {roles[0]: source.columns[0]}
    chosen = {**known, **given}
    try:
        rows = [dict.fromkeys(source.columns), *source.sample]
        found = guess_columns(rows, task, chosen, source=source.name, with_target=with_target)
    except DataError:
        missing = [role for role in roles if role not in chosen]
        named = " or ".join(map(repr, missing))
        raise DataError(f"{source.name} has no column that could be {named}. {_advice(source, missing[0])}") from None
    require_beside(task, source.columns, source.name)
    return found.of, [f"{source.name}: {why}" for why in found.reasons]


def _advice(source: Source, role: str) -> str:
    return f"Its columns: {listing(source.columns)}. Choose one with --column {role}=NAME."


class _Survey:
    """What one look at the rows shows."""

    def __init__(self) -> None:
        self.rows = 0
        self.columns: dict[str, None] = {}
        self.sample: list[Mapping[str, Any]] = []
        self._room = SAMPLE_CHARACTERS
        self._problem: Row | None = None

    def add(self, row: Row) -> None:
        self.rows += 1
        if row.problem:
            self._problem = self._problem or row
            return
        if not self.columns.keys() >= row.values.keys():
            self.columns.update(dict.fromkeys(row.values))
        if self._room > 0 and len(self.sample) < SAMPLE_ROWS:
            self.sample.append(row.values)
            self._room -= sum(len(value) for value in row.values.values() if isinstance(value, str))

    def nothing(self, name: str) -> str:
        """Why there is nothing to answer."""
        if self._problem is None:
            return f"{name} holds no rows."
        return f"{name} holds no usable rows. The first one, {name}:{self._problem.line}: {self._problem.problem}."


def _encoding(head: bytes) -> str:
    """A stream's encoding by its first bytes, decided as for a file."""
    if b"\0" not in head and not head.startswith(codecs.BOM_UTF8):
        try:
            codecs.getincrementaldecoder("utf-8")().decode(head)  # not final: the last character may be cut
            return "utf-8"
        except UnicodeDecodeError:
            pass
    with tempfile.NamedTemporaryFile() as file:
        file.write(head[: head.rfind(b"\n") + 1] or head)
        file.flush()
        try:
            return encoding.detect_encoding(file.name)
        except DataError as error:
            raise DataError(str(error).replace(file.name, STANDARD_INPUT)) from None


def _refuse_table(line: str, text_column: str) -> None:
    """A table's header or a JSON list among texts would be answered as a text, and every row with its commas."""
    if line.lstrip("\ufeff \t").startswith(("[{", "[ {")):
        raise DataError(
            "Standard input looks like a JSON list. `-` takes one text a line, or one JSON object a line: "
            "jq -c '.[]' makes these of a list. Or save it to a .json file and name that instead of `-`."
        )
    for mark in (",", "\t", ";"):
        cells = [cell.strip().strip('"').lower() for cell in line.split(mark)]
        if len(cells) > 1 and text_column.lower() in cells:
            raise DataError(
                f"Standard input looks like a table: its first line names the column {text_column!r}. `-` takes one "
                "text a line, or one JSON object a line. Name the file instead of `-`."
            )


def _stripped(line: str) -> str:
    return line.strip("\ufeff \t\r")


def _object(line: int, text: str) -> Row:
    values, problem = jsontext.parse_object(text)
    return Row(line, values, problem)


def _text(line: int, text: str, column: str) -> Row:
    garbled = encoding.MARK in text or "\0" in text
    return Row(line, {column: text}, "garbled: bytes that do not decode, or NUL characters" if garbled else "")


def parse_columns(words: Iterable[str], task: Task) -> dict[str, str]:
    """Role → column from words like "text=content"; a bare column name stands for the task's single input.

    Raises UsageError when a word is neither.
    """
    found = {}
    for word in words:
        role, equals, column = word.partition("=")
        if not equals and len(task.inputs) == 1:
            role, column = task.inputs[0], word
        if not role or not column:
            raise UsageError(f"--column takes ROLE=NAME, as --column {task.inputs[0]}=content; got {word!r}.")
        found[role] = column
    return found
