"""Several tasks at once: softmax cross-entropy of each labelled token among the outputs of its own task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunewright.core.contracts import Objective

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class WithinParts(Objective):
    """On (batch, tokens, outputs), with labels (batch, tokens, 3): the right output, and the first and the end of its task's."""

    def loss(self, logits: Tensor, labels: Tensor, class_weights: Tensor | None) -> Tensor:
        """See Objective.loss; token losses are averaged within their example."""
        from tunewright.models.losses import of_examples, softmax_losses

        return of_examples(softmax_losses(*_within(logits, labels), class_weights), labels[..., 0])

    def divergence(self, first: Tensor, second: Tensor, labels: Tensor) -> Tensor:
        """See Objective.divergence: of the softmax outputs of each labelled token's task."""
        from tunewright.models.losses import softmax_divergence

        (first, gold), (second, _) = _within(first, labels), _within(second, labels)
        return softmax_divergence(first, second, gold)


FAR = -1e4  # a logit whose softmax is 0


def _within(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Logits whose other tasks' outputs are out of the softmax, and the right outputs (batch, tokens)."""
    import torch

    if logits.ndim != 3 or labels.ndim != 3 or labels.shape[-1] != 3:
        raise ValueError("several tasks need an output for every token, and labels that say which outputs are theirs")
    gold, first, end = labels.unbind(dim=-1)
    place = torch.arange(logits.shape[-1], device=logits.device)
    inside = (place >= first[..., None]) & (place < end[..., None])
    return logits.masked_fill(~inside, FAR), gold
