"""From examples to logits: encode, run every window, join. Shared by evaluation and prediction."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from typing import TypeVar

import numpy as np

from tunewright.core.contracts import Outputs, Task
from tunewright.core.types import Example, Policy, Prediction, Window
from tunewright.models.processor import Processor

CHUNK = 1024  # examples at a time: enough to sort by length, little enough for constant memory
T = TypeVar("T")
AHEAD = 1  # chunks that are encoded or computed while the caller has another


@dataclass(frozen=True)
class Inferred:
    """One example with its windows and joined logits."""

    example: Example
    windows: Sequence[Window]
    logits: np.ndarray


def infer(
    examples: Iterable[Example], task: Task, processor: Processor, labels: Sequence[str], run: Outputs
) -> Iterator[Inferred]:
    """Logits of every example, in order, a few chunks of examples in memory at a time."""
    for found in infer_chunks(chunked(examples, CHUNK), task, processor, labels, run):
        yield from found


def chunked(examples: Iterable[Example], size: int) -> Iterator[list[Example]]:
    """Examples in lists of `size`, the last one shorter."""
    examples = iter(examples)
    return iter(lambda: list(islice(examples, size)), [])


def infer_chunks(
    chunks: Iterable[Sequence[Example]], task: Task, processor: Processor, labels: Sequence[str], run: Outputs
) -> Iterator[list[Inferred]]:
    """Logits of every chunk of examples, in order. While one is computed, the next is read and encoded.

    Chunks are asked for, and answers used, in the caller's thread; encoding and computing have a thread each, so that
    all cores are busy. A single chunk is answered in the caller's thread alone.
    """
    chunks = iter(chunks)
    ahead = list(islice(chunks, 2))
    if len(ahead) < 2:
        yield from (_computed(chunk, task.encode(chunk, processor, labels), task, run) for chunk in ahead)
        return
    waiting: deque[Future[list[Inferred]]] = deque()
    with ThreadPoolExecutor(1, "encode") as encoding, ThreadPoolExecutor(1, "compute") as computing:
        try:
            for chunk in chain(ahead, chunks):
                encoded = encoding.submit(task.encode, chunk, processor, labels)
                waiting.append(computing.submit(lambda c, e: _computed(c, e.result(), task, run), chunk, encoded))
                if len(waiting) > AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for unwanted in waiting:
                unwanted.cancel()


def _computed(examples: Sequence[Example], windows: Sequence[Window], task: Task, run: Outputs) -> list[Inferred]:
    found = run([window.features for window in windows])
    grouped: list[list[int]] = [[] for _ in examples]
    for index, window in enumerate(windows):
        grouped[window.example].append(index)
    result = []
    for example, own in zip(examples, grouped, strict=True):
        mine = [windows[i] for i in own]
        result.append(Inferred(example, mine, task.join(mine, [found[i] for i in own])))
    return result


def again(items: Sequence[Inferred], task: Task, run: Outputs) -> list[Inferred]:
    """The same rows answered by another runtime."""
    found = iter(run([window.features for item in items for window in item.windows]))
    return [Inferred(i.example, i.windows, task.join(i.windows, [next(found) for _ in i.windows])) for i in items]


def stepping(items: Iterable[T], step: Callable[[int], None], chunk: int = CHUNK) -> Iterator[T]:
    """Pass items on and tell progress by the chunk, as they get done: the first of a chunk comes when all of it is."""
    count = 0
    for count, item in enumerate(items, 1):
        yield item
        if count % chunk == 0:
            step(chunk)
    step(count % chunk)


def decide(inferred: Iterable[Inferred], task: Task, labels: Sequence[str], policy: Policy) -> list[Prediction]:
    """Predictions from logits."""
    return [task.decode(item.logits, item.windows, labels, policy) for item in inferred]
