"""All steps' weights, later ones counting more, in runs of any length alike (Shamir and Zhang 2013, section 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from tunewright.core.contracts import Averaging


@dataclass(frozen=True)
class Polynomial(Averaging):
    """Step t counts about t**power, so that long and short runs forget their beginning alike."""

    power: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0  # 0 counts all steps alike; more forgets sooner

    def share(self, step: int, steps: int) -> float:
        """See Averaging.share."""
        return (1 + self.power) / (step + self.power)
