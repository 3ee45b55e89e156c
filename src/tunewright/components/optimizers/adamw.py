"""Adam with decoupled weight decay (Loshchilov and Hutter 2019), fused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from tunewright.core.contracts import Optimizer

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class AdamW(Optimizer):
    """The usual choice for fine-tuning."""

    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9  # memory of the gradient
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999  # memory of its square
    epsilon: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-8  # keeps the division safe

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """See Optimizer.build."""
        import torch

        return torch.optim.AdamW(groups, betas=(self.beta1, self.beta2), eps=self.epsilon, fused=True)

    def adam(self) -> tuple[float, float, float]:
        """See Optimizer.adam."""
        return self.beta1, self.beta2, self.epsilon
