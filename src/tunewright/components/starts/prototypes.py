"""Begin with the mean of each label's rows: the nearest mean wins (Snell et al. 2017)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tunewright.core import linear
from tunewright.core.contracts import Beginning, Start, Task


@dataclass(frozen=True)
class Prototypes(Start):
    """Nothing is fitted, so a few rows a label do; with many, `probe` is better."""

    def suits(self, task: Task) -> bool:
        """See Start.suits: one label of several, from pooled features."""
        return task.scored and not task.multi_label

    def head(self, given: Beginning) -> tuple[np.ndarray, np.ndarray] | None:
        """See Start.head."""
        return linear.nearest_mean(given.features(given.train), [row.label for row in given.train], given.labels)
