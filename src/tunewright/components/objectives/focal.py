"""Cross-entropy that looks away from what is already right: for rare labels (focal loss, Lin et al. 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from tunewright.core.contracts import Objective

if TYPE_CHECKING:
    from torch import Tensor

TINY = 1e-30  # least doubt: its powers below 1 have no slope at zero


@dataclass(frozen=True)
class Focal(Objective):
    """(1 − p)^γ · cross-entropy, p being what the right answer gets (equations 4 and 5; class weights are its α).

    Labels say its form: an index an example or token is answered by softmax, a yes or no for each label by sigmoid.
    """

    gamma: Annotated[float, Field(ge=0, le=20)] = (
        2.0  # how fast a right answer loses weight: 0 is cross-entropy, 2 served the paper best
    )

    def loss(self, logits: Tensor, labels: Tensor, class_weights: Tensor | None) -> Tensor:
        """See Objective.loss; losses of tokens, or of several labels, are averaged. Raises ValueError for numbers."""
        from torch.nn.functional import binary_cross_entropy_with_logits

        from tunewright.models.losses import of_examples, softmax_losses

        if not labels.is_floating_point():
            doubt = self._doubt(softmax_losses(logits, labels))
            return of_examples(doubt * softmax_losses(logits, labels, class_weights), labels)
        if labels.shape != logits.shape:
            raise ValueError("focal takes labels, and no numbers")
        doubt = self._doubt(binary_cross_entropy_with_logits(logits, labels, reduction="none"))
        losses = binary_cross_entropy_with_logits(logits, labels, pos_weight=class_weights, reduction="none")
        return (doubt * losses).mean(dim=-1)

    def divergence(self, first: Tensor, second: Tensor, labels: Tensor) -> Tensor:
        """See Objective.divergence: that of the cross-entropy of the same form."""
        from tunewright.models.losses import sigmoid_divergence, softmax_divergence

        if labels.is_floating_point():
            return sigmoid_divergence(first, second)
        return softmax_divergence(first, second, labels)

    def _doubt(self, losses: Tensor) -> Tensor:
        """(1 − p)^γ from −log p."""
        return (-(-losses).expm1()).clamp(min=TINY).pow(self.gamma)
