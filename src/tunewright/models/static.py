"""Static embeddings as a backbone: every piece has one vector, whatever stands beside it. No layers, very fast."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from tunewright.models.shared import as_torch
from tunewright.models.table import FACTOR, MODEL_TYPE


class StaticEncoder(nn.Module):
    """The surface of a `transformers` encoder over one table of pieces and, with `pairs` in its configuration, one of
    neighbours: that many rows, which pairs of pieces share by their remainder (as fastText's n-grams, Joulin et al. 2017)."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.config = dict(config)
        self.embeddings = nn.Embedding(config["vocab_size"], config["hidden_size"])
        if config.get("pairs"):
            self.pairs = nn.Embedding(config["pairs"], config["hidden_size"])
            nn.init.zeros_(self.pairs.weight)

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
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        if self.config.get("pairs"):
            rows = (input_ids[:, :-1].long() * FACTOR + input_ids[:, 1:]) % self.config["pairs"]
            both = (mask[:, :-1] * mask[:, 1:]).unsqueeze(-1).to(hidden.dtype)
            hidden = hidden + nn.functional.pad(self.pairs(rows) * both, (0, 0, 0, 1))
        return SimpleNamespace(last_hidden_state=hidden * mask.unsqueeze(-1).to(hidden.dtype))


def static_encoder(words: Tensor, padding: int, pairs: int = 0) -> StaticEncoder:
    """An encoder of these vectors (pieces, hidden), with `pairs` rows for neighbours that begin at zero."""
    sizes = {"vocab_size": words.shape[0], "hidden_size": words.shape[1], "pad_token_id": padding}
    made = StaticEncoder({"model_type": MODEL_TYPE, **sizes, **({"pairs": pairs} if pairs else {})})
    with torch.no_grad():
        made.embeddings.weight.copy_(words)
    return made


def load_static(folder: Path, config: Mapping[str, Any]) -> StaticEncoder:
    """Open a folder of our own layout: config.json with model_type "static", and model.safetensors."""
    encoder = StaticEncoder(config)
    encoder.load_state_dict(as_torch(folder))
    return encoder.float()
