"""What heads with an answer per token share: a linear map on every hidden state. No torch at import."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from tunewright.core.contracts import Head

if TYPE_CHECKING:
    from torch import nn


class PerToken(Head):
    """Its subclasses say which class of `transformers` computes the same."""

    def build(self, hidden_size: int, outputs: int) -> nn.Module:
        """See Head.build; logits are (batch, tokens, outputs)."""
        from tunewright.models.heads import TokensHead

        return TokensHead(hidden_size, outputs)

    def answer(self, hidden: np.ndarray, offsets: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> list[np.ndarray]:
        """See Head.answer; each (tokens, outputs)."""
        logits = (hidden @ weight.T + bias).astype(np.float32)
        return [logits[start:end] for start, end in itertools.pairwise(offsets)]
