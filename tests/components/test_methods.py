"""Each method trains its own part of the network. What all methods promise is in tunewright/testing/kinds/methods.py."""

from __future__ import annotations

import json

import pytest
import torch

from tunewright.core import catalog
from tunewright.core.errors import RecipeError
from tunewright.core.files import write_json
from tunewright.models.model import build_model
from tunewright.testing import materials


def applied(name: str, **settings):
    return catalog.create("methods", {"name": name, **settings}).apply(materials.model())


def trained(model) -> set[str]:
    return set(model.trained_parameters())


def sizes(model) -> int:
    return sum(value.numel() for value in model.trained_parameters().values())


def static_model(folder):
    """A network without layers: static embeddings."""
    from safetensors.torch import save_file

    write_json(folder / "config.json", {"model_type": "static", "vocab_size": 6, "hidden_size": 4, "pad_token_id": 0})
    save_file({"embeddings.weight": torch.ones(6, 4)}, folder / "model.safetensors")
    return build_model(folder, catalog.create("heads", "pooled"), ("a", "b"))


def test_full_trains_every_weight():
    model = applied("full")
    assert trained(model) == {name for name, _ in model.named_parameters()}


def test_linear_probe_trains_the_head_alone():
    assert trained(applied("linear_probe")) == {"head.output.weight", "head.output.bias"}


@pytest.mark.parametrize(("layers", "expected"), [(1, {"1"}), (2, {"0", "1"})])
def test_freeze_trains_the_top_layers_and_the_head(layers, expected):
    names = trained(applied("freeze", layers=layers))
    inside = {name.split(".layer.")[1].split(".")[0] for name in names if ".layer." in name}
    assert inside == expected
    assert {name for name in names if ".layer." not in name} == {"head.output.weight", "head.output.bias"}


def test_freeze_trains_the_word_embeddings_when_told():
    more = trained(applied("freeze", layers=1, embeddings=True)) - trained(applied("freeze", layers=1))
    assert more == {"backbone.embeddings.word_embeddings.weight"}


def test_freeze_says_how_many_layers_there_are(tmp_path):
    with pytest.raises(RecipeError, match=r"train\.method\.layers is 3, but the backbone has 2 layers"):
        applied("freeze", layers=3)
    with pytest.raises(RecipeError, match="the backbone has 0 layers"):
        catalog.create("methods", {"name": "freeze", "layers": 1}).apply(static_model(tmp_path))


def test_lora_grows_with_its_rank_and_its_targets():
    head = sizes(applied("linear_probe"))
    one, two = (sizes(applied("lora", rank=rank)) - head for rank in (1, 2))
    assert two == 2 * one
    query = sizes(applied("lora", rank=1, targets=("query",))) - head
    assert query == 2 * (32 + 32)  # two layers, 32 wide, one row and one column each


def test_lora_starts_at_nothing_and_alpha_scales_what_it_adds():
    differences = []
    for alpha in (8.0, 16.0):
        torch.manual_seed(0)
        model = applied("lora", rank=2, alpha=alpha, targets=("query",)).eval()
        with torch.no_grad():
            for name, value in model.named_parameters():
                if "lora_B" in name:
                    value.fill_(0.1)
        layer = next(module for name, module in model.named_modules() if name.endswith("query"))
        hidden = torch.ones(1, 1, 32)
        differences.append(layer(hidden) - layer.base_layer(hidden))
    torch.testing.assert_close(differences[1], 2 * differences[0])


def test_a_saved_adapter_opens_with_plain_peft_on_the_plain_backbone(tmp_path):
    from peft import PeftModel
    from transformers import AutoModel

    method = catalog.create("methods", {"name": "lora", "rank": 2})
    model = method.apply(materials.model()).eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "lora_B" in name:
                value.normal_(std=0.1, generator=torch.Generator().manual_seed(1))
    assert method.save_adapter(model, tmp_path)
    assert json.loads((tmp_path / "adapter_config.json").read_text())["r"] == 2
    assert (tmp_path / "head.safetensors").is_file()
    plain = AutoModel.from_pretrained(materials.backbone(), attn_implementation="eager")
    opened = PeftModel.from_pretrained(plain, tmp_path).eval()
    batch = materials.batch()
    with torch.inference_mode():
        torch.testing.assert_close(opened(**batch).last_hidden_state, model.hidden(batch))


def test_lora_needs_linear_maps(tmp_path):
    with pytest.raises(RecipeError, match="The backbone has no linear map of the roles query, key"):
        catalog.create("methods", "lora").apply(static_model(tmp_path))


def test_bitfit_trains_the_backbone_s_biases_and_the_head():
    names = trained(applied("bitfit"))
    biases = {name for name, _ in materials.model().backbone.named_parameters() if name.endswith("bias")}
    assert names == {f"backbone.{name}" for name in biases} | {"head.output.weight", "head.output.bias"}


def test_bitfit_needs_biases(tmp_path):
    with pytest.raises(RecipeError, match="bitfit trains biases, and this backbone has none"):
        catalog.create("methods", "bitfit").apply(static_model(tmp_path))


def test_dora_trains_the_sizes_beside_what_lora_trains():
    low_rank, both = (trained(applied(name, rank=2)) for name in ("lora", "dora"))
    sizes = both - low_rank
    assert low_rank < both and len(sizes) == 6 * 2 and all("lora_magnitude_vector" in name for name in sizes)


def test_ia3_trains_a_factor_for_each_key_and_value_and_for_each_inner_output():
    model = applied("ia3")
    widths = [v.numel() for name, v in model.trained_parameters().items() if not name.startswith("head.")]
    inner = model.backbone.config.intermediate_size
    assert sorted(widths) == sorted(2 * [32, 32, inner])
