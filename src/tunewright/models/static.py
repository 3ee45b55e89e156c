"""Static embeddings as a backbone: every piece has one vector, whatever stands beside it. No layers, very fast."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from tunewright.models.shared import as_torch
from tunewright.models.table import MODEL_TYPE


class StaticEncoder(nn.Module):
    """The surface of a `transformers` encoder over one embedding table."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.config = dict(config)
        self.embeddings = nn.Embedding(config["vocab_size"], config["hidden_size"])

    def get_input_embeddings(self) -> nn.Embedding:
        """The embedding table, as `transformers` models give it."""
        return self.embeddings

    def set_input_embeddings(self, table: nn.Embedding) -> None:
        """Exchange it."""
        self.embeddings = table

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, token_type_ids: Tensor | None = None
    ) -> SimpleNamespace:
        """(batch, tokens) → `last_hidden_state` (batch, tokens, hidden); padded places are zero. The types of tokens are not looked at."""
        hidden = self.embeddings(input_ids)
        if attention_mask is not None:
            hidden = hidden * attention_mask.unsqueeze(-1).to(hidden.dtype)
        return SimpleNamespace(last_hidden_state=hidden)


def static_encoder(words: Tensor, padding: int) -> StaticEncoder:
    """An encoder of these vectors (pieces, hidden)."""
    sizes = {"vocab_size": words.shape[0], "hidden_size": words.shape[1], "pad_token_id": padding}
    made = StaticEncoder({"model_type": MODEL_TYPE, **sizes})
    with torch.no_grad():
        made.embeddings.weight.copy_(words)
    return made


def load_static(folder: Path, config: Mapping[str, Any]) -> StaticEncoder:
    """Open a folder of our own layout: config.json with model_type "static", and model.safetensors."""
    encoder = StaticEncoder(config)
    encoder.load_state_dict(as_torch(folder))
    return encoder.float()
