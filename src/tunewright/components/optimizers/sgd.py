"""Stochastic gradient descent with momentum: least memory, wants a larger learning rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from tunewright.core.contracts import Optimizer

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class SGD(Optimizer):
    """Nesterov's form where there is momentum."""

    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9  # share of the last step that goes on

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """See Optimizer.build."""
        import torch

        return torch.optim.SGD(groups, lr=1e-3, momentum=self.momentum, nesterov=self.momentum > 0)
