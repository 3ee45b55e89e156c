"""PyTorch, in fp32: the numbers that were evaluated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tunewright.core.contracts import Runtime


@dataclass(frozen=True)
class Torch(Runtime):
    """On a GPU where there is one, else on all cores."""

    def open(self, bundle: Path) -> Callable[[Sequence[Mapping[str, np.ndarray]]], list[np.ndarray]]:
        """See Runtime.open."""
        import torch

        from tunewright.core.files import read_json
        from tunewright.models.inference import outputs
        from tunewright.models.layout import load_model

        device = "cuda" if torch.cuda.is_available() else "cpu"
        model = load_model(bundle / "model").to(device)
        if device == "cpu":
            model.pack()
        pad_id = read_json(bundle / "model" / "processor.json")["pad_id"]
        return lambda windows: outputs(model, windows, pad_id=pad_id, device=device)
