"""The same questions get the right answers from every family of networks."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tunewright.core.errors import ModelError
from tunewright.models import surgery
from tunewright.models.static import StaticEncoder

BERT_LIKE = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64}
FAMILIES = {
    "bert": BERT_LIKE,
    "roberta": BERT_LIKE,
    "xlm-roberta": BERT_LIKE,
    "electra": {**BERT_LIKE, "embedding_size": 16},
    "deberta-v2": BERT_LIKE,
    "mpnet": BERT_LIKE,
    "distilbert": {"dim": 32, "n_layers": 3, "n_heads": 2, "hidden_dim": 64},
    "modernbert": {
        **BERT_LIKE,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "cls_token_id": 1,
        "sep_token_id": 2,
    },
    "llama": {**BERT_LIKE, "num_key_value_heads": 1},
    "gpt2": {"n_embd": 32, "n_layer": 3, "n_head": 2, "bos_token_id": 1, "eos_token_id": 2},
}
FUSED = {"modernbert", "gpt2"}


@pytest.fixture(params=FAMILIES)
def family(request):
    return request.param


@pytest.fixture
def backbone(family):
    import transformers

    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(family, vocab_size=100, **FAMILIES[family])
    return transformers.AutoModel.from_config(config)


def test_layers_come_in_order(backbone):
    found = surgery.layers(backbone)
    names = {id(module): name for name, module in backbone.named_modules()}
    assert [names[id(layer)].rpartition(".")[2] for layer in found] == ["0", "1", "2"]
    assert len({type(layer) for layer in found}) == 1


def test_every_linear_map_of_a_layer_has_its_role(backbone, family):
    maps = surgery.linear_maps(backbone)
    assert set(maps) == set(surgery.ROLES)
    per_layer = {role: len(names) / 3 for role, names in maps.items()}
    assert per_layer == {**dict.fromkeys(surgery.ROLES, 1), "up": 2 if family == "llama" else 1}
    assert (maps["query"] == maps["key"] == maps["value"]) is (family in FUSED)
    modules = dict(backbone.named_modules())
    inside = {
        name
        for name, module in modules.items()
        if surgery.layer_of(name) is not None and type(module).__name__ in ("Linear", "Conv1D")
    }
    assert {name for names in maps.values() for name in names} == inside


def test_embeddings_and_width(backbone, family):
    assert surgery.word_embeddings(backbone).weight.shape == (100, 16 if family == "electra" else 32)
    assert surgery.hidden_size(backbone) == 32


def test_a_parameter_knows_its_layer(backbone):
    by_layer = {id(p): index for index, layer in enumerate(surgery.layers(backbone)) for p in layer.parameters()}
    for name, parameter in backbone.named_parameters():
        assert surgery.layer_of(name) == by_layer.get(id(parameter)), name


def test_a_parameter_under_an_adapter_knows_its_layer():
    assert surgery.layer_of("base_model.model.encoder.layer.11.attention.self.query.lora_A.default.weight") == 11


def test_static_embeddings_have_no_layers():
    encoder = StaticEncoder({"vocab_size": 10, "hidden_size": 4})
    assert surgery.layers(encoder) == []
    assert surgery.linear_maps(encoder) == {}
    assert surgery.hidden_size(encoder) == 4
    assert surgery.word_embeddings(encoder).weight.shape == (10, 4)


def test_a_network_that_does_not_say_its_width_is_refused():
    network = nn.Linear(2, 2)
    network.config = {}
    with pytest.raises(ModelError, match="Linear states no hidden_size"):
        surgery.hidden_size(network)


def low_rank_of(**settings):
    from peft import LoraConfig, get_peft_model

    plain = nn.Sequential(nn.Linear(6, 4))
    return get_peft_model(plain, LoraConfig(r=2, lora_alpha=8, target_modules=["0"], **settings))


def test_a_low_rank_update_is_what_the_map_adds():
    pytest.importorskip("peft")
    inserted = low_rank_of(init_lora_weights=False).base_model.model[0]
    update = surgery.low_rank_update(inserted)
    rows = torch.randn(3, 6)
    expected = update.map(rows) + update.scale * (rows @ update.down.T) @ update.up.T
    torch.testing.assert_close(inserted(rows), expected)
    assert update.scale == 4.0


def test_what_is_not_one_plain_low_rank_update_is_none():
    pytest.importorskip("peft")
    from peft import LoraConfig

    assert surgery.low_rank_update(nn.Linear(6, 4)) is None
    for settings in ({"lora_dropout": 0.1}, {"use_dora": True}, {"lora_bias": True}):
        assert surgery.low_rank_update(low_rank_of(**settings).base_model.model[0]) is None, settings
    model = low_rank_of()
    inserted = model.base_model.model[0]
    with model.disable_adapter():
        assert surgery.low_rank_update(inserted) is None
    assert surgery.low_rank_update(inserted) is not None
    model.add_adapter("second", LoraConfig(r=2, target_modules=["0"]))
    model.base_model.set_adapter(["default", "second"])
    assert surgery.low_rank_update(inserted) is None
    model.base_model.set_adapter("default")
    model.merge_adapter()
    assert surgery.low_rank_update(inserted) is None
