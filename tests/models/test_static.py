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


def test_the_runtime_of_static_models_gives_the_numbers_of_pytorch_and_takes_no_other(tmp_path):
    import numpy as np
    import torch

    from tunewright.core import catalog
    from tunewright.models.layout import save_model
    from tunewright.models.static import static_encoder
    from tunewright.testing import materials

    model, processor = materials.model("pooled"), materials.processor()
    save_model(model, tmp_path / "bert" / "model", multi_label=False)
    pieces = model.backbone.config.vocab_size
    words = torch.randn(pieces, 24, generator=torch.Generator().manual_seed(0))
    save_model(model.on(static_encoder(words, processor.pad_id)), tmp_path / "static" / "model", multi_label=False)
    for folder in ("bert", "static"):
        processor.save(tmp_path / folder / "model")
    runtime, exact, onnx = (catalog.create("runtimes", name) for name in ("static", "torch", "onnx"))
    assert "it has layers" in runtime.lacks(tmp_path / "bert") and not runtime.lacks(tmp_path / "static")
    assert "looked up" in onnx.lacks(tmp_path / "static")
    found, expected = (one.open(tmp_path / "static")(materials.windows()) for one in (runtime, exact))
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == np.float32
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert runtime.open(tmp_path / "static")([]) == []
