"""Leave the head random: all it says is learned in training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tunewright.core.contracts import Beginning, Start, Task


@dataclass(frozen=True)
class Random(Start):
    """As most trainers begin; here for comparison, and where nothing else suits."""

    def suits(self, task: Task) -> bool:
        """See Start.suits: every task."""
        return True

    def head(self, given: Beginning) -> tuple[np.ndarray, np.ndarray] | None:
        """See Start.head."""
        return None
