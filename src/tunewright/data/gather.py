"""Read one source once: good rows into Arrow parts, bad ones into the ledger, and a few numbers a row into memory."""

from __future__ import annotations

import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from tunewright.core.contracts import Reader, Row, Task
from tunewright.core.errors import DataError, LabelError, listing, nearest, plural
from tunewright.core.progress import Step
from tunewright.core.types import Rejected, label_names
from tunewright.data import normalise, sources
from tunewright.data.cell import is_empty, is_unicode, nothing_in
from tunewright.data.ledger import Ledger
from tunewright.data.split import parse_time
from tunewright.data.table import OWN, RowWriter

SAMPLE, LOOKED_AT = 1000, 20_000  # rows by which columns are guessed, and the first rows they are taken from
_SAMPLE_CHARACTERS = 32 * 1024 * 1024
LONGEST_NAME, COMPARED = 100, 5000  # characters of a label in a message, and labels that are looked at for the nearest
_NO_CLASS = -1
_RESERVED = frozenset(OWN)


@dataclass
class Gathered:
    """What one source gave.

    parts, kinds: its good rows on disk (see RowWriter); keys: (rows,) uint64 of the normalised inputs;
    rejected: (rows,) bool, whether the label is a document that does not answer;
    codes: (rows,) int32 index into `forms`, the different labels met; where: form → (file, line, rows) first met;
    marks: (rows,) the split column's values, where one was asked for.
    """

    source: str
    name: str
    shown: str  # the source's name in row ids and messages
    parts: list[Path] = field(default_factory=list)
    kinds: dict[str, set[str]] = field(default_factory=dict)
    keys: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint64))
    codes: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    rejected: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    forms: list[tuple[str, ...]] = field(default_factory=list)
    where: list[tuple[str, int]] = field(default_factory=list)
    marks: Any = None

    def __len__(self) -> int:
        return len(self.keys)

    def counts(self, rows: np.ndarray | None = None) -> dict[str, int]:
        """Label → rows that have it, among `rows` (a mask) or all."""
        codes = self.codes if rows is None else self.codes[rows]
        found: dict[str, int] = {}
        for code, count in enumerate(np.bincount(codes[codes >= 0], minlength=len(self.forms))):
            for label in self.forms[code]:
                found[label] = found.get(label, 0) + int(count)
        return {label: count for label, count in found.items() if count}


@dataclass(frozen=True)
class Wanted:
    """What is looked for in a source: the task, role → column, and the column that split.by needs."""

    task: Task
    roles: Mapping[str, str]
    mark: str | None = None
    by_time: bool = False
    labelled: bool = True  # False: the rows have no labels, and nothing but what the task reads is kept


def sample_rows(source: str, reader: Reader, most: int = SAMPLE) -> list[dict[str, Any]]:
    """Return good rows from the first part of a source, evenly spread: a file sorted by label then shows several.

    Raises DataError with the first problem when there are none.
    """
    found: list[dict[str, Any]] = []
    problems: list[str] = []
    size = 0
    for row in islice(sources.rows(source, reader), LOOKED_AT):
        size += sum(len(value) for value in row.values.values() if isinstance(value, str))
        if size > _SAMPLE_CHARACTERS and found:
            break
        if row.problem:
            problems.append(f"{place(row, source)}: {row.problem}")
        else:
            found.append(dict(row.values))
    if not found:
        why = f" The first one, {problems[0]}." if problems else ""
        raise DataError(f"{source} holds no usable rows.{why}")
    return found[:: max(1, len(found) // most)]


def place(row: Row, source: str) -> str:
    """ "file:line" of a row, for messages."""
    return f"{row.file or Path(source).name}:{row.line}"


def gather(found: Gathered, reader: Reader, wanted: Wanted, folder: Path, ledger: Ledger, step: Step) -> Gathered:
    """Read `found.source` into parts under `folder` and fill `found`; returns it.

    Bad rows go to the ledger's split `found.name` with file, line and reason. step: called with rows as they get done.
    Raises DataError when no row is left.
    """
    source, name = found.source, found.name
    writer, collector = RowWriter(folder), _Collector(wanted, found)
    count, first = 0, ""
    for count, row in enumerate(sources.rows(source, reader), 1):
        file = row.file or found.shown
        values = row.values if _RESERVED.isdisjoint(row.values) else _renamed(row.values)
        if not wanted.labelled and not row.problem:
            values = _without_labels(values, wanted, place(row, found.shown))
        problem = collector.problem(row, values, file)
        if problem:
            kind, reason = problem
            ledger.drop(name, file, row.line, reason, kind)
            first = first or f"{file}:{row.line}: {reason}"
        else:
            writer.add(file, row.line, collector.take(values), values)
        if count % 1000 == 0:
            step(1000)
    writer.close()
    ledger.read(name, count)
    collector.finish()
    found.parts, found.kinds = writer.parts, writer.kinds
    if not len(found):
        _refuse_empty(source, name, ledger, first)
    return found


def _renamed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values whose columns do not have the names of our own."""
    return {f"source{name}" if name in _RESERVED else name: value for name, value in values.items()}


def _without_labels(values: Mapping[str, Any], wanted: Wanted, where: str) -> dict[str, Any]:
    """What the task reads of a row without a label. Raises DataError for one that has a label."""
    for column in (wanted.roles[role] for role in wanted.task.targets):
        if not is_empty(values.get(column)):
            raise DataError(
                f"{where}: data.unlabelled has labels in it (column {column!r} is filled), and they would be thrown away. "
                "Put these rows into the training file (data.train) to learn from the labels, or take that column out."
            )
    read = (*(wanted.roles[role] for role in wanted.task.inputs), *wanted.task.beside.columns)
    return {column: values[column] for column in read if column in values}


class _Collector:
    """Judges rows and remembers a few numbers of each."""

    def __init__(self, wanted: Wanted, found: Gathered) -> None:
        self._wanted = wanted
        self._found = found
        roles = (*wanted.task.inputs, *wanted.task.targets) if wanted.labelled else wanted.task.inputs
        self._roles = {role: wanted.roles[role] for role in roles if role in wanted.roles}
        self._targets = [self._roles[role] for role in wanted.task.targets if role in self._roles]
        self._keys, self._codes, self._rejected = array.array("Q"), array.array("i"), bytearray()
        self._times = array.array("d")
        self._groups: list[Any] = []
        self._known: dict[tuple[str, ...], int] = {}
        # Of the row that was judged last: its label's form and whether it is Rejected, its inputs.
        self._code, self._no, self._given = _NO_CLASS, False, {}

    def problem(self, row: Row, values: Mapping[str, Any], file: str) -> tuple[str, str] | None:
        """(kind, reason) when the row cannot be used."""
        if row.problem:
            return ("garbled" if row.problem.startswith("garbled") else "broken_row", row.problem)
        if any(type(value) is not int and not is_unicode(value) for value in values.values()):
            return "garbled", "garbled: characters that are no Unicode text"
        if nothing := nothing_in(values, self._roles, self._wanted.task.needed):
            return "empty_text", nothing
        if problem := self._wanted.task.beside.problem(values):
            return "bad_input", problem
        if problem := self._read(values, file, row.line):
            return problem
        if self._wanted.by_time and parse_time(values.get(self._wanted.mark)) is None:
            return "bad_time", f"column {self._wanted.mark!r} holds no time"
        return None

    def take(self, values: Mapping[str, Any]) -> int:
        """Remember the row that `problem` found good; returns its key."""
        key = normalise.key(map(str, self._given.values()))
        self._keys.append(key)
        self._codes.append(self._code)
        self._rejected.append(self._no)
        if self._wanted.by_time:
            self._times.append(parse_time(values[self._wanted.mark]))
        elif self._wanted.mark:
            value = values.get(self._wanted.mark)
            self._groups.append(value if value is None or isinstance(value, str) else str(value))
        return key

    def finish(self) -> None:
        self._found.keys = np.frombuffer(self._keys, dtype=np.uint64) if self._keys else np.zeros(0, np.uint64)
        self._found.codes = np.frombuffer(self._codes, dtype=np.int32) if self._codes else np.zeros(0, np.int32)
        self._found.rejected = np.array(self._rejected, dtype=bool)
        self._found.marks = np.frombuffer(self._times) if self._times else self._groups

    def _read(self, values: Mapping[str, Any], file: str, line: int) -> tuple[str, str] | None:
        """Take note of a row's inputs and label; (kind, reason) where the task cannot read them."""
        cells = {role: values.get(column) for role, column in self._roles.items()}
        try:
            self._given, label = self._wanted.task.read(cells)
        except DataError as error:
            return "bad_label" if isinstance(error, LabelError) else "bad_input", str(error)
        self._code = _NO_CLASS
        if not self._wanted.labelled:
            return None
        if label is None:
            several = len(self._targets) > 1
            return (
                "empty_label",
                f"column{'s' * several} {listing(map(repr, self._targets))} {'are' if several else 'is'} empty",
            )
        self._code, self._no = _NO_CLASS, isinstance(label, Rejected)
        if self._wanted.task.classes:
            form = tuple(dict.fromkeys(label_names(label)))
            if form not in self._known:
                self._known[form] = len(self._known)
                self._found.forms.append(form)
                self._found.where.append((file, line))
            self._code = self._known[form]
        return None


def _refuse_empty(source: str, name: str, ledger: Ledger, first: str) -> None:
    reasons = ledger.summary()["rows"].get(name, {}).get("reasons", {})
    if reasons.get("empty_label") and reasons["empty_label"] == sum(reasons.values()):
        raise DataError(
            f"{source} has no labels: the label is empty in all its {reasons['empty_label']} rows. "
            "Rows without labels are for `tunewright predict`; to train, name the label's column under data.columns."
        )
    raise DataError(
        f"None of the {plural(sum(reasons.values()), 'row')} of {source} can be used. The first one, {first.rstrip('.')}. "
        "Mend the file, or change what the recipe says of it."
    )


def refuse_unknown(
    gathered: Gathered,
    allowed: tuple[str, ...],
    why: str,
    advice: str = "Mend the rows, or add the label under data.labels.",
) -> None:
    """Raise LabelError when rows have labels that are not among `allowed`, with counts and the first place of each."""
    known, names = set(allowed), [name[:LONGEST_NAME] for name in allowed]
    counts = np.bincount(gathered.codes[gathered.codes >= 0], minlength=len(gathered.forms))
    unknown: dict[str, tuple[int, tuple[str, int]]] = {}
    for code, form in enumerate(gathered.forms):
        for label in form:
            if label not in known:
                seen, first = unknown.get(label, (0, gathered.where[code]))
                unknown[label] = (seen + int(counts[code]), first)
    if not unknown:
        return
    lines = [
        f"{label[:LONGEST_NAME]!r} ({plural(rows, 'row')}, first at {file}:{line}).{nearest(label[:LONGEST_NAME], names[:COMPARED])}"
        for label, (rows, (file, line)) in list(unknown.items())[:5]
    ]
    raise LabelError(
        f"{gathered.source}: {plural(len(unknown), 'label')} {why}: {' '.join(lines)} "
        f"{f'And {len(unknown) - 5} more. ' if len(unknown) > 5 else ''}{advice} Known labels: {listing(names)}."
    )
