"""What checks are made from: a tiny network and its processor, texts in both languages, rows for any task."""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tunewright.core import catalog, spans
from tunewright.core.contracts import Task
from tunewright.core.errors import LabelError
from tunewright.core.types import Example, label_names
from tunewright.models.processor import Processor
from tunewright.testing.conformance import Subject
from tunewright.testing.tiny import tiny_backbone

if TYPE_CHECKING:
    from tunewright.models.model import Model

# Texts as people write them: both languages, signs, one letter, nothing but space around, long.
TEXTS = (
    "a good film",
    "这家店很好，喜欢",
    "😀 ok!",
    "x",
    "  slow  ",
    "bad " * 60,
    "坏 bad 好 good",
    "e\u0301\u200d\ufe0f",
)
LABELS = ("bad", "good", "退货")


@functools.cache
def backbone() -> Path:
    """A tiny backbone's folder, built once a process."""
    holder = tempfile.TemporaryDirectory(prefix="tunewright-testing-")
    _KEPT.append(holder)
    return tiny_backbone(holder.name)


_KEPT: list[tempfile.TemporaryDirectory] = []  # removed when the process ends


def processor(**settings: Any) -> Processor:
    """The tiny backbone's processor: windows of 32 tokens unless said otherwise."""
    return Processor.load(backbone(), **{"max_tokens": 32, **settings})


def model(head: str = "pooled", labels: Sequence[str] = LABELS, seed: int = 0, dropout: float = 0.0) -> Model:
    """The tiny backbone with a fresh head; equal arguments give equal weights."""
    import torch

    from tunewright.models.model import build_model

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_model(backbone(), catalog.create("heads", head), labels, dropout=dropout)  # type: ignore[arg-type]


def windows(texts: Sequence[str] = TEXTS) -> list[dict[str, np.ndarray]]:
    """The features of every window of these texts."""
    return [dict(window.features) for parts in processor().encode(list(texts)) for window in parts]


def batch(texts: Sequence[str] = TEXTS) -> dict[str, Any]:
    """The texts' windows as one padded batch of tensors."""
    import torch

    from tunewright.models.batches import padded

    return {name: torch.from_numpy(value) for name, value in padded(windows(texts), processor().pad_id).items()}


# ------------------------------------------------------------------------------------------------------ rows of a task


def rows(subject: Subject, task: Task, texts: Sequence[str] = TEXTS) -> list[dict[str, Any]]:
    """Labelled rows for a task: its inputs' and its targets' roles → values; its module's own `sample` goes first."""
    if subject.sample is not None:
        return list(subject.sample(subject.folder))
    for cells in _cells(texts):
        made = [
            {**dict.fromkeys(task.inputs, text), **dict.fromkeys(task.targets, cell)}
            for text, cell in zip(texts, cells, strict=True)
        ]
        try:
            task.encode(examples(task, made), processor(), known_labels(task, made))
        except (LabelError, TypeError, ValueError):
            continue
        return made
    raise AssertionError("No rows of the suite's own suit this task: define `sample(folder)` in its file.")


def examples(task: Task, made: Sequence[dict[str, Any]]) -> list[Example]:
    """Rows as Examples."""
    found = []
    for line, row in enumerate(made, 1):
        inputs, label = task.read({role: row[role] for role in (*task.inputs, *task.targets)})
        found.append(Example(f"rows.jsonl:{line}", inputs, label))
    return found


def known_labels(task: Task, made: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """The label names in rows, sorted; none for tasks without a fixed list."""
    if not task.classes:
        return ()
    return tuple(sorted({name for example in examples(task, made) for name in label_names(example.label)}))


def write_rows(path: Path, made: Sequence[dict[str, Any]]) -> Path:
    """Write rows as JSON Lines."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made), encoding="utf-8")
    return path


def _cells(texts: Sequence[str]) -> list[list[Any]]:
    """What a label column may hold, one list a form: a span over the text's first units, a name, a number."""
    marked = []
    for index, text in enumerate(texts):
        units = spans.bounds(text)[:2]
        marked.append([{"start": int(units[0, 0]), "end": int(units[-1, 1]), "label": LABELS[index % len(LABELS)]}])
    names = [LABELS[index % len(LABELS)] for index in range(len(texts))]
    return [marked, names, [float(index % 3) for index in range(len(texts))]]
