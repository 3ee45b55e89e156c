"""The likelihood of a text's tags as one sequence: a linear-chain CRF (Lafferty et al. 2001)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunewright.core import chains
from tunewright.core.contracts import Objective

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class CRF(Objective):
    """For `task: {name: token_classification, crf: true}`, whose outputs are those of core/chains.py."""

    def loss(self, logits: Tensor, labels: Tensor, class_weights: Tensor | None) -> Tensor:
        """See Objective.loss; of a window with n units it is the n-th part of −log of the sequence's probability.

        logits: (batch, tokens, outputs); labels: (batch, tokens), the outputs of pairs, below 0 for tokens that are no unit.
        Raises ValueError for other forms, and for class weights: sequences have no class.
        """
        if logits.ndim != 3 or labels.shape != logits.shape[:2] or class_weights is not None:
            raise ValueError("crf takes outputs and a label for every token, and no class weights")
        count = chains.tags_of(logits.shape[-1])
        real = labels >= 0
        if real.any() and int(labels[real].min()) < count:
            raise ValueError("crf takes pairs of tags")
        # Units come first, in order, so that one step goes along all windows at once.
        order = real.int().argsort(dim=1, descending=True, stable=True)[:, : max(1, int(real.sum(dim=1).max()))]
        there, gold = real.gather(1, order), labels.gather(1, order)
        own = logits.float().gather(1, order.unsqueeze(-1).expand(-1, -1, logits.shape[-1]))
        alone, pairs = own[..., :count], own[..., count:].unflatten(-1, (count, count))
        scores = alone.unsqueeze(-2) + pairs  # (batch, units, tags before, tags)
        path = scores.flatten(-2).gather(2, (gold - count).clamp(min=0).unsqueeze(-1))
        reached = logits.new_zeros(len(logits), count, dtype=scores.dtype)
        for unit in range(scores.shape[1]):
            ahead = (reached.unsqueeze(-1) + scores[:, unit]).logsumexp(dim=1)
            reached = ahead.where(there[:, unit, None], reached)
        told = path.squeeze(-1).masked_fill(~there, 0.0).sum(dim=1)
        units = there.sum(dim=1)
        return (reached.logsumexp(dim=1) - told).masked_fill(units == 0, 0.0) / units.clamp(min=1)
