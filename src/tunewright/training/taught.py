"""Draw one number out of the features of a text: what a start trains by that teaches what is known already."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from tunewright.core.contracts import Objective


@dataclass(frozen=True)
class Taught(Objective):
    """The square of what a linear map of a row's features, which stays as it is, is off from the row's number.

    weight: (hidden,); bias: a number.
    """

    weight: Tensor
    bias: float

    def loss(self, logits: Tensor, labels: Tensor, class_weights: Tensor | None) -> Tensor:
        """See Objective.loss. logits are features (batch, hidden); labels (batch,) numbers."""
        return (logits @ self.weight + self.bias - labels).square()
