"""Learn from another network's answers in place of labels (Hinton et al. 2015)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from tunewright.core.contracts import Objective

UNSEEN = -100  # of a target: padding


@dataclass(frozen=True)
class Answers(Objective):
    """Both logits and labels are what `Model.telling` gives: the network's, and the other's.

    scores: "choice" where logits are of one answer, "yes_or_no" of one for each, "none" where they are no scores: then
    their squared distance counts.
    """

    outputs: int  # how many of the last axis are logits; features follow
    scores: str
    temperature: float = 1.0
    hidden: float = 0.0

    def loss(self, logits: Tensor, labels: Tensor, class_weights: Tensor | None) -> Tensor:
        """See Objective.loss."""
        (said, mine), (meant, theirs) = (
            (part[..., : self.outputs], part[..., self.outputs :]) for part in (logits, labels)
        )
        losses = self._of_answers(said, meant)
        if self.hidden and theirs.shape[-1]:
            losses = losses + self.hidden * (mine - theirs).square().mean(dim=-1)
        if losses.ndim == 1:
            return losses
        real = (meant[..., 0] != UNSEEN).float()
        return (losses * real).sum(dim=1) / real.sum(dim=1).clamp(min=1)

    def _of_answers(self, said: Tensor, meant: Tensor) -> Tensor:
        """(batch, …) without the last axis. The square of the temperature keeps gradients of one size."""
        t = self.temperature
        if self.scores == "choice":
            wanted, got = functional.log_softmax(meant / t, dim=-1), functional.log_softmax(said / t, dim=-1)
            return t**2 * (wanted.exp() * (wanted - got)).sum(dim=-1)
        if self.scores == "yes_or_no":
            wanted = torch.sigmoid(meant / t)
            return t**2 * functional.binary_cross_entropy_with_logits(said / t, wanted, reduction="none").mean(dim=-1)
        return (said - meant).square().mean(dim=-1)
