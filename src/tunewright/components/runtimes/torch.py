"""PyTorch: in fp32 the numbers that were evaluated, in bf16 faster where the processor has it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from tunewright.core.contracts import Outputs, Runtime


@dataclass(frozen=True)
class Torch(Runtime):
    """On a GPU where there is one, else on all cores."""

    precision: Literal["fp32", "bf16"] = "fp32"  # bf16 rounds to about three digits, and needs its instructions

    @classmethod
    def variants(cls) -> tuple[Runtime, ...]:
        """See Runtime.variants."""
        return cls(), cls(precision="bf16")

    @property
    def exact(self) -> bool:  # type: ignore[override]
        """See Runtime.exact."""
        return self.precision == "fp32"

    def lacks(self, bundle: Path) -> str:
        """See Runtime.lacks."""
        if importlib.util.find_spec("torch") is None:
            return "the package torch is not installed"
        if self.precision == "fp32":
            return ""
        from tunewright.models.inference import has_bf16

        return "" if has_bf16(_device()) else "this processor has no bf16 instructions"

    def open(self, bundle: Path) -> Outputs:
        """See Runtime.open."""
        from tunewright.models.inference import outputs

        return self._answering(bundle, outputs)

    def features(self, bundle: Path) -> Outputs:
        """See Runtime.features."""
        from tunewright.models.inference import pooled

        return self._answering(bundle, lambda *given, **more: list(pooled(*given, **more)))

    def _answering(self, bundle: Path, compute: Callable[..., list[np.ndarray]]) -> Outputs:
        """The bundle's network, and what `compute` (of models/inference.py) gives of it."""
        import torch

        from tunewright.core.files import read_json
        from tunewright.models.layout import load_model

        device = _device()
        model = load_model(bundle / "model").to(device)
        model.pack()
        pad_id = read_json(bundle / "model" / "processor.json")["pad_id"]
        rounded = not self.exact

        def run(windows: Sequence[Mapping[str, np.ndarray]]) -> list[np.ndarray]:
            with torch.autocast(device, torch.bfloat16, enabled=rounded):
                return compute(model, windows, pad_id=pad_id, device=device)

        return run


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
