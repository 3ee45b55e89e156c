"""A folder opens to the same network every time, quietly, or says what is wrong with it."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from tunewright.core.errors import ModelError
from tunewright.models.backbone import load_backbone
from tunewright.models.processor import Processor
from tunewright.testing.tiny import tiny_backbone

FAMILIES = ("bert", "roberta", "distilbert")


def hidden(backbone, processor, text):
    (window,) = processor.encode([text])[0]
    with torch.no_grad():
        features = {name: torch.from_numpy(value)[None] for name, value in window.features.items()}
        return backbone(**features).last_hidden_state


@pytest.mark.parametrize("family", FAMILIES)
def test_it_gives_a_hidden_state_for_every_token(tmp_path, family):
    folder = tiny_backbone(tmp_path, family=family)
    backbone, processor = load_backbone(folder), Processor.load(folder)
    assert hidden(backbone, processor, "good 今天").shape == (1, 5, 32)
    assert not backbone.training
    assert {parameter.dtype for parameter in backbone.parameters()} == {torch.float32}


@pytest.mark.parametrize("family", FAMILIES)
def test_eager_and_fused_attention_agree(tmp_path, family):
    folder = tiny_backbone(tmp_path, family=family)
    processor = Processor.load(folder)
    eager, fused = (load_backbone(folder, attention=kind) for kind in ("eager", "sdpa"))
    torch.testing.assert_close(hidden(eager, processor, "很 good"), hidden(fused, processor, "很 good"))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_dropout_is_set_whatever_the_family_calls_it(tmp_path, family, rate):
    backbone = load_backbone(tiny_backbone(tmp_path, family=family), dropout=rate)
    rates = {module.p for module in backbone.modules() if isinstance(module, nn.Dropout)}
    assert rates == {rate}


def test_equal_seeds_give_equal_bytes_and_others_do_not(tmp_path):
    folders = [tiny_backbone(tmp_path / str(index), seed=seed) for index, seed in enumerate((1, 1, 2))]
    first, second, third = ((folder / "model.safetensors").read_bytes() for folder in folders)
    assert first == second != third


def test_opening_twice_gives_equal_weights_even_where_the_checkpoint_has_none(tmp_path):
    folder = without(tiny_backbone(tmp_path), "pooler.")
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    one = load_backbone(folder)
    torch.rand(1)
    two = load_backbone(folder)
    torch.random.set_rng_state(state)
    load_backbone(folder)
    assert torch.equal(torch.random.get_rng_state(), state)
    for name, value in one.state_dict().items():
        assert torch.equal(value, two.state_dict()[name]), name


def test_nothing_is_written_on_standard_error(tmp_path, capfd):
    load_backbone(without(tiny_backbone(tmp_path), "pooler."))
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")


def test_a_checkpoint_that_lacks_weights_is_refused(tmp_path):
    folder = without(tiny_backbone(tmp_path), "encoder.layer.1.output")
    with pytest.raises(ModelError, match=r"lack 4 of the model's tensors \(encoder\.layer\.1\.output.*would be random"):
        load_backbone(folder)


def test_weights_of_another_size_are_one_clear_message(tmp_path):
    folder = tiny_backbone(tmp_path)
    change_config(folder, intermediate_size=48)
    with pytest.raises(ModelError, match=r"do not fit its config\.json: encoder.*is 64, and 48 was expected"):
        load_backbone(folder)


def test_cut_off_weights_are_one_clear_message(tmp_path):
    folder = tiny_backbone(tmp_path)
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"cannot be opened: .*header"):
        load_backbone(folder)


def test_an_unknown_kind_of_model_is_one_clear_message(tmp_path):
    folder = tiny_backbone(tmp_path)
    change_config(folder, model_type="martian")
    with pytest.raises(ModelError, match=r"cannot be opened: .*martian"):
        load_backbone(folder)


def test_a_folder_without_a_configuration_is_no_model(tmp_path):
    with pytest.raises(ModelError, match=r"is no model's folder: its config\.json cannot be read"):
        load_backbone(tmp_path)


def change_config(folder, **values):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **values}))


def without(folder, prefix):
    from safetensors.torch import load_file, save_file

    kept = {n: v for n, v in load_file(folder / "model.safetensors").items() if not n.startswith(prefix)}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    return folder
