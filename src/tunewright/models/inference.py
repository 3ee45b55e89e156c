"""Run a model over many windows: like lengths together, bounded tokens at a time, results in the given order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from tunewright.models.model import INPUTS, Model

BATCH_TOKENS = 8192  # padded tokens in one forward pass; larger ones fall out of the cache on a CPU

Features = Mapping[str, np.ndarray]


def outputs(model: Model, windows: Sequence[Features], *, pad_id: int, device: str = "cpu") -> list[np.ndarray]:
    """The logits of every window, without padding: (labels,) each, or (tokens, labels) for token-level heads."""
    return _run(model, model.forward, windows, pad_id, device)


def pooled(model: Model, windows: Sequence[Features], *, pad_id: int, device: str = "cpu") -> np.ndarray:
    """The head's pooled features of every window (windows, hidden)."""
    return np.stack(_run(model, model.pooled, windows, pad_id, device))


@torch.inference_mode()
def _run(model: Model, function: Callable, windows: Sequence[Features], pad_id: int, device: str) -> list[np.ndarray]:
    training = model.training
    model.eval()
    lengths = np.array([len(window["input_ids"]) for window in windows])
    results: list[np.ndarray] = [None] * len(windows)  # type: ignore[list-item]
    for indices in length_batches(lengths, BATCH_TOKENS):
        features = padded([windows[i] for i in indices], pad_id)
        batch = {name: torch.from_numpy(value).to(device) for name, value in features.items()}
        found = function(batch).float().cpu().numpy()
        for row, i in enumerate(indices):
            results[i] = found[row] if found.ndim == 2 else found[row, : lengths[i]]
    model.train(training)
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
