"""Rows to Arrow files and back, batch by batch, at constant memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tunewright.core.errors import DataError

BATCH_ROWS = 8192
_BATCH_CHARACTERS = 32 * 1024 * 1024  # a batch of long texts is written sooner
_MOST_COLUMNS = 2000
FILE, LINE, KEY = "_file", "_line", "_key"
OWN = (FILE, LINE, KEY)  # beside the source's columns: where a row stood, and its normalised text's 64 bits
_OWN_TYPES = {FILE: pa.string(), LINE: pa.int64(), KEY: pa.uint64()}


class RowWriter:
    """Writes rows of any columns into numbered Arrow files in a folder; a new file begins when columns are added.

    Every cell is kept as text until the types are known: numbers and truth values as they are written, nested values
    as JSON.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.kinds: dict[str, set[str]] = {}  # column → kinds of its values: text, int, float, bool, nested
        self.parts: list[Path] = []
        self._cells: dict[str, list[str | None]] = {}
        self._own: tuple[list[str], list[int], list[int]] = ([], [], [])
        self._size = 0
        self._file: pa.ipc.RecordBatchFileWriter | None = None
        self._names: list[str] = []

    def add(self, file: str, line: int, key: int, values: Mapping[str, Any]) -> None:
        """Add one row. Raises DataError when the columns become too many to be a table's."""
        rows = len(self._own[1])
        for name in values:
            if name not in self._cells:
                self._new_column(name, rows, f"{file}:{line}")
        for name, cells in self._cells.items():
            cell = self._text(name, values.get(name))
            cells.append(cell)
            self._size += len(cell) if cell is not None else 0
        for own, value in zip(self._own, (file, line, key), strict=True):
            own.append(value)
        if rows + 1 >= BATCH_ROWS or self._size >= _BATCH_CHARACTERS:
            self._flush()

    def close(self) -> None:
        """Write what is waiting."""
        self._flush()
        if self._file is not None:
            self._file.close()

    def _new_column(self, name: str, rows: int, place: str) -> None:
        if len(self._cells) >= _MOST_COLUMNS:
            raise DataError(
                f"{place}: the rows have over {_MOST_COLUMNS} different columns. Leave out those that are not needed, "
                "and see that no text is used as a column's name."
            )
        self._cells[name] = [None] * rows
        self.kinds[name] = set()

    def _text(self, name: str, value: Any) -> str | None:
        if type(value) is str:
            self.kinds[name].add("text")
            return value
        if value is None:
            return None
        kind, text = as_text(value)
        self.kinds[name].add(kind)
        return text

    def _flush(self) -> None:
        if not self._own[1]:
            return
        names = list(self._cells)
        if self._file is None or names != self._names:
            self._begin(names)
        arrays = [pa.array(cells, type=pa.string()) for cells in self._cells.values()]
        arrays += [pa.array(own, type=_OWN_TYPES[name]) for name, own in zip(OWN, self._own, strict=True)]
        self._file.write_batch(pa.record_batch(arrays, schema=self._schema))
        for cells in (*self._cells.values(), *self._own):
            cells.clear()
        self._size = 0

    def _begin(self, names: list[str]) -> None:
        if self._file is not None:
            self._file.close()
        self._names = names
        self._schema = pa.schema([*((name, pa.string()) for name in names), *_OWN_TYPES.items()])
        self.parts.append(self._folder / f"{len(self.parts)}.arrow")
        self._file = pa.ipc.new_file(str(self.parts[-1]), self._schema)


def as_text(value: Any) -> tuple[str, str]:
    """Return (kind, text) of a value that is neither text nor missing."""
    if isinstance(value, bool):
        return "bool", "true" if value else "false"
    if isinstance(value, int):
        return ("int" if -(2**63) <= value < 2**63 else "text"), f"{value:d}" if abs(value) < 10**300 else hex(value)
    if isinstance(value, float):
        return "float", repr(value)
    return "nested", json.dumps(value, ensure_ascii=False, default=str)


def schema_of(kinds: Mapping[str, set[str]]) -> tuple[pa.Schema, list[str]]:
    """Return the final schema of columns whose values had these kinds, and the names of the nested ones."""
    types = {}
    for name, seen in kinds.items():
        if seen == {"int"}:
            types[name] = pa.int64()
        elif seen and seen <= {"int", "float"}:
            types[name] = pa.float64()
        elif seen == {"bool"}:
            types[name] = pa.bool_()
        else:
            types[name] = pa.string()
    schema = pa.schema([*types.items(), *_OWN_TYPES.items()])
    return schema, [name for name, seen in kinds.items() if "nested" in seen]


def batches(parts: list[Path]) -> Iterator[pa.RecordBatch]:
    """Give the record batches of files in order, memory-mapped."""
    for part in parts:
        with pa.memory_map(str(part)) as source:
            file = pa.ipc.open_file(source)
            for index in range(file.num_record_batches):
                yield file.get_batch(index)


def fit(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return `batch` with the schema's columns in its types: absent columns are null, texts are read as numbers."""
    arrays = []
    for field in schema:
        if field.name not in batch.schema.names:
            arrays.append(pa.nulls(batch.num_rows, field.type))
        else:
            array = batch.column(field.name)
            arrays.append(array if array.type == field.type else pc.cast(array, field.type))
    return pa.record_batch(arrays, schema=schema)


class BatchFile:
    """A memory-mapped Arrow file: any rows of it without reading the others."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._file = pa.ipc.open_file(pa.memory_map(str(path)))
        self.schema = self._file.schema
        sizes = [self._file.get_batch(index).num_rows for index in range(self._file.num_record_batches)]
        self._starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def slices(self, start: int, stop: int) -> Iterator[pa.RecordBatch]:
        """Give the rows `start` to `stop` as slices of batches."""
        first = int(np.searchsorted(self._starts, start, side="right")) - 1
        for index in range(max(first, 0), self._file.num_record_batches):
            begin, end = int(self._starts[index]), int(self._starts[index + 1])
            if begin >= stop:
                return
            low, high = max(start, begin), min(stop, end)
            if low < high:
                yield self._file.get_batch(index).slice(low - begin, high - low)

    def take(self, indices: np.ndarray) -> Iterator[tuple[np.ndarray, pa.RecordBatch]]:
        """Give (places in `indices`, those rows), batch by batch. Raises IndexError for a row that is not there."""
        if len(indices) and (indices.min() < 0 or indices.max() >= len(self)):
            raise IndexError(f"rows {indices.min()} to {indices.max()} of {len(self)}")
        owners = np.searchsorted(self._starts, indices, side="right") - 1
        for owner in np.unique(owners):
            places = np.flatnonzero(owners == owner)
            yield places, self._file.get_batch(int(owner)).take(pa.array(indices[places] - self._starts[owner]))

    def column(self, name: str) -> pa.ChunkedArray:
        """Return a whole column, memory-mapped."""
        chunks = [self._file.get_batch(index).column(name) for index in range(self._file.num_record_batches)]
        return pa.chunked_array(chunks, type=self.schema.field(name).type)


class SplitWriter:
    """One split's Arrow file and the fingerprint of what goes into it."""

    def __init__(self, path: Path, schema: pa.Schema, hashed: list[str]) -> None:
        self._file = pa.ipc.new_file(str(path), schema)
        self._digests = {name: (hashlib.sha256(), hashlib.sha256()) for name in hashed}

    def write(self, batch: pa.RecordBatch) -> None:
        self._file.write_batch(batch)
        for name, (lengths, content) in self._digests.items():
            texts = pc.cast(batch.column(name), pa.string())
            sizes = pc.fill_null(pc.binary_length(texts), -1).to_numpy(zero_copy_only=False)
            lengths.update(np.ascontiguousarray(sizes, dtype="<i8").tobytes())
            content.update("".join(text for text in texts.to_pylist() if text is not None).encode())

    def close(self) -> str:
        """Close the file; returns the SHA-256 over its inputs and labels in order, whatever the batches were."""
        self._file.close()
        whole = hashlib.sha256()
        for lengths, content in self._digests.values():
            whole.update(lengths.digest() + content.digest())
        return whole.hexdigest()
