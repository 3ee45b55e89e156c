"""Entities and the relations between them at once: softmax cross-entropy of every tag, and of every pair of true entities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from tunewright.core import graphs
from tunewright.core.contracts import Objective

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class EntitiesAndRelations(Objective):
    """On (batch, tokens, outputs), with labels (batch, rows, 8) as core.graphs has their columns."""

    relation_weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] = (
        1.0  # of the mean loss of a text's pairs beside the mean loss of its tags
    )

    def loss(self, logits: Tensor, labels: Tensor, class_weights: Tensor | None) -> Tensor:
        """See Objective.loss; losses of tags and of pairs are averaged within their example.

        Raises ValueError for other shapes, and for class weights: entities and pairs are no rows.
        """
        from tunewright.models.losses import of_examples, softmax_losses

        if class_weights is not None:
            raise ValueError("entities_and_relations takes no class weights")
        tags, gold, pairs, related = _split(logits, labels)
        losses = of_examples(softmax_losses(tags, gold), gold)
        return losses + self.relation_weight * of_examples(softmax_losses(pairs, related), related)

    def divergence(self, first: Tensor, second: Tensor, labels: Tensor) -> Tensor:
        """See Objective.divergence: of the softmax of every tag, and of every pair, weighed."""
        from tunewright.models.losses import softmax_divergence

        (one, gold, pairs, related), (other, _, others, _) = _split(first, labels), _split(second, labels)
        return softmax_divergence(one, other, gold) + self.relation_weight * softmax_divergence(pairs, others, related)


def _split(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Logits of tags (batch, tokens, tags) and their labels; logits of pairs (batch, pairs, 1 + relations) and theirs."""
    if logits.ndim != 3 or labels.ndim != 3 or labels.shape[-1] != graphs.COLUMNS:
        raise ValueError("entities and relations need outputs for every token, and labels with eight columns")
    tags, relations = (int(labels[..., column].max()) for column in (graphs.TAGS, graphs.RELATIONS))
    gold = labels[:, : logits.shape[1], graphs.TAG]
    stretches = labels[..., [graphs.FIRST, graphs.LAST]]
    stretches = stretches[:, : int((stretches[..., 0] >= 0).sum(dim=1).max())]
    return logits[..., :tags], gold, *_pairs(logits[..., tags:].float(), stretches, labels, relations)


def _pairs(outputs: Tensor, stretches: Tensor, labels: Tensor, relations: int) -> tuple[Tensor, Tensor]:
    """Every two entities' logits, as graphs.pair_scores has them, and labels; IGNORED where there are no two.

    outputs: (batch, tokens, 2 * relations * width); stretches: (batch, entities, 2) their first and last tokens.
    """
    import torch
    from torch.nn import functional

    from tunewright.models.losses import IGNORED

    batch, count = stretches.shape[:2]
    if not relations or count < 2:
        return outputs.new_zeros(batch, 1, 1), labels.new_full((batch, 1), IGNORED)
    outputs = outputs.unflatten(-1, (2, relations, -1))
    place = torch.arange(outputs.shape[1], device=outputs.device)
    inside = ((place >= stretches[..., :1]) & (place <= stretches[..., 1:])).float()
    inside = inside / inside.sum(dim=-1, keepdim=True).clamp(min=1)
    ends = torch.einsum("bet,btdrw->bdrew", inside, outputs[..., :-1])
    left, right = ends.chunk(2, dim=-1)  # (batch, directions, relations, entities, rank + 1)
    scores = left[..., :-1] @ right[..., :-1].transpose(-1, -2) + left[..., -1:] + right[..., -1:].transpose(-1, -2)
    ahead, back = (scores + _between(outputs[..., -1], stretches)).unbind(dim=1)
    order = torch.arange(count, device=outputs.device)
    scores = torch.where(order[:, None] < order, ahead, back.transpose(-1, -2)).permute(0, 2, 3, 1)
    logits = functional.pad(scores, (1, 0))  # no relation scores 0
    real = stretches[..., 0] >= 0
    two = real.unsqueeze(2) & real.unsqueeze(1) & (order[:, None] != order)
    gold = torch.where(two, 0, IGNORED)
    rows, told = torch.nonzero(labels[..., graphs.NAME] >= 0, as_tuple=True)
    head, tail, name = labels[rows, told][:, [graphs.HEAD, graphs.TAIL, graphs.NAME]].unbind(dim=1)
    gold[rows, head, tail] = name + 1
    return logits.flatten(1, 2), gold.flatten(1)


def _between(evidence: Tensor, stretches: Tensor) -> Tensor:
    """(batch, directions, relations, entities, entities) the largest evidence between two entities, 0 at least.

    evidence: (batch, tokens, directions, relations).
    """
    import torch

    place = torch.arange(evidence.shape[1], device=evidence.device)
    gap = (place > stretches[:, :-1, 1:]) & (place < stretches[:, 1:, :1])  # behind each entity, up to the next
    largest = torch.where(gap[..., None, None], evidence.unsqueeze(1), 0.0).amax(dim=2).permute(0, 2, 3, 1)
    count = stretches.shape[1]
    steps = torch.nn.functional.pad(largest, (1, 0)).unsqueeze(-2).expand(*largest.shape[:3], count, count)
    return steps.triu(diagonal=1).cummax(dim=-1).values
