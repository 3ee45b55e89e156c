"""What the tests of runtimes share: a bundle's model with odd texts for it, and how far answers lie apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from tunewright.core import catalog
from tunewright.models.inference import outputs
from tunewright.models.layout import save_model
from tunewright.models.model import build_model
from tunewright.models.processor import Processor
from tunewright.testing.materials import TEXTS

LONG = "good " * 400  # several windows, each as long as the model allows


def saved(
    folder: Path, backbone: Path, head: str = "pooled"
) -> tuple[list[dict[str, np.ndarray]], Sequence[np.ndarray]]:
    """Save a bundle's model; its windows of odd texts, and PyTorch's logits for them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build_model(backbone, catalog.create("heads", head), ("bad", "good", "退货"))
    save_model(model, folder / "model", multi_label=False)
    processor = Processor.load(backbone)
    processor.save(folder / "model")
    windows = [dict(part.features) for parts in processor.encode([*TEXTS, "", LONG]) for part in parts]
    return windows, outputs(model, windows, pad_id=processor.pad_id)


def furthest(found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> float:
    """The largest difference of any number."""
    assert [one.shape for one in found] == [other.shape for other in expected]
    return max(float(np.abs(one - other).max()) for one, other in zip(found, expected, strict=True))
