"""The output networks as torch modules: what the head components build."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PooledHead(nn.Module):
    """Mean of the real tokens' hidden states → layer normalisation without parameters → linear map."""

    def __init__(self, hidden_size: int, outputs: int) -> None:
        super().__init__()
        self.output = nn.Linear(hidden_size, outputs)
        nn.init.normal_(self.output.weight, std=0.02)
        nn.init.zeros_(self.output.bias)

    def features(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """(batch, tokens, hidden), (batch, tokens) → (batch, hidden): what `output` is applied to."""
        weights = (mask / mask.sum(dim=1, keepdim=True)).to(hidden.dtype)
        mean = torch.matmul(weights.unsqueeze(1), hidden).squeeze(1)
        return nn.functional.layer_norm(mean.float(), (self.output.in_features,), eps=1e-12)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """(batch, tokens, hidden), (batch, tokens) → logits (batch, outputs)."""
        return self.output(self.features(hidden, mask))


class TokensHead(nn.Module):
    """A linear map on every token's hidden state."""

    def __init__(self, hidden_size: int, outputs: int) -> None:
        super().__init__()
        self.output = nn.Linear(hidden_size, outputs)
        nn.init.normal_(self.output.weight, std=0.02)
        nn.init.zeros_(self.output.bias)

    def features(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """The hidden states themselves (batch, tokens, hidden)."""
        return hidden.float()

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """(batch, tokens, hidden), (batch, tokens) → logits (batch, tokens, outputs)."""
        return self.output(self.features(hidden, mask))
