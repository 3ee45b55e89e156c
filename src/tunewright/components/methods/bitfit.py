"""Train the biases alone, and the head (BitFit, Ben Zaken et al. 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tunewright.core.contracts import Method
from tunewright.core.errors import RecipeError

if TYPE_CHECKING:
    from tunewright.models.model import Model


@dataclass(frozen=True)
class BitFit(Method):
    """A thousandth of the weights, and nothing is inserted: the saved model has the backbone's own form."""

    rate: ClassVar[float] = 10.0  # few weights move

    def apply(self, model: Model) -> Model:
        """See Method.apply. Raises RecipeError for a backbone without biases."""
        model.requires_grad_(False)
        biases = [value for name, value in model.backbone.named_parameters() if name.rpartition(".")[2] == "bias"]
        if not biases:
            raise RecipeError("train.method: bitfit trains biases, and this backbone has none. Take lora or full.")
        for bias in biases:
            bias.requires_grad_(True)
        model.head.requires_grad_(True)
        return model
