"""Train every weight: the best quality when there are enough rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunewright.core.contracts import Method

if TYPE_CHECKING:
    from tunewright.models.model import Model


@dataclass(frozen=True)
class Full(Method):
    """Word embeddings follow `model.word_embeddings`."""

    def apply(self, model: Model) -> Model:
        """See Method.apply."""
        model.requires_grad_(True)
        return model
