"""Compute each row twice, and ask that dropout does not change the answer (R-Drop, Liang et al. 2021)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from tunewright.core.contracts import Compute, Objective, Pass, Regulariser

if TYPE_CHECKING:
    from torch import Tensor

    from tunewright.models.model import Model


@dataclass(frozen=True)
class RDrop(Regulariser):
    """The mean of both passes' losses, and alpha times how far their answers are apart (equation 4, halved).

    Answers are labels, tags, several labels (the divergence is that of the objective) or numbers (their squared
    difference).
    """

    alpha: Annotated[float, Field(gt=0, allow_inf_nan=False)] = (
        1.0  # weight of the divergence; the paper takes 0.1 to 5
    )

    @property
    def needs_chance(self) -> bool:
        """See Regulariser.needs_chance."""
        return True

    def attach(self, model: Model, objective: Objective) -> Callable[[Compute, Mapping[str, Tensor]], Pass]:
        """See Regulariser.attach."""

        def wrap(compute: Compute, batch: Mapping[str, Tensor]) -> Pass:
            first, second = compute(), compute()
            apart = objective.divergence(first.logits, second.logits, batch["labels"])
            return Pass(first.logits, (first.losses + second.losses) / 2 + self.alpha * apart)

        return wrap
