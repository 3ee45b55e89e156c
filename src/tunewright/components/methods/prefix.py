"""Train keys and values that every layer's attention sees before the text's own (prefix tuning, Li and Liang 2021)."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from tunewright.core.errors import RecipeError
from tunewright.models.adapters import Prepending

if TYPE_CHECKING:
    from tunewright.models.model import Model


@dataclass(frozen=True)
class Prefix(Prepending):
    """Reaches into every layer, where `prompt` reaches only the first; for families whose attention takes stored keys."""

    rate: ClassVar[float] = 80.0  # few weights move, and start at zero; against 30, validation of trec6: 88.0 and 86.7

    def config(self, model: Model) -> Any:
        """See Prepending.config."""
        from peft import PrefixTuningConfig

        if "past_key_values" not in inspect.signature(model.backbone.forward).parameters:
            raise RecipeError(
                f"train.method: prefix needs attention that takes stored keys and values, which {type(model.backbone).__name__} "
                "has not. Take prompt, adapter or lora."
            )
        return PrefixTuningConfig()

    def apply(self, model: Model) -> Model:
        """See Prepending.apply; at random, keys would turn attention away from the text before anything is learned."""
        from torch import nn

        model = super().apply(model)
        for encoder in model.backbone.inner.prompt_encoder.values():
            nn.init.zeros_(encoder.embedding.weight)
        return model
