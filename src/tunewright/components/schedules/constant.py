"""Rise to the full rate and stay there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from tunewright.core.contracts import Schedule


@dataclass(frozen=True)
class Constant(Schedule):
    """It need not fall where the average of the weights is kept (train.weight_average), which is as calm."""

    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.05  # share of all steps in which the rate rises from zero

    def factor(self, step: int, steps: int) -> float:
        """See Schedule.factor."""
        rise = round(self.warmup * steps)
        if step < rise:
            return (step + 1) / rise
        return 1.0
