"""Draw the features of like rows together and of others apart: what a start with few rows trains by."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tunewright.core.contracts import Objective


@dataclass(frozen=True)
class Likeness(Objective):
    """The cosine of two rows of a batch should be 1 where they share all labels, 0 where they share none.

    Squared error as in SetFit (Tunstall et al. 2022); there pairs are drawn and each text is computed once a pair, here once
    a batch, for all its pairs. Like and unlike rows weigh the same in sum, however many there are of each.
    """

    def loss(self, logits: Tensor, labels: Tensor, class_weights: Tensor | None) -> Tensor:
        """See Objective.loss. logits are features (batch, hidden); labels (batch,) or (batch, labels) zeros and ones."""
        features = torch.nn.functional.normalize(logits, dim=1)
        error = (features @ features.T - likeness(labels)).square()
        like, others = likeness(labels) > 0, ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
        return (_mean(error, like & others) + _mean(error, ~like & others)) / 2


def likeness(labels: Tensor) -> Tensor:
    """(batch, batch): 1 where two rows have the same label; of several labels the share that both have (Jaccard)."""
    if labels.ndim == 1:
        return (labels[:, None] == labels[None, :]).float()
    labels = labels.float()
    both = labels @ labels.T
    sizes = labels.sum(dim=1)
    return both / (sizes[:, None] + sizes[None, :] - both).clamp(min=1)


def _mean(values: Tensor, chosen: Tensor) -> Tensor:
    """(batch,) each row's mean of the chosen values; 0 where there are none."""
    return (values * chosen).sum(dim=1) / chosen.sum(dim=1).clamp(min=1)
