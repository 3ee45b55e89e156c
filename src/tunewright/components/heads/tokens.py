"""One answer per token: a linear map on every hidden state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tunewright.core.contracts import Head

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Tokens(Head):
    """What entity recognition needs; saved as a plain `transformers` token classifier."""

    transformers_class: ClassVar[str] = "AutoModelForTokenClassification"

    def build(self, hidden_size: int, outputs: int) -> nn.Module:
        """See Head.build; logits are (batch, tokens, outputs)."""
        from tunewright.models.heads import TokensHead

        return TokensHead(hidden_size, outputs)
