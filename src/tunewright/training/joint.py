"""Passes of objectives that hold the texts of a step against one another: pooled features of all, whatever memory there is.

A step is not cut, as its texts are one another's negatives. Its windows go through the network part by part, and nothing but
their features is kept: each part is computed once more on the way back (gradient checkpointing, Chen et al. 2016; what Gao
et al. 2021 call a gradient cache).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from tunewright.models.batches import INPUTS, length_batches
from tunewright.models.model import Model

Batch = Mapping[str, Tensor]


def together(
    model: Model, forward: Callable[[Batch], Tensor], most_tokens: Callable[[], int]
) -> Callable[[Batch], Tensor]:
    """A function from a batch as Pairs gives it to the pooled features of its texts (texts, hidden), in their order.

    forward: the model's pass in the precision of training; most_tokens: padded tokens that are computed at a time.
    """

    def pooled(part: Batch) -> Tensor:
        with model.pooling():  # here and not around the step: a part is computed again on the way back
            return forward(part)

    def whole(batch: Batch) -> Tensor:
        lengths = batch["attention_mask"].sum(dim=1)
        parts = [torch.from_numpy(rows) for rows in length_batches(lengths.cpu().numpy(), most_tokens())]
        found = []
        for rows in parts:
            rows = rows.to(lengths.device)
            part = {name: batch[name][rows, : int(lengths[rows].max())] for name in INPUTS if name in batch}
            again = len(parts) > 1 and torch.is_grad_enabled()
            found.append(checkpoint(pooled, part, use_reentrant=False) if again else pooled(part))
        features = torch.cat(found).float()
        places = torch.cat([rows.to(lengths.device) for rows in parts])
        return _joined(features, batch["text"][places], batch["weight"][places])

    return whole


def _joined(features: Tensor, text: Tensor, weight: Tensor) -> Tensor:
    """The mean of each text's windows, by their weights: (windows, hidden) → (texts, hidden)."""
    texts = int(text.max()) + 1
    sums = features.new_zeros(texts, features.shape[1]).index_add(0, text, features * weight[:, None])
    return sums / features.new_zeros(texts).index_add(0, text, weight)[:, None]
