"""Train the head alone on the frozen backbone: the cheapest method, without a backward pass through the backbone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tunewright.core.contracts import Method

if TYPE_CHECKING:
    from tunewright.models.model import Model


@dataclass(frozen=True)
class LinearProbe(Method):
    """The backbone stays bit-identical."""

    rate: ClassVar[float] = 20.0  # one convex layer

    def apply(self, model: Model) -> Model:
        """See Method.apply."""
        model.requires_grad_(False)
        model.head.requires_grad_(True)
        return model
