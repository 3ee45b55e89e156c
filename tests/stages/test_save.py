"""What a bundle's folder says of itself, beside the weights."""

from __future__ import annotations

import json
import os
import stat

import pytest

from tunewright import load
from tunewright.core import catalog
from tunewright.core.contracts import BackboneFacts
from tunewright.core.files import read_json, write_json
from tunewright.models.locate import Located
from tunewright.stages import embed, save


@pytest.fixture(scope="module")
def bundle(tmp_path_factory, train_tiny):
    """A bundle with an adapter, written under a umask that lets the group read."""
    before = os.umask(0o027)
    try:
        return train_tiny(tmp_path_factory.mktemp("saved") / "run", train__method="lora", train__epochs=1) / "bundle"
    finally:
        os.umask(before)


def test_every_file_of_a_bundle_has_the_rights_that_the_umask_gives(bundle):
    files = [path for path in bundle.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} >= {".safetensors", ".json", ".md", ".yaml"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o640}


def test_the_reference_names_the_datas_language(bundle):
    assert read_json(bundle / "reference.json")["language"] in ("en", "zh")


def test_the_adapter_opens_with_peft_and_names_the_backbone_and_not_where_it_lay(bundle, tiny_backbone):
    from peft import PeftModel
    from transformers import AutoModel

    config = read_json(bundle / "adapter" / "adapter_config.json")
    assert config["base_model_name_or_path"] == tiny_backbone.name
    said = (bundle / "adapter" / "README.md").read_text("utf-8")
    assert f"the backbone `{tiny_backbone.name}`" in said and "More Information Needed" not in said
    PeftModel.from_pretrained(AutoModel.from_pretrained(tiny_backbone), bundle / "adapter")


def test_what_is_merged_is_computed_anew_and_saved_in_the_plain_form(tmp_path, train_tiny):
    """PEFT merges behind torch's back, and the packed form must not go on with the weights from before."""
    how = {"train__learning_rate": 0.03, "train__epochs": 4, "train__precision": "fp32", "train__start": "random"}
    run = train_tiny(tmp_path / "run", train__method="lora", **how)
    report = read_json(run / "report.json")
    assert report["training"]["best_step"] > 0
    assert read_json(run / "bundle" / "model" / "config.json")["tunewright"].get("transformers", True)
    assert report["certificate"]["checks"] and report["certificate"]["passed"]


@pytest.mark.parametrize(("name", "form"), [("adapter", "Tunewright's own form"), ("prefix", "PEFT's format")])
def test_what_cannot_be_merged_is_saved_inserted_and_still_answers(tmp_path, train_tiny, intents_csv, name, form):
    run = train_tiny(tmp_path / "run", train__method=name, train__epochs=1, predict__runtime="auto")
    bundle, report = run / "bundle", read_json(run / "report.json")
    said = (bundle / "adapter" / "README.md").read_text("utf-8")
    assert form in said and "inserted into the backbone" in said
    assert read_json(bundle / "model" / "config.json")["tunewright"]["method"]["name"] == name
    trials = {catalog.name_of(catalog.create("runtimes", one["runtime"])): one for one in report["runtime"]["trials"]}
    assert trials["native"]["lacks"] == "the model is not saved in the form of transformers"
    assert "lacks" not in trials["torch"] and "lacks" not in trials["onnx"]
    assert report["certificate"]["name"] == "serving"  # plain transformers cannot open it, and the report says so
    assert report["certificate"]["checks"] and report["certificate"]["passed"]
    assert "does not open with plain transformers, only with Tunewright" in (run / "report.md").read_text("utf-8")
    texts = [line.split(",")[0] for line in intents_csv.test.read_text("utf-8").splitlines()[1:9]]
    exact, chosen = load(bundle, "torch").predict(texts), load(bundle).predict(texts)
    assert [one.value for one in exact] == [one.value for one in chosen]
    assert report["model"]["trained_parameters"] < report["model"]["parameters"]


@pytest.mark.parametrize("name", ["prompt", "lora"])
def test_the_head_starts_from_the_features_of_the_network_that_trains(tmp_path, train_tiny, monkeypatch, name):
    asked, pooled = [], embed.pooled

    def watched(model, windows, **options):
        asked.append(any("prompt_encoder" in part for part, _ in model.named_parameters()))
        return pooled(model, windows, **options)

    monkeypatch.setattr(embed, "pooled", watched)
    train_tiny(tmp_path / "run", train__method=name, train__epochs=1, evaluate__baselines=[])
    assert set(asked) == {name == "prompt"}


def test_a_backbone_that_came_from_the_hub_is_named_by_its_id_there(tmp_path):
    write_json(tmp_path / "adapter_config.json", {"r": 8, "base_model_name_or_path": "/home/me/.cache/x"})
    facts = BackboneFacts(languages=("en",), licence="", source="", hub_id="sentence-transformers/all-MiniLM-L6-v2")
    save._describe_adapter(tmp_path, Located("minilm-l6-en", tmp_path, facts, "packaged"), merged=True)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config == {"r": 8, "base_model_name_or_path": "sentence-transformers/all-MiniLM-L6-v2"}
