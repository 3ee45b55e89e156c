"""Train the biases and the head alone: a thousandth of the weights (BitFit, Ben Zaken et al. 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tunewright.core.contracts import Method

if TYPE_CHECKING:
    from tunewright.models.model import Model


@dataclass(frozen=True)
class BiasOnly(Method):
    """Little memory for the optimizer, and little room to forget what the backbone knows."""

    norms: bool = True  # train the scales of the layer norms too; they are as few as the biases

    rate: ClassVar[float] = 20.0  # relative to full fine-tuning: few weights move, so each moves further

    def apply(self, model: Model) -> Model:
        """See Method.apply."""
        model.requires_grad_(False)
        for name, parameter in model.backbone.named_parameters():
            is_bias = name.endswith("bias")
            is_norm = parameter.ndim == 1 and not is_bias
            parameter.requires_grad_(is_bias or (self.norms and is_norm))
        model.head.requires_grad_(True)
        return model
