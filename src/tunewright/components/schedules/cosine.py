"""Rise to the full rate, then fall along a half cosine to zero (Loshchilov and Hutter 2017)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from tunewright.core.contracts import Schedule


@dataclass(frozen=True)
class Cosine(Schedule):
    """See the first line."""

    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.1  # share of all steps in which the rate rises from zero

    def factor(self, step: int, steps: int) -> float:
        """See Schedule.factor."""
        rise = round(self.warmup * steps)
        if step < rise:
            return (step + 1) / rise
        return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))
