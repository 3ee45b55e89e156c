"""A backbone that reads learned vectors before every text: prompts and prefixes, as `peft` makes them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Prepended(nn.Module):
    """Takes and gives what the backbone does: the hidden states of the text's own tokens.

    inner: `peft`'s model around the backbone. It computes the same as `peft` itself, which leaves token types out.
    """

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner

    @property
    def config(self) -> Any:
        """The backbone's own."""
        return self.inner.get_base_model().config

    def get_input_embeddings(self) -> nn.Embedding:
        """The backbone's table of words."""
        return self.inner.get_base_model().get_input_embeddings()

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, token_type_ids: Tensor | None = None
    ) -> Any:
        """As the backbone's; token types of what stands before are zero."""
        batch, tokens = input_ids.shape
        count = self.inner.active_peft_config.num_virtual_tokens
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        given: dict[str, Any] = {"attention_mask": nn.functional.pad(mask, (count, 0), value=1)}
        before = self.inner.get_prompt(batch)
        if isinstance(before, Tensor):
            given["inputs_embeds"] = torch.cat((before, self.get_input_embeddings()(input_ids)), dim=1)
            token_type_ids = None if token_type_ids is None else nn.functional.pad(token_type_ids, (count, 0))
        else:
            given |= {"input_ids": input_ids, "past_key_values": before}
        if token_type_ids is not None:
            given["token_type_ids"] = token_type_ids
        found = self.inner.get_base_model()(**given)
        found.last_hidden_state = found.last_hidden_state[:, -tokens:]
        return found
