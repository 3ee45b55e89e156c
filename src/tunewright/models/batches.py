"""Windows in padded batches and back: like lengths together, bounded tokens at a time, in the given order. No torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

# Feature names that a network takes; everything else in a batch (labels) is the objective's.
INPUTS = ("input_ids", "attention_mask", "token_type_ids", "pixel_values", "input_features")
BATCH_TOKENS = 8192  # padded tokens in one forward pass; larger ones fall out of the cache on a CPU

Features = Mapping[str, np.ndarray]


def in_batches(
    function: Callable[[dict[str, np.ndarray]], np.ndarray],
    windows: Sequence[Features],
    pad_id: int,
    most_tokens: int = BATCH_TOKENS,
) -> list[np.ndarray]:
    """What `function` gives for padded batches, one array a window: (labels,), or (tokens, labels) without padding."""
    lengths = np.array([len(window["input_ids"]) for window in windows])
    results: list[np.ndarray] = [None] * len(windows)  # type: ignore[list-item]
    for indices in length_batches(lengths, most_tokens):
        found = function(padded([windows[i] for i in indices], pad_id))
        for row, i in enumerate(indices):
            results[i] = found[row] if found.ndim == 2 else found[row, : lengths[i]]
    return results


def length_batches(lengths: np.ndarray, most_tokens: int) -> list[np.ndarray]:
    """Indices in batches of like lengths whose padded size is at most `most_tokens` (at least one each)."""
    order = np.argsort(lengths, kind="stable")
    batches, start = [], 0
    for stop in range(1, len(order) + 1):
        if stop == len(order) or lengths[order[stop]] * (stop + 1 - start) > most_tokens:
            batches.append(order[start:stop])
            start = stop
    return batches


def stretches(windows: Sequence[Features], most_tokens: int) -> Iterator[Sequence[Features]]:
    """Windows in their order, as many at a time as hold at most `most_tokens` together (at least one)."""
    start = tokens = 0
    for stop, window in enumerate(windows):
        tokens += len(window["input_ids"])
        if tokens > most_tokens and stop > start:
            yield windows[start:stop]
            start, tokens = stop, len(window["input_ids"])
    if start < len(windows):
        yield windows[start:]


def padded(windows: Sequence[Features], pad_id: int) -> dict[str, np.ndarray]:
    """Stack the windows' network inputs, padded to the longest: name → (windows, tokens) int64."""
    longest = max(len(window["input_ids"]) for window in windows)
    result = {}
    for name in INPUTS:
        if name not in windows[0]:
            continue
        stacked = np.full((len(windows), longest), pad_id if name == "input_ids" else 0, dtype=np.int64)
        for row, window in enumerate(windows):
            stacked[row, : len(window[name])] = window[name]
        result[name] = stacked
    return result
