"""One label among several: softmax cross-entropy, with label smoothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from tunewright.core.contracts import Objective

if TYPE_CHECKING:
    from torch import Tensor

IGNORED = -100  # label of positions that have none (special tokens)


@dataclass(frozen=True)
class CrossEntropy(Objective):
    """Works on (batch, labels) and, for token-level tasks, on (batch, tokens, labels)."""

    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = (
        0.0  # share of certainty given to the other labels; 0.1 helps with noisy labels
    )

    def loss(self, logits: Tensor, labels: Tensor, class_weights: Tensor | None) -> Tensor:
        """See Objective.loss; token losses are averaged within their example."""
        from torch.nn.functional import cross_entropy

        losses = cross_entropy(
            logits.flatten(0, -2),
            labels.flatten(),
            weight=class_weights,
            ignore_index=IGNORED,
            label_smoothing=self.label_smoothing,
            reduction="none",
        ).view(labels.shape)
        if losses.ndim == 1:
            return losses
        real = labels != IGNORED
        return losses.sum(dim=1) / real.sum(dim=1).clamp(min=1)
