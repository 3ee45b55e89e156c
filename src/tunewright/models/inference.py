"""Run a model over many windows: like lengths together, bounded tokens at a time, results in the given order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from tunewright.models.batches import Features, in_batches
from tunewright.models.model import Model


def outputs(model: Model, windows: Sequence[Features], *, pad_id: int, device: str = "cpu") -> list[np.ndarray]:
    """The logits of every window, without padding: (labels,) each, or (tokens, labels) for token-level heads."""
    return _run(model, model.forward, windows, pad_id, device)


def pooled(model: Model, windows: Sequence[Features], *, pad_id: int, device: str = "cpu") -> np.ndarray:
    """The head's pooled features of every window (windows, hidden); the mean over its tokens where each token has some."""
    found = _run(model, model.pooled, windows, pad_id, device)
    return np.stack([one if one.ndim == 1 else one.mean(axis=0) for one in found])


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
