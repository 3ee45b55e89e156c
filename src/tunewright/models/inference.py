"""Run a model over many windows: like lengths together, bounded tokens at a time, results in the given order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from tunewright.models.batches import Features, in_batches
from tunewright.models.beside import added
from tunewright.models.model import Model


def outputs(model: Model, windows: Sequence[Features], *, pad_id: int, device: str = "cpu") -> list[np.ndarray]:
    """The logits of every window, without padding: (labels,) each, or (tokens, labels) for token-level heads."""
    found = _run(model, model.forward, windows, pad_id, device)
    return found if model.beside is None else added(found, windows, model.beside.detach().float().cpu().numpy())


def told(model: Model, windows: Sequence[Features], *, pad_id: int, device: str = "cpu") -> list[np.ndarray]:
    """The logits of every window, and behind them on the last axis what they are a map of; see Model.telling."""
    with model.telling():
        found = _run(model, model.forward, windows, pad_id, device)
    if model.beside is None:
        return found
    beside = model.beside.detach().float().cpu().numpy()
    whole = np.zeros((beside.shape[1], found[0].shape[-1]), dtype=np.float32).T
    whole[: len(beside)] = beside  # what columns add to features is nothing
    return added(found, windows, whole)


def hidden(model: Model, windows: Sequence[Features], *, pad_id: int, device: str = "cpu") -> list[np.ndarray]:
    """The backbone's last hidden states of every window (tokens, hidden), without padding."""
    return _run(model, model.hidden, windows, pad_id, device)


def pooled(model: Model, windows: Sequence[Features], *, pad_id: int, device: str = "cpu") -> np.ndarray:
    """The head's features of every window (windows, hidden); their mean where it has some for every token."""
    found = _run(model, model.pooled, windows, pad_id, device)
    return np.stack([features if features.ndim == 1 else features.mean(axis=0) for features in found])


@torch.inference_mode()
def _run(model: Model, function: Callable, windows: Sequence[Features], pad_id: int, device: str) -> list[np.ndarray]:
    def run(features: dict[str, np.ndarray]) -> np.ndarray:
        batch = {name: torch.from_numpy(value).to(device) for name, value in features.items()}
        return function(batch).float().cpu().numpy()

    training = model.training
    model.eval()
    results = in_batches(run, windows, pad_id)
    model.train(training)
    return results


def has_bf16(device: str) -> bool:
    """Whether the device computes in bf16 by itself (a CPU that only emulates it is slower)."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported()
    if device != "cpu":
        return False
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) and bool(
        torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    )
