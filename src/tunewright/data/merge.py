"""The prepared rows of several tasks in one dataset: each row keeps its place, and has its own task's columns."""

from __future__ import annotations

import dataclasses
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunewright.core import catalog, files
from tunewright.core.contracts import Task
from tunewright.core.types import BELOW, Note
from tunewright.data import table
from tunewright.data.dataset import DESCRIPTION, LEDGER, Dataset
from tunewright.data.ledger import Ledger


def merge(parts: Mapping[str, Dataset], task: Task, folder: Path, stamp: str) -> None:
    """Write the datasets `parts`, one a task by its name, into `folder` as one of the task `task` that has them all.

    Columns are named as roles: the inputs of a part's task as they are, its label as the part. Rows keep their places, with
    the part before the file. What stands beside them in
    the sources is left out.
    """
    names = dict.fromkeys(name for dataset in parts.values() for name in dataset.splits)
    rows = {name: table.RowWriter(folder / "raw" / name) for name in names}
    for part, dataset in parts.items():
        for name, split in dataset.splits.items():
            for file, line, key, cells in split.cells():
                label = cells.pop(dataset.task.target)
                rows[name].add(f"{part}{BELOW}{file}", line, key, {**cells, part: label})
    kinds: dict[str, set[str]] = {}
    for writer in rows.values():
        writer.close()
        for column, seen in writer.kinds.items():
            kinds.setdefault(column, set()).update(seen)
    schema, nested = table.schema_of(kinds)
    fingerprints = {}
    for name, writer in rows.items():
        out = table.SplitWriter(folder / f"{name}.arrow", schema, list(kinds))
        for batch in table.batches(writer.parts):
            out.write(table.fit(batch, schema))
        fingerprints[name] = out.close()
    shutil.rmtree(folder / "raw")
    ledger = Ledger.joined({part: dataset.folder / LEDGER for part, dataset in parts.items()}, folder / LEDGER)
    ledger.close()
    facts = {
        "stamp": stamp, "task": catalog.describe(task), "roles": {name: name for name in kinds},
        "labels": [f"{part}{BELOW}{label}" for part, dataset in parts.items() for label in dataset.labels],
        "nested": nested, "splits": fingerprints, "ledger": ledger.summary(),
        "notes": [dataclasses.asdict(_of(part, note)) for part, dataset in parts.items() for note in dataset.notes],
        "language": _language(parts), "described": _described(parts),
    }  # fmt: skip
    files.write_json(folder / DESCRIPTION, facts)


def _of(part: str, note: Note) -> Note:
    return Note(f"{part}: {note}", f"{part}：{note.zh}")


def _described(parts: Mapping[str, Dataset]) -> dict[str, Any]:
    """What the parts' datasets say of themselves: sources and labels by part, languages and scripts by their rows."""
    found: dict[str, Any] = {"sources": {}, "readers": {}, "labels": {}}
    for part, dataset in parts.items():
        for kind in ("sources", "readers"):
            found[kind] |= {f"{part}{BELOW}{name}": value for name, value in dataset.described[kind].items()}
        for split, counts in dataset.described["labels"].items():
            named = {f"{part}{BELOW}{label}": count for label, count in counts.items()}
            found["labels"][split] = {**found["labels"].get(split, {}), **named}
    return found | {kind: _shares(parts, kind) for kind in ("languages", "scripts")}


def _shares(parts: Mapping[str, Dataset], kind: str) -> dict[str, float]:
    sizes = {part: len(dataset.splits["train"]) for part, dataset in parts.items()}
    found: Counter[str] = Counter()
    for part, dataset in parts.items():
        for name, share in dataset.described[kind].items():
            found[name] += share * sizes[part] / sum(sizes.values())  # type: ignore[assignment]
    return dict(found.most_common())


def _language(parts: Mapping[str, Dataset]) -> str:
    """That of the most rows."""
    rows: Counter[str] = Counter()
    for dataset in parts.values():
        rows[dataset.language] += len(dataset.splits["train"])
    return rows.most_common(1)[0][0]
