"""Static embeddings look like any encoder from outside."""

from __future__ import annotations

import json

import torch
from safetensors.torch import save_file

from tunewright.models.backbone import load_backbone


def test_a_static_folder_opens_as_a_backbone(tmp_path):
    table = torch.arange(12.0).reshape(4, 3)
    save_file({"embeddings.weight": table}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "static", "vocab_size": 4, "hidden_size": 3}))
    backbone = load_backbone(tmp_path)
    ids, mask = torch.tensor([[1, 2, 0]]), torch.tensor([[1, 1, 0]])
    hidden = backbone(input_ids=ids, attention_mask=mask).last_hidden_state
    assert torch.equal(hidden[0], torch.stack([table[1], table[2], torch.zeros(3)]))
