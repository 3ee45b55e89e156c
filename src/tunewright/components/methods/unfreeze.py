"""Train the head first, then layer after layer from the top down (gradual unfreezing, Howard and Ruder 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from tunewright.core.contracts import Method

if TYPE_CHECKING:
    from tunewright.models.model import Model


@dataclass(frozen=True)
class Unfreeze(Method):
    """As good as `full` in the end, and forgets less on the way there; layers that do not train yet cost no backward pass."""

    over: Annotated[float, Field(gt=0, le=1)] = 0.5  # share of the run after which all layers and the embeddings train

    def apply(self, model: Model) -> Model:
        """See Method.apply."""
        model.requires_grad_(True)
        return model

    def at(self, model: Model, step: int, steps: int) -> None:
        """See Method.at: layers begin to train at even distances, the embeddings last."""
        from tunewright.models import surgery

        depth = len(surgery.layers(model.backbone))
        between = self.over * steps / (depth + 1)
        model.hold({n for n in model.trained_parameters() if step < int(surgery.below_top(n, depth) * between)})
