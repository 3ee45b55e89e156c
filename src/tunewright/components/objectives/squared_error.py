"""A number: the square of the difference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunewright.core.contracts import Objective

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class SquaredError(Objective):
    """For tasks whose answer is one number; the network has one output."""

    def loss(self, logits: Tensor, labels: Tensor, class_weights: Tensor | None) -> Tensor:
        """See Objective.loss; there are no classes to weigh. Raises ValueError for more than one output."""
        if logits.shape[-1] != 1 or labels.ndim != 1 or class_weights is not None:
            raise ValueError("squared_error takes one output and one number an example, and no class weights")
        return (logits.squeeze(-1) - labels).square()

    def divergence(self, first: Tensor, second: Tensor, labels: Tensor) -> Tensor:
        """See Objective.divergence: the square of the difference."""
        return (first - second).square().squeeze(-1)
