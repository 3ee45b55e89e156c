"""Leave the head random: all it says is learned in training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tunewright.core.contracts import Beginning, Start, Task
from tunewright.core.types import Note


@dataclass(frozen=True)
class Random(Start):
    """As most trainers begin; here for comparison, and where nothing else suits."""

    why: ClassVar[Note] = Note(
        "no linear map of pooled features gives this task's answers", "该任务的答案不是池化特征的线性映射"
    )

    def suits(self, task: Task) -> bool:
        """See Start.suits: every task."""
        return True

    def head(self, given: Beginning) -> tuple[np.ndarray, np.ndarray] | None:
        """See Start.head."""
        return None
