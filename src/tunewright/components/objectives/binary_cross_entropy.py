"""Several labels at once: a yes or no for each, sigmoid cross-entropy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from tunewright.core.contracts import Objective

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class BinaryCrossEntropy(Objective):
    """For multi-label tasks; class weights weigh the yes of each label."""

    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0  # moves targets from 0 and 1 towards one half

    def loss(self, logits: Tensor, labels: Tensor, class_weights: Tensor | None) -> Tensor:
        """See Objective.loss; the labels' losses are averaged."""
        from torch.nn.functional import binary_cross_entropy_with_logits

        targets = labels * (1 - self.label_smoothing) + self.label_smoothing / 2
        losses = binary_cross_entropy_with_logits(logits, targets, pos_weight=class_weights, reduction="none")
        return losses.mean(dim=-1)

    def divergence(self, first: Tensor, second: Tensor, labels: Tensor) -> Tensor:
        """See Objective.divergence: of the labels' sigmoid outputs, averaged."""
        from tunewright.models.losses import sigmoid_divergence

        return sigmoid_divergence(first, second)
