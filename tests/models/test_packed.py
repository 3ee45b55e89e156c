"""The packed form of an encoder gives the same answers and gradients as the plain one, on texts of any lengths."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from tunewright.core import catalog
from tunewright.kernels import library as kernels
from tunewright.models import fused
from tunewright.models.model import Model
from tunewright.models.packed import PackedEncoder, packed

SIZES = {"hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 100}
FAMILIES = {
    "bert": SIZES,
    "roberta": {**SIZES, "pad_token_id": 1},
    "xlm-roberta": {**SIZES, "pad_token_id": 1},
    "electra": {**SIZES, "embedding_size": 16},
}
OTHERS = {
    "distilbert": {"dim": 32, "n_layers": 3, "n_heads": 2, "hidden_dim": 64},
    "mpnet": {**SIZES, "num_attention_heads": 4},
    "deberta-v2": {**SIZES, "relative_attention": True},
    "gpt2": {"n_embd": 32, "n_layer": 3, "n_head": 2},
}
LENGTHS = (1, 7, 33, 16, 40)  # a block of queries, vectors and their rests


def network(family, sizes):
    import transformers

    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(family, vocab_size=100, **sizes)
    for name in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
        setattr(config, name, 0.0)
    config._attn_implementation = "eager"
    model = transformers.AutoModel.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():  # fresh biases are zero, and scales one: errors in them would not show
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return model


def batch(lengths=LENGTHS):
    random = torch.Generator().manual_seed(1)
    ids = torch.zeros(len(lengths), max(lengths), dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for row, length in enumerate(lengths):
        ids[row, :length] = torch.randint(5, 100, (length,), generator=random)
        mask[row, :length] = 1
    return {"input_ids": ids, "attention_mask": mask}


def model_of(backbone):
    torch.manual_seed(2)
    head = catalog.create("heads", "pooled")
    return Model(backbone, head.build(SIZES["hidden_size"], 3), head, ("a", "b", "c"))


def gradients(backbone, encode=None, precision=None):
    """Of a function of all real tokens' hidden states, by parameter, in float64."""
    features = batch()
    torch.manual_seed(3)
    directions = torch.randn(len(LENGTHS), max(LENGTHS), SIZES["hidden_size"], dtype=torch.float64)
    encode = encode or (lambda features: backbone(**features).last_hidden_state)
    with torch.autocast("cpu", precision or torch.bfloat16, enabled=precision is not None):
        hidden = encode(features)
    (hidden.double() * directions * features["attention_mask"][:, :, None]).tanh().sum().backward()
    return {name: p.grad.double() for name, p in backbone.named_parameters() if p.grad is not None}


def errors(found, exact):
    """Relative error of every parameter's gradient; those of key biases are zero in exact arithmetic, and left out."""
    assert found.keys() == exact.keys()
    biggest = max(float(value.norm()) for value in exact.values())
    kept = [name for name in exact if float(exact[name].norm()) > 1e-6 * biggest]
    return {name: float((found[name] - exact[name]).norm() / exact[name].norm()) for name in kept}


@pytest.fixture(params=FAMILIES)
def backbone(request):
    return network(request.param, FAMILIES[request.param])


@pytest.fixture(params=["kernels", "torch"])
def computed(request, monkeypatch):
    """With the compiled kernels, and as on a machine without them."""
    if request.param == "torch":
        monkeypatch.setattr(fused, "library", lambda: None)
    elif kernels.library() is None:
        pytest.skip(kernels.about())
    return request.param


def test_hidden_states_of_real_tokens_are_those_of_the_backbone(backbone, computed):
    encoder, features = packed(backbone), batch()
    assert isinstance(encoder, PackedEncoder)
    real = features["attention_mask"].bool()
    with torch.no_grad():
        ours, theirs = encoder(features), backbone.eval()(**features).last_hidden_state
    torch.testing.assert_close(ours[real], theirs[real], rtol=1e-4, atol=1e-4)
    assert not ours[~real].any()


@pytest.mark.parametrize(("precision", "most"), [(None, 1e-4), (torch.bfloat16, 0.05)])
def test_gradients_are_those_of_plain_pytorch_in_float64(backbone, computed, precision, most):
    exact = gradients(copy.deepcopy(backbone).double())
    found = errors(gradients(backbone, packed(backbone), precision), exact)
    assert len(found) > 30
    assert max(found.values()) < most, max(found, key=found.get)


def test_many_rows_are_rounded_up_without_a_trace(backbone, computed, monkeypatch):
    monkeypatch.setattr("tunewright.models.packed.ROUND", 8)  # 97 rows become 104
    seen = []
    kept = fused.attention
    monkeypatch.setattr(fused, "attention", lambda rows, *rest: seen.append(len(rows)) or kept(rows, *rest))
    exact = gradients(copy.deepcopy(backbone).double())
    found = errors(gradients(backbone, packed(backbone)), exact)
    assert 104 in seen
    assert max(found.values()) < 1e-4, max(found, key=found.get)


def test_in_float64_the_packed_form_is_exact(backbone):
    exact = gradients(copy.deepcopy(backbone).double())
    backbone.double()
    assert max(errors(gradients(backbone, PackedEncoder(backbone)), exact).values()) < 1e-10


@pytest.mark.parametrize("family", OTHERS)
def test_other_families_keep_their_own_way(family):
    assert packed(network(family, OTHERS[family])) is None


def test_it_is_tried_in_full_precision_wherever_it_is_asked_for(backbone):
    with torch.autocast("cpu", torch.bfloat16):
        assert packed(backbone) is not None


def test_a_backbone_that_only_looks_like_bert_is_found_out(backbone):
    backbone.encoder.layer[1].attention.self.query.register_forward_hook(lambda module, inputs, output: output * 2)
    assert packed(backbone) is None


def test_dropout_is_computed_in_the_ordinary_way_while_training():
    backbone = network("bert", SIZES)
    for module in backbone.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.5
    model = model_of(backbone)
    model.pack()
    model.train()
    torch.manual_seed(0)
    assert not torch.equal(model(batch()), model(batch()))
    model.eval()
    torch.testing.assert_close(model(batch()), model(batch()), rtol=0, atol=0)


def test_a_changed_weight_is_seen(backbone):
    model = model_of(backbone).eval()
    model.pack()
    with torch.inference_mode():
        before = model(batch())
    with torch.no_grad():
        backbone.encoder.layer[0].intermediate.dense.weight.mul_(1.5)
    with torch.inference_mode():
        assert not torch.allclose(model(batch()), before)
    model._packed = None
    with torch.inference_mode():
        plain = model(batch())
    model.pack()
    torch.testing.assert_close(model(batch()).detach(), plain, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("choices", [{"fused": True}, {"foreach": True}])
def test_steps_of_every_optimizer_are_seen(choices):
    """Fused optimizers change weights without telling anyone."""
    ways = []
    for pack in (False, True):
        model = model_of(network("bert", SIZES))
        if pack:
            model.pack()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, **choices)
        losses = []
        for _ in range(4):
            loss = nn.functional.cross_entropy(model(batch()), torch.tensor([0, 1, 2, 1, 0]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        ways.append(losses)
    assert ways[1] == pytest.approx(ways[0], rel=1e-2)


def test_frozen_parameters_get_no_gradient(backbone):
    backbone.requires_grad_(False)
    backbone.encoder.layer[-1].requires_grad_(True)
    found = gradients(backbone, packed(backbone))
    assert {name.split(".")[2] for name in found} == {"2"}


def test_one_thread_or_two_differ_by_rounding_and_each_repeats_its_bits(backbone, computed):
    encoder = packed(backbone)

    def run(threads):
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        backbone.zero_grad()
        found = gradients(backbone, encoder)
        torch.set_num_threads(before)
        return found

    one, again, two = run(1), run(1), run(2)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert max(errors(two, one).values()) < 1e-4


def with_low_rank_updates(**settings):
    return with_inserted("lora", rank=4, **settings)


def with_inserted(name, **settings):
    pytest.importorskip("peft")
    method = catalog.create("methods", {"name": name, **settings})
    model = method.apply(model_of(network("bert", SIZES)))
    with torch.no_grad():
        for parameter in model.trained_parameters().values():  # the second matrix of each starts at zero
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return model


@pytest.mark.parametrize("targets", [["query", "key", "value", "attention_output", "up", "down"], ["value", "up"]])
def test_inserted_low_rank_updates_get_the_gradients_of_plain_pytorch_in_float64(computed, targets):
    model = with_low_rank_updates(targets=targets)
    exact = gradients(copy.deepcopy(model.backbone).double())
    found = gradients(model.backbone, packed(model.backbone))
    assert len(exact) == len(targets) * 2 * SIZES["num_hidden_layers"]
    wrong = errors(found, exact)
    assert max(wrong.values()) < 1e-4, max(wrong, key=wrong.get)


@pytest.mark.parametrize("name", ["adalora", "adapter"])
def test_other_inserted_parts_get_the_gradients_of_plain_pytorch_in_float64(computed, name):
    model = with_inserted(name)
    exact = gradients(copy.deepcopy(model.backbone).double())
    encoder = packed(model.backbone)
    assert encoder is not None
    found = gradients(model.backbone, encoder)
    wrong = errors(found, exact)
    assert max(wrong.values()) < 1e-4, max(wrong, key=wrong.get)


@pytest.mark.parametrize("name", ["prompt", "prefix"])
def test_what_stands_before_the_text_is_computed_in_the_ordinary_way(name):
    assert packed(with_inserted(name).backbone) is None


def test_low_rank_updates_keep_no_more_of_the_rows_than_full_training_does(computed):
    features = batch()
    rows = int(features["attention_mask"].sum())

    def kept(backbone):
        """Bytes of what has the rows' number, each memory once; without what is as narrow as a low-rank update."""
        found = {}

        def keep(value):
            if value.dim() == 2 and value.shape[0] == rows and value.shape[1] > 4:
                found[value.data_ptr()] = value
            return value

        encoder = packed(backbone)
        with torch.autocast("cpu", torch.bfloat16), torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
            encoder(features)
        return sum(value.nbytes for value in found.values())

    assert 0 < kept(with_low_rank_updates().backbone) <= kept(network("bert", SIZES))
