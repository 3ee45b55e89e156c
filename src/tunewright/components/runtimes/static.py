"""Vectors looked up and averaged with numpy alone: for static models, exact, without torch or a compiler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tunewright.core.contracts import Outputs, Runtime

BATCH_TOKENS = 4096  # looked up in one go: their vectors stay in the cache


@dataclass(frozen=True)
class Static(Runtime):
    """What such a model costs is cutting texts into pieces; this adds some microseconds a text."""

    def lacks(self, bundle: Path) -> str:
        """See Runtime.lacks."""
        from tunewright.models import table

        return table.lacks(bundle / "model")

    def open(self, bundle: Path) -> Outputs:
        """See Runtime.open."""
        from tunewright.models import table
        from tunewright.models.batches import stretches

        model = table.read(bundle / "model")

        def run(windows: Sequence[Mapping[str, np.ndarray]]) -> list[np.ndarray]:
            parts = stretches(windows, BATCH_TOKENS)
            return [one for part in parts for one in model.answer([window["input_ids"] for window in part])]

        return run
