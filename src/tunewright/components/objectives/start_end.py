"""Where an answer starts and where it ends: softmax cross-entropy over the tokens of a window, for both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunewright.core.contracts import Objective

if TYPE_CHECKING:
    from torch import Tensor

NOWHERE = -1e4  # a logit of no probability, and finite: differences of two are numbers


@dataclass(frozen=True)
class StartEnd(Objective):
    """The mean of both losses (Devlin et al. 2019, section 4.2). Where several tokens are right, their probabilities are
    added up (the summed objective of Clark and Gardner 2018)."""

    def loss(self, logits: Tensor, labels: Tensor, class_weights: Tensor | None) -> Tensor:
        """See Objective.loss.

        logits: (batch, tokens, 2); labels: the same shape, 1 where it starts and ends, 0 where it could, below 0 where
        nothing can. Raises ValueError for other shapes, and for class weights: there are no classes.
        """
        if logits.ndim != 3 or logits.shape[-1] != 2 or logits.shape != labels.shape or class_weights is not None:
            raise ValueError("start_end takes two outputs a token, labels of the same shape, and no class weights")
        floor = float("-inf")
        could = logits.float().masked_fill(labels < 0, floor)
        does = could.masked_fill(labels != 1, floor)
        return (could.logsumexp(dim=1) - does.logsumexp(dim=1)).mean(dim=-1)

    def divergence(self, first: Tensor, second: Tensor, labels: Tensor) -> Tensor:
        """See Objective.divergence: the mean of that of starts and of ends, over the tokens that could be one."""
        from tunewright.models.losses import softmax_divergence

        could = [part.float().masked_fill(labels < 0, NOWHERE).transpose(1, 2) for part in (first, second)]
        return softmax_divergence(*could, labels.new_zeros(len(labels), 2))
