"""From examples to logits: encode, run every window, join. Shared by evaluation and prediction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from tunewright.core.contracts import Task
from tunewright.core.types import Example, Policy, Prediction, Window
from tunewright.models.processor import Processor

CHUNK = 2048  # examples at a time: enough to sort by length, little enough for constant memory

Run = Callable[[Sequence[Mapping[str, np.ndarray]]], list[np.ndarray]]


@dataclass(frozen=True)
class Inferred:
    """One example with its windows and joined logits."""

    example: Example
    windows: Sequence[Window]
    logits: np.ndarray


def infer(
    examples: Iterable[Example], task: Task, processor: Processor, labels: Sequence[str], run: Run
) -> Iterator[Inferred]:
    """Logits of every example, in order, a chunk of examples in memory at a time."""
    examples = iter(examples)
    while chunk := list(islice(examples, CHUNK)):
        windows = task.encode(chunk, processor, labels)
        found = run([window.features for window in windows])
        grouped: list[list[int]] = [[] for _ in chunk]
        for index, window in enumerate(windows):
            grouped[window.example].append(index)
        for example, own in zip(chunk, grouped, strict=True):
            mine = [windows[i] for i in own]
            yield Inferred(example, mine, task.join(mine, [found[i] for i in own]))


def again(items: Sequence[Inferred], task: Task, run: Run) -> list[Inferred]:
    """The same rows answered by another runtime."""
    found = iter(run([window.features for item in items for window in item.windows]))
    return [Inferred(i.example, i.windows, task.join(i.windows, [next(found) for _ in i.windows])) for i in items]


def stepping(items: Iterable[Inferred], step: Callable[[int], None]) -> Iterator[Inferred]:
    """Pass items on and tell progress by the chunk, as they get done: the first of a chunk comes when all of it is."""
    count = 0
    for count, item in enumerate(items, 1):
        yield item
        if count % CHUNK == 0:
            step(CHUNK)
    step(count % CHUNK)


def decide(inferred: Iterable[Inferred], task: Task, labels: Sequence[str], policy: Policy) -> list[Prediction]:
    """Predictions from logits."""
    return [task.decode(item.logits, item.windows, labels, policy) for item in inferred]
