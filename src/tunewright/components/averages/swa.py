"""The weights of the last part of a run, all alike (stochastic weight averaging, SWA, Izmailov et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from tunewright.core.contracts import Averaging


@dataclass(frozen=True)
class Swa(Averaging):
    """Before that part the weights themselves are judged. It averages every step, where the paper takes one an epoch."""

    begin: Annotated[float, Field(ge=0, lt=1)] = (
        0.75  # share of the run's steps after which weights count, as the paper
    )

    def share(self, step: int, steps: int) -> float:
        """See Averaging.share."""
        return 1 / max(1, step - int(self.begin * steps))
