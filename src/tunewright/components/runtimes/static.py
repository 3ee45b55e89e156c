"""Vectors looked up and averaged with numpy alone: for static models, exact, without torch or a compiler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tunewright.core.contracts import Outputs, Runtime

if TYPE_CHECKING:
    from tunewright.models.table import Table

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

        return _answering(table.read(bundle / "model"))

    def features(self, bundle: Path) -> Outputs:
        """See Runtime.features: the map that changes nothing stands in the last one's place."""
        from tunewright.models import table

        model = table.read(bundle / "model")
        width = model.weight.shape[1]
        same = np.eye(width, dtype=np.float32), np.zeros(width, dtype=np.float32)
        return _answering(replace(model, weight=same[0], bias=same[1]))


def _answering(model: Table) -> Outputs:
    from tunewright.models.batches import stretches

    def run(windows: Sequence[Mapping[str, np.ndarray]]) -> list[np.ndarray]:
        parts = stretches(windows, BATCH_TOKENS)
        return [one for part in parts for one in model.answer([window["input_ids"] for window in part])]

    return run
