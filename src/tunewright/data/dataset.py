"""Named splits of examples on disk, memory-mapped: the size is the disk's and not the memory's."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tunewright.core import catalog
from tunewright.core.contracts import Task
from tunewright.core.errors import DataError, nearest
from tunewright.core.files import read_json
from tunewright.core.types import Example, Label, Note
from tunewright.data.table import FILE, KEY, LINE, OWN, BatchFile

DESCRIPTION, LEDGER = "dataset.json", "ledger.jsonl"
PART = 8192  # rows at a time
UNLABELLED = "unlabelled"  # rows without labels: a file like a split's, and no split


class Split:
    """One split: a memory-mapped table that gives Examples."""

    def __init__(
        self, path: Path, name: str, task: Task, roles: dict[str, str], nested: Sequence[str], fingerprint: str
    ) -> None:
        self.name = name
        self.fingerprint = fingerprint  # SHA-256 of inputs and labels in order
        self._table = BatchFile(path)
        self._task = task
        self._roles = roles
        self._nested = frozenset(nested)
        self._answers: dict[int, tuple[str, ...]] | None = None if task.retrieves else {}

    def __len__(self) -> int:
        return len(self._table)

    def __iter__(self) -> Iterator[Example]:
        for batch in self._table.slices(0, len(self)):
            yield from self._examples(batch)

    @property
    def columns(self) -> list[str]:
        """The source's columns."""
        return [name for name in self._table.schema.names if name not in OWN]

    def examples(self, start: int = 0, stop: int | None = None) -> list[Example]:
        """Return the rows `start` up to, not including, `stop` (None: to the end) as Examples."""
        stop = len(self) if stop is None else min(stop, len(self))
        return [example for batch in self._table.slices(start, stop) for example in self._examples(batch)]

    def take(self, indices: Sequence[int] | np.ndarray) -> list[Example]:
        """Return the rows at `indices` (rows,), in their order, as Examples. Raises IndexError for others."""
        indices = np.asarray(indices, dtype=np.int64)
        found: list[Example | None] = [None] * len(indices)
        for places, batch in self._table.take(indices):
            for place, example in zip(places, self._examples(batch), strict=True):
                found[place] = example
        return found

    def column(self, name: str) -> pa.ChunkedArray:
        """Return one column as Arrow holds it: a source's column, "_id" ("file:line"), "_file", "_line" or "_key".

        Nested values are JSON text. Raises DataError with the nearest name when there is no such column.
        """
        if name == "_id":
            file, line = self._table.column(FILE), self._table.column(LINE)
            return pc.binary_join_element_wise(file, pc.cast(line, pa.string()), ":")
        if name not in self._table.schema.names:
            known = self.columns
            raise DataError(f"The data has no column {name!r}.{nearest(name, known)} Its columns: {', '.join(known)}.")
        return self._table.column(name)

    def texts(self, start: int = 0, stop: int | None = None) -> Iterator[str]:
        """Give every row's inputs as one text, as the model reads them."""
        for batch in self._table.slices(start, len(self) if stop is None else min(stop, len(self))):
            roles = [role for role in self._task.inputs if role in self._roles]
            columns = [self._values(batch, self._roles[role]) for role in roles]
            for cells in zip(*columns, strict=True):
                inputs, _ = self._task.read(dict(zip(roles, cells, strict=True)))
                yield " ".join(map(str, inputs.values()))

    def cells(self) -> Iterator[tuple[str, int, int, dict[str, Any]]]:
        """Give every row's file, line and key, and its cells by role."""
        for batch in self._table.slices(0, len(self)):
            columns = [self._values(batch, column) for column in self._roles.values()]
            own = (batch.column(name).to_pylist() for name in OWN)
            for file, line, key, *cells in zip(*own, *columns, strict=True):
                yield file, line, key, dict(zip(self._roles, cells, strict=True))

    def _labelled(self, key: int, label: Label) -> Label:
        """The label of a row: where its query stands in several rows that are answered, their documents follow its own."""
        if self._answers is None:
            self._answers = {}  # which the rows are read with
            self._answers = self._of_queries()
        others = self._answers.get(key, ()) if isinstance(label, tuple) else ()
        return tuple(dict.fromkeys((*label, *others))) if others else label

    def _of_queries(self) -> dict[int, tuple[str, ...]]:
        """Key of a query that stands in several rows → all documents that answer it."""
        keys = self._table.column(KEY).to_numpy()
        _, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
        rows = np.flatnonzero(counts[inverse] > 1)
        found: dict[int, dict[str, None]] = {}
        for row, example in zip(rows, self.take(rows), strict=True):
            if isinstance(example.label, tuple):
                found.setdefault(int(keys[row]), {}).update(dict.fromkeys(example.label))
        return {key: tuple(documents) for key, documents in found.items()}

    def _examples(self, batch: pa.RecordBatch) -> Iterator[Example]:
        roles = {role: self._roles[role] for role in (*self._task.inputs, *self._task.targets) if role in self._roles}
        used = set(roles.values())
        cells = {name: self._values(batch, name) for name in batch.schema.names if name not in (FILE, LINE, KEY)}
        others = [name for name in cells if name not in used]
        places = zip(*(batch.column(name).to_pylist() for name in OWN), strict=True)
        for row, (file, line, key) in enumerate(places):
            inputs, label = self._task.read({role: cells[column][row] for role, column in roles.items()})
            if self._answers != {}:
                label = self._labelled(key, label)
            yield Example(f"{file}:{line}", inputs, label, {name: cells[name][row] for name in others})

    def _values(self, batch: pa.RecordBatch, name: str) -> list[Any]:
        values = batch.column(name).to_pylist()
        return [unnest(value) for value in values] if name in self._nested else values


class Extended:
    """A split, and behind its rows those at `rows` (rising) of another, which have `labels`. Read as a Split is."""

    def __init__(self, own: Split, other: Split, rows: np.ndarray, labels: Sequence[Label]) -> None:
        self.name, self.columns, self.fingerprint = own.name, own.columns, own.fingerprint
        self._own, self._other, self._rows, self._labels = own, other, rows, labels

    def __len__(self) -> int:
        return len(self._own) + len(self._rows)

    def __iter__(self) -> Iterator[Example]:
        for start in range(0, len(self), PART):
            yield from self.examples(start, start + PART)

    def examples(self, start: int = 0, stop: int | None = None) -> list[Example]:
        """See Split.examples."""
        return self.take(np.arange(start, len(self) if stop is None else min(stop, len(self))))

    def take(self, indices: Sequence[int] | np.ndarray) -> list[Example]:
        """See Split.take."""
        indices, size = np.asarray(indices, dtype=np.int64), len(self._own)
        places, own = indices - size, iter(self._own.take(indices[indices < size]))
        more = iter(self._other.take(self._rows[places[places >= 0]]))
        labelled = (dataclasses.replace(next(more), label=self._labels[at]) if at >= 0 else next(own) for at in places)
        return list(labelled)

    def column(self, name: str) -> pa.ChunkedArray:
        """See Split.column."""
        more = self._other.column(name).take(pa.array(self._rows))
        return pa.chunked_array([*self._own.column(name).chunks, *more.chunks])


class Dataset:
    """Prepared data in a folder: splits, labels, what was guessed and what was lost.

    splits: name → Split; unlabelled: rows without labels, None where there are none; roles: role → column; labels: all label names, in the order of the model's outputs;
    ledger: Ledger.summary(); language: ISO 639-1 code of the training texts ("und" when unknown); notes: what was
    guessed or changed, to be said aloud; described: {"sources": {split: path}, "readers": {split: Reader.describe()},
    "labels": {split: {label: rows}}, "languages": {code: share}, "scripts": {script: share}}.
    """

    def __init__(self, folder: Path, task: Task, facts: dict[str, Any]) -> None:
        self.folder = folder
        self.task = task
        self.roles: dict[str, str] = facts["roles"]
        self.labels: tuple[str, ...] = tuple(facts["labels"])
        self.ledger: dict[str, Any] = facts["ledger"]
        self.language: str = facts["language"]
        self.notes: list[Note] = [Note(**note) for note in facts["notes"]]
        self.described: dict[str, Any] = facts["described"]
        self.splits = {
            name: Split(folder / f"{name}.arrow", name, task, self.roles, facts["nested"], fingerprint)
            for name, fingerprint in facts["splits"].items()
        }
        self.unlabelled: Split | None = self.splits.pop(UNLABELLED, None)

    @classmethod
    def open(cls, folder: Path | str, task: Task | None = None) -> Dataset:
        """Open prepared data without reading its sources. Raises DataError when the folder holds none, or not all.

        task: the task whose labels it holds; None: the one that is written there.
        """
        folder = Path(folder)
        try:
            facts = read_json(folder / DESCRIPTION)
            return cls(folder, task or catalog.create("tasks", facts["task"]), facts)
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"{folder} holds no prepared data, or only a part of it. Prepare it anew.") from error

    def only(self, *names: str) -> Dataset:
        """The same data with these splits alone: what gets it cannot look at another one."""
        view = copy.copy(self)
        view.splits = {name: self.splits[name] for name in names}
        return view

    def with_train(self, train: Split | Extended) -> Dataset:
        """The same data with other training rows."""
        view = copy.copy(self)
        view.splits = {**self.splits, "train": train}
        return view


def unnest(value: Any) -> Any:
    """Return what a cell of a nested column held before it became JSON text."""
    if isinstance(value, str) and value[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value
