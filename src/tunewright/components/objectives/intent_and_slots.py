"""An intent and tags at once: softmax cross-entropy of the first token, weighed, and of the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from tunewright.core.contracts import Objective

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class IntentAndSlots(Objective):
    """On (batch, tokens, outputs): the first token's label is the text's intent, every other one a unit's tag."""

    intent_weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] = (
        1.0  # of the intent's loss beside the mean loss of the tags; 1 lets both count alike in each text
    )

    def loss(self, logits: Tensor, labels: Tensor, class_weights: Tensor | None) -> Tensor:
        """See Objective.loss; tag losses are averaged within their example."""
        from tunewright.models.losses import of_examples, softmax_losses

        if logits.ndim != 3 or labels.ndim != 2:
            raise ValueError("an intent and tags need an output and a label for every token")
        losses = softmax_losses(logits, labels, class_weights)
        return self.intent_weight * losses[:, 0] + of_examples(losses[:, 1:], labels[:, 1:])

    def divergence(self, first: Tensor, second: Tensor, labels: Tensor) -> Tensor:
        """See Objective.divergence: of the intents' softmax, weighed, and of the tags'."""
        from tunewright.models.losses import softmax_divergence

        intents = softmax_divergence(first[:, 0], second[:, 0], labels[:, 0])
        return self.intent_weight * intents + softmax_divergence(first[:, 1:], second[:, 1:], labels[:, 1:])
