"""The last steps' weights, each counting a little less than the one behind it (exponential moving average, EMA)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from tunewright.core.contracts import Averaging


@dataclass(frozen=True)
class Ema(Averaging):
    """Step t of T counts decay**(T − t), divided by what all count, so that the weights before the first step do not."""

    decay: Annotated[float, Field(ge=0, lt=1)] = (
        0.99  # about the last 1 / (1 - decay) steps count: 100 fit runs of some hundred; 0.999 suits thousands
    )

    def share(self, step: int, steps: int) -> float:
        """See Averaging.share."""
        return (1 - self.decay) / (1 - self.decay**step)
