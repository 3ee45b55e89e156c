"""An intent and tags at once: softmax cross-entropy of the first token, weighed, and of the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from tunewright.core.contracts import Objective

if TYPE_CHECKING:
    from torch import Tensor

IGNORED = -100  # label of positions that have none


@dataclass(frozen=True)
class IntentAndSlots(Objective):
    """On (batch, tokens, outputs): the first token's label is the text's intent, every other one a unit's tag."""

    intent_weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] = (
        1.0  # of the intent's loss beside the mean loss of the tags; 1 lets both count alike in each text
    )

    def loss(self, logits: Tensor, labels: Tensor, class_weights: Tensor | None) -> Tensor:
        """See Objective.loss; tag losses are averaged within their example."""
        from torch.nn.functional import cross_entropy

        if logits.ndim != 3 or labels.ndim != 2:
            raise ValueError("an intent and tags need an output and a label for every token")
        losses = cross_entropy(
            logits.transpose(1, 2), labels, weight=class_weights, ignore_index=IGNORED, reduction="none"
        )
        units = (labels[:, 1:] != IGNORED).sum(dim=1).clamp(min=1)
        return self.intent_weight * losses[:, 0] + losses[:, 1:].sum(dim=1) / units
