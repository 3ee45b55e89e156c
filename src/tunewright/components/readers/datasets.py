"""A folder saved by `datasets` (save_to_disk), read from its Arrow files without that package."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tunewright.core.contracts import Reader, Row
from tunewright.core.errors import DataError, listing
from tunewright.data import arrowrows
from tunewright.data.encoding import reading


@dataclass(frozen=True)
class Datasets(Reader):
    """Rows of a saved data set; of its split train, where it has several."""

    suffixes: ClassVar[tuple[str, ...]] = ()

    def recognises(self, source: str) -> bool:
        """See Reader.recognises."""
        return os.path.isdir(source) and any(
            Path(source, name).exists() for name in ("dataset_dict.json", "state.json")
        )

    def read(self, source: str) -> Iterator[Row]:
        """See Reader.read. A row's line is its number, from 1."""
        folder = Path(_splits(source).get("train", source))
        line = 0
        for file in _files(folder):
            for batch, features in _batches(folder / file):
                for values in arrowrows.rows(batch, features):
                    line += 1
                    yield Row(line, values)

    def describe(self, source: str) -> dict[str, Any]:
        """See Reader.describe."""
        first = next(self.read(source), None)
        if first is None:
            raise DataError(f"{source} holds no rows.")
        splits = _splits(source)
        return {"columns": list(first.values), **({"splits": splits} if splits else {})}


def _splits(source: str) -> dict[str, str]:
    """Split → folder of a data set with several splits, by our names for them; {} for a single one."""
    listed = Path(source, "dataset_dict.json")
    if not listed.exists():
        return {}
    with reading(listed):
        names = json.loads(listed.read_text(encoding="utf-8")).get("splits", [])
    ours = {"dev": "validation", "valid": "validation", "val": "validation"}
    found = {ours.get(name, name): str(Path(source, name)) for name in names}
    if "train" not in found:
        raise DataError(
            f"{source} has no split train; it has {listing(names) or 'none'}. Name the folder of one of them."
        )
    return {name: folder for name, folder in found.items() if name in ("train", "validation", "test")}


def _files(folder: Path) -> list[str]:
    state = folder / "state.json"
    with reading(state):
        written = json.loads(state.read_text(encoding="utf-8"))
    if written.get("_indices_data_files") or written.get("_indices_files"):
        raise DataError(f"{folder} keeps its rows' order apart. Save it anew after `flatten_indices()`.")
    return [entry["filename"] for entry in written.get("_data_files", [])]


def _batches(path: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    import pyarrow as pa

    with reading(path), pa.memory_map(str(path)) as source:
        try:
            stream = pa.ipc.open_stream(source)
        except pa.ArrowInvalid:
            source.seek(0)
            file = pa.ipc.open_file(source)
            stream = (file.get_batch(index) for index in range(file.num_record_batches))
            features = arrowrows.features(file.schema)
        else:
            features = arrowrows.features(stream.schema)
        for batch in stream:
            yield batch, features
