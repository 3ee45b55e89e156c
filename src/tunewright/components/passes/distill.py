"""Train the network to answer as the original does, on the data's texts; what other passes took away is made up for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from tunewright.core.contracts import Compressible, CompressionPass, Evidence, Imitation


@dataclass(frozen=True)
class Distill(CompressionPass):
    """Towards the original's logits (Hinton et al. 2015), and the features its head reads, where both are as wide; if told to,
    towards its attention too (Wang et al. 2021), for which it answers anew at each step: that takes two to three times as long.

    Nothing gets smaller by it: join it to a pass that prunes, as prune_ffn+distill. Labels are not needed.
    """

    mends: ClassVar[bool] = True
    epochs: Annotated[float, Field(gt=0)] = 3.0  # over the training rows; the best by validation is kept
    temperature: Annotated[float, Field(gt=0)] = 2.0  # over 1 shows what the original holds for second best
    hidden: Annotated[float, Field(ge=0)] = 1.0  # weight of the features beside the answers; 0: answers alone
    attention: Annotated[float, Field(ge=0)] = 0.0  # weight of how tokens attend to each other in the last layer
    states: Annotated[float, Field(ge=0)] = 0.0  # weight of each token's last hidden states, where both are as wide
    rate: Annotated[float, Field(gt=0)] = 2.0  # learning rate, relative to full fine-tuning: there is more to move

    def lacks(self, given: Compressible) -> str:
        """See CompressionPass.lacks."""
        from tunewright.models import relations

        if given.backbone is not None and (self.attention or self.states):
            return "attention and states are compared token by token, and another backbone has other tokens"
        return relations.lacks(given.model.backbone) if self.attention else ""

    def apply(self, given: Compressible, evidence: Evidence) -> Compressible:
        """See CompressionPass.apply."""
        return evidence.imitate(
            given, Imitation(self.epochs, self.temperature, self.hidden, self.rate, self.attention, self.states)
        )
