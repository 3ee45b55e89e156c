"""Which windows make a step, and how a step is cut to fit the memory. A pure function of seed and epoch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

POOL = 64  # steps whose windows are sorted by length together: little padding, and the order stays random enough


def steps_of_epoch(lengths: np.ndarray, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """Every window's index once, in steps of `batch_size`, windows of like length together, steps in random order.

    lengths: tokens of every window. The same arguments give the same steps, so a resumed run needs no stored order.
    """
    random = np.random.default_rng((seed, epoch))
    order = random.permutation(len(lengths))
    steps: list[np.ndarray] = []
    for start in range(0, len(order), batch_size * POOL):
        pool = order[start : start + batch_size * POOL]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        steps += [pool[i : i + batch_size] for i in range(0, len(pool), batch_size)]
    return [steps[i] for i in random.permutation(len(steps))]


def micro_batches(indices: np.ndarray, lengths: np.ndarray, most_tokens: int) -> Iterator[np.ndarray]:
    """Cut a step into parts whose padded size is at most `most_tokens` (at least one window each), longest last."""
    indices = indices[np.argsort(lengths[indices], kind="stable")]
    start = 0
    for stop in range(1, len(indices) + 1):
        longest = lengths[indices[stop]] if stop < len(indices) else 0
        if stop == len(indices) or longest * (stop + 1 - start) > most_tokens:
            yield indices[start:stop]
            start = stop
