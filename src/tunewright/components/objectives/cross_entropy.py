"""One label among several: softmax cross-entropy, with label smoothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from tunewright.core.contracts import Objective

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class CrossEntropy(Objective):
    """Works on (batch, labels) and, for token-level tasks, on (batch, tokens, labels)."""

    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = (
        0.0  # share of certainty given to the other labels; 0.1 helps with noisy labels
    )

    def loss(self, logits: Tensor, labels: Tensor, class_weights: Tensor | None) -> Tensor:
        """See Objective.loss; token losses are averaged within their example."""
        from tunewright.models.losses import of_examples, softmax_losses

        return of_examples(softmax_losses(logits, labels, class_weights, self.label_smoothing), labels)

    def divergence(self, first: Tensor, second: Tensor, labels: Tensor) -> Tensor:
        """See Objective.divergence: of both softmax outputs."""
        from tunewright.models.losses import softmax_divergence

        return softmax_divergence(first, second, labels)
