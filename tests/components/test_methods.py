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
from tunewright.testing.tiny import tiny_backbone


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


def moved(model, seed: int = 1):
    """The model with everything that was inserted moved away from its start."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in model.trained_parameters().items():
            if not name.startswith("head."):
                value.add_(torch.randn(value.shape, generator=random) * 0.3)
    return model.eval()


@pytest.mark.parametrize(("places", "count"), [("houlsby", 4), ("pfeiffer", 2)])
def test_adapters_stand_behind_the_parts_of_each_layer(places, count):
    model = applied("adapter", size=5, places=places)
    inserted = [name for name in trained(model) if name.endswith("down.weight")]
    behind = {"attention.output.dense", "output.dense"} if places == "houlsby" else {"output.dense"}
    assert len(inserted) == count
    assert {name.split(".layer.")[1][2:].removesuffix(".down.weight") for name in inserted} == behind
    assert sizes(model) - sizes(applied("linear_probe")) == count * (2 * 5 * 32 + 5 + 32)


def test_an_adapter_adds_what_its_bottleneck_makes_of_the_maps_result():
    model = moved(applied("adapter"))
    module = model.backbone.encoder.layer[0].output.dense
    rows = torch.randn(3, 64, generator=torch.Generator().manual_seed(0))
    plain = module.base_layer(rows)
    expected = plain + torch.nn.functional.gelu(plain @ module.down.weight.T + module.down.bias) @ module.up.weight.T
    torch.testing.assert_close(module(rows), expected + module.up.bias)


def test_a_saved_bottleneck_adapter_gives_the_same_answers_on_the_plain_backbone(tmp_path):
    from safetensors.torch import load_file

    method = catalog.create("methods", {"name": "adapter", "size": 3})
    model = moved(method.apply(materials.model()))
    assert method.save_adapter(model, tmp_path)
    described = json.loads((tmp_path / "adapter_config.json").read_text())["tunewright"]
    opened = catalog.create("methods", described).apply(materials.model(seed=0)).eval()
    opened.load_state_dict(load_file(tmp_path / "adapter_model.safetensors"), strict=False)
    opened.head.load_state_dict(load_file(tmp_path / "head.safetensors"))
    with torch.inference_mode():
        torch.testing.assert_close(opened(materials.batch()), model(materials.batch()))


@pytest.mark.parametrize("name", ["prompt", "prefix"])
def test_saved_prompts_and_prefixes_open_with_plain_peft(tmp_path, name):
    from peft import PeftModel
    from transformers import AutoModel

    method = catalog.create("methods", {"name": name, "tokens": 4})
    model = moved(method.apply(materials.model()))
    assert method.save_adapter(model, tmp_path) and (tmp_path / "head.safetensors").is_file()
    plain = AutoModel.from_pretrained(materials.backbone(), attn_implementation="eager")
    opened = PeftModel.from_pretrained(plain, tmp_path).eval()
    batch = {n: v for n, v in materials.batch().items() if n != "token_type_ids"}
    tokens = batch["input_ids"].shape[1]
    with torch.inference_mode():
        found = opened(**batch).last_hidden_state[:, -tokens:]
        torch.testing.assert_close(found, model.hidden(batch))
        assert (found - materials.model().eval().hidden(batch)).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["prompt", "prefix"])
def test_behind_prompts_and_prefixes_padding_and_the_second_text_of_a_pair_still_count(name):
    model = moved(applied(name))
    batch = materials.batch()
    with torch.inference_mode():
        alone = model({n: v[1:2, : int(batch["attention_mask"][1].sum())] for n, v in batch.items()})
        torch.testing.assert_close(model(batch)[1:2], alone, rtol=1e-4, atol=1e-5)
        second = {**batch, "token_type_ids": torch.ones_like(batch["input_ids"])}
        assert (model(second) - model(batch)).abs().max() > 1e-4


def test_a_prefix_begins_with_nothing_and_a_prompt_with_words_of_the_vocabulary():
    prefix, prompt = (applied(name, tokens=3).backbone.inner.prompt_encoder["default"].embedding.weight for name in ("prefix", "prompt"))  # fmt: skip
    words = materials.model().backbone.get_input_embeddings().weight
    assert not prefix.any() and prefix.shape == (3, 2 * 2 * 32)
    assert all((one == words).all(dim=1).any() for one in prompt)


@pytest.mark.parametrize("family", ["roberta", "distilbert"])
@pytest.mark.parametrize("name", ["adapter", "adalora", "prompt", "unfreeze"])
def test_methods_that_change_on_the_way_or_stay_inserted_take_other_families(tmp_path, family, name):
    folder = tiny_backbone(tmp_path / family, family=family)
    model = catalog.create("methods", name).apply(build_model(folder, catalog.create("heads", "pooled"), ("a", "b")))
    batch = {n: v for n, v in materials.batch().items() if n != "token_type_ids"}
    model(batch).sum().backward()
    assert all(value.grad is not None for n, value in model.trained_parameters().items() if "pooler" not in n)


def test_methods_say_where_a_backbone_has_no_place_for_them(tmp_path):
    from transformers import AutoModel

    for name in ("adapter", "adalora"):
        with pytest.raises(RecipeError, match=f"The backbone has no linear map of the roles .* for {name}"):
            catalog.create("methods", name).apply(static_model(tmp_path))
    with pytest.raises(RecipeError, match="prompt needs a backbone with layers that mix tokens"):
        catalog.create("methods", "prompt").apply(static_model(tmp_path))
    folder = tiny_backbone(tmp_path / "distilbert", family="distilbert")
    assert "past_key_values" not in AutoModel.from_pretrained(folder).forward.__code__.co_varnames
    with pytest.raises(RecipeError, match="prefix needs attention that takes stored keys and values, which DistilBert"):
        catalog.create("methods", "prefix").apply(build_model(folder, catalog.create("heads", "pooled"), ("a", "b")))


def test_a_saved_adalora_leaves_out_the_ranks_that_were_given_up_and_opens_with_plain_peft(tmp_path):
    from peft import PeftModel
    from safetensors.torch import load_file
    from transformers import AutoModel

    method = catalog.create("methods", {"name": "adalora", "rank": 1, "start_rank": 3})
    model = moved(method.apply(materials.model()))
    kept = model.backbone.base_model.ranks
    for index, (name, _) in enumerate(kept.items()):
        kept[name] = torch.tensor([index % 2 == 0, False, index % 3 == 0])  # of some matrices nothing is left
    method.at(model, 0, 10)
    assert method.save_adapter(model, tmp_path)
    left = [v.shape[0] for name, v in load_file(tmp_path / "adapter_model.safetensors").items() if "lora_E" in name]
    assert sorted(left) == sorted(int(one.sum()) for _, one in kept.items()) and min(left) == 0
    plain = AutoModel.from_pretrained(materials.backbone(), attn_implementation="eager")
    opened = PeftModel.from_pretrained(plain, tmp_path).eval()
    batch = materials.batch()
    with torch.inference_mode():
        torch.testing.assert_close(opened(**batch).last_hidden_state, model.hidden(batch))
