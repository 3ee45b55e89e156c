"""Several bundles of one backbone in one: the backbone once, and each variant answers as its bundle did."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import tunewright
from tunewright.core import catalog
from tunewright.core.bundle import MANIFEST, open_bundle
from tunewright.core.errors import BundleError, MachineError, UsageError
from tunewright.core.files import read_json
from tunewright.models import members
from tunewright.models.shared import Tensors
from tunewright.stages import combine as stage
from tunewright.testing import tiny_backbone

METHODS = ("lora", "adapter", "prefix", "prompt", "bitfit", "linear_probe")
TABLE = "bert.embeddings.word_embeddings.weight"
TEXTS = ["i lost my card", "我要音乐", "is the weather cold today", "来一首歌 now", "help"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory, train_tiny) -> dict[str, Path]:
    """A run for each method, and a second one of low rank; the head begins at random, so that the backbone learns too."""
    folder = tmp_path_factory.mktemp("runs")
    settings = {name: {"train__method": name} for name in METHODS}
    settings["lora"] = {"train__method": {"name": "lora", "rank": 2}}
    settings["other"] = {"train__method": {"name": "lora", "rank": 3}, "seed": 3, "decision__max_error": 0.1}
    return {
        name: train_tiny(folder / name, train__start="random", train__epochs=3, evaluate__baselines=[], **more)
        for name, more in settings.items()
    }


@pytest.fixture(scope="module")
def everything(runs, tmp_path_factory) -> Path:
    """All of them in one bundle."""
    out = tmp_path_factory.mktemp("combined") / "all"
    stage.combine(list(runs.values()), out)
    return out


@pytest.fixture(scope="module")
def combined(runs, tmp_path_factory) -> stage.Combined:
    """Two of them."""
    return stage.combine([runs["lora"], runs["other"]], tmp_path_factory.mktemp("two") / "both")


@pytest.fixture
def both(combined, tmp_path) -> Path:
    """A copy, to be changed."""
    return Path(shutil.copytree(combined.bundle, tmp_path / "both"))


def logits(folder: Path) -> np.ndarray:
    run = members.opened(catalog.create("runtimes", "torch"), folder)
    windows = [{"input_ids": np.arange(4, 9 + n), "attention_mask": np.ones(5 + n, dtype=np.int64)} for n in range(4)]
    return np.stack(run([{**one, "token_type_ids": np.zeros_like(one["input_ids"])} for one in windows]))


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


# ---------------------------------------------------------------------------------------------------- what it answers


@pytest.mark.parametrize("name", [*METHODS, "other"])
def test_a_variant_answers_as_its_bundle(runs, everything, name):
    single, variant = open_bundle(runs[name]), open_bundle(everything, name)
    np.testing.assert_allclose(logits(variant.folder), logits(single.folder), rtol=0, atol=1e-5)
    assert (variant.labels, variant.task, variant.policy) == (single.labels, single.task, single.policy)
    before, after = tunewright.load(runs[name]).predict(TEXTS), tunewright.load(everything, variant=name).predict(TEXTS)
    assert [one.value for one in before] == [one.value for one in after]
    assert [one.decision for one in before] == [one.decision for one in after]


@pytest.mark.parametrize("pair", list(itertools.pairwise((*METHODS, "lora"))), ids="+".join)
def test_any_two_methods_go_together(runs, tmp_path, pair):
    found = stage.combine([runs[name] for name in pair], tmp_path / "both")
    assert set(found.variants) == set(pair)
    for name in pair:
        np.testing.assert_allclose(logits(found.bundle / "variants" / name), logits(runs[name] / "bundle"), atol=1e-5)


def test_the_runtime_without_torch_answers_as_for_the_single_bundle(runs, everything):
    pytest.importorskip("torch")
    runtime = catalog.create("runtimes", "native")
    if missing := runtime.lacks(runs["lora"] / "bundle"):
        pytest.skip(missing)
    assert runtime.lacks(everything / "variants/lora") == ""
    assert "transformers" in runtime.lacks(everything / "variants/prefix")
    before, after = (
        tunewright.load(runs["lora"], "native").predict(TEXTS),
        tunewright.load(everything, "native", "lora").predict(TEXTS),
    )
    assert [one.value for one in before] == [one.value for one in after]
    assert [one.scores for one in before] == [one.scores for one in after]


def test_an_onnx_file_is_made_again_from_what_is_put_together(runs, everything, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    monkeypatch.setenv("TUNEWRIGHT_CACHE", str(tmp_path))
    before, after = (
        tunewright.load(folder, "onnx", name).predict(TEXTS)
        for folder, name in ((runs["lora"], None), (everything, "lora"))
    )
    assert [one.value for one in before] == [one.value for one in after]
    assert [one.scores for one in before] == [one.scores for one in after]
    assert len(list((tmp_path / "onnx").glob("*.onnx"))) == 2  # one each: neither is taken for the other


def test_models_that_vote_are_a_variant_as_well(runs, train_tiny, tmp_path):
    vote = train_tiny(
        tmp_path / "vote", train__ensemble={"size": 2, "kind": "vote"}, train__method="lora", train__start="random"
    )
    found = stage.combine([vote, runs["bitfit"]], tmp_path / "both")
    assert len(members.folders(found.bundle / "variants/vote")) == 2
    np.testing.assert_allclose(logits(found.bundle / "variants/vote"), logits(vote / "bundle"), atol=1e-5)


def test_columns_beside_the_text_stay_with_their_variant(runs, train_tiny, tmp_path):
    task = {"name": "text_classification", "categorical": ["language"]}
    beside = train_tiny(tmp_path / "beside", task=task, train__method="linear_probe", evaluate__slices=["length"])
    found = stage.combine([beside, runs["lora"]], tmp_path / "both")
    rows = [{"text": text, "language": "en"} for text in TEXTS]
    before, after = tunewright.load(beside).predict(rows), tunewright.load(found.bundle, variant="beside").predict(rows)
    assert before == after


# ------------------------------------------------------------------------------------------------------ what it holds


def test_the_backbone_lies_once_and_adapters_stay_small(combined):
    found, table = combined, size(combined.bundle / "shared")
    assert found.bytes == size(found.bundle)
    assert found.bytes < 0.75 * found.apart
    for name in ("lora", "other"):
        own = found.bundle / "variants" / name / "model/model.safetensors"
        assert own.stat().st_size < table / 4
        assert found.variants[name]["tensors"]["changed"] == 12  # six maps in each of two layers
        assert found.variants[name]["bytes"] == size(found.bundle / "variants" / name)


def test_every_weight_comes_back_bit_for_bit(runs, everything, tiny_backbone):
    from safetensors.numpy import load_file

    for name, run in runs.items():
        before = load_file(run / "bundle/model/model.safetensors")
        after = Tensors(everything / f"variants/{name}/model")
        assert set(before) == set(after) and len(before) == len(after)
        assert all(before[key].tobytes() == after[key].tobytes() for key in before)
    shared = load_file(everything / "shared/model.safetensors")
    backbone = load_file(tiny_backbone / "model.safetensors")
    kept = {key: value for key, value in shared.items() if key in backbone}
    assert kept and all(np.array_equal(value, backbone[key]) for key, value in kept.items())


def test_what_is_untouched_is_read_where_it_lies_and_stays_as_it_is(combined):
    before = (combined.bundle / "shared/model.safetensors").read_bytes()
    for name in ("lora", "other"):
        table = Tensors(combined.bundle / "variants" / name / "model", writable=True)[TABLE]
        assert Path(table.base.filename) == combined.bundle / "shared/model.safetensors"
        table[:] = 0
    assert (combined.bundle / "shared/model.safetensors").read_bytes() == before


def test_without_the_backbone_a_variant_takes_its_place(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "_pretrained", lambda name: None)
    said = []
    progress = type("P", (stage.Silent,), {"say": lambda self, message: said.append(message)})()
    found = stage.combine([runs["lora"], runs["other"], runs["prefix"]], tmp_path / "three", progress=progress)
    assert "is not here as it was: 'lora' takes its place" in said[0]
    assert [one["tensors"]["changed"] for one in found.variants.values()] == [0, 12, 12]
    for name in found.variants:
        np.testing.assert_allclose(logits(found.bundle / "variants" / name), logits(runs[name] / "bundle"), atol=1e-5)


def test_every_weight_may_differ_and_it_says_what_that_costs(runs, tiny_run, tmp_path):
    found = stage.combine([tiny_run, runs["lora"]], tmp_path / "both", names=["full", "lora"])
    full, lora = (size(found.bundle / "variants" / name / "model") for name in ("full", "lora"))
    assert full > 3 * lora
    np.testing.assert_array_equal(logits(found.bundle / "variants/full"), logits(tiny_run / "bundle"))


def test_the_manifest_and_the_card_say_what_there_is(runs, everything):
    about = read_json(everything / MANIFEST)
    assert list(about["variants"]) == list(runs)
    assert about["variants"]["lora"]["method"] == "lora" and about["variants"]["lora"]["labels"] == 3
    assert all(one["parity"]["passed"] for one in about["variants"].values())
    assert about["shared_bytes"] == size(everything / "shared")
    assert open_bundle(everything, "lora").about["source"] == open_bundle(runs["lora"]).about["digest"]
    card = (everything / "README.md").read_text("utf-8")
    assert "| lora | text_classification | lora | 3 |" in card and "骨干网络只在" in card


def test_a_combined_bundle_can_be_copied_and_brings_its_variants_to_another(runs, both, tmp_path):
    shutil.copytree(both, tmp_path / "variants" / "copy")  # a folder of that name above it does no harm
    found = stage.combine([tmp_path / "variants/copy", runs["prefix"]], tmp_path / "three")
    assert list(found.variants) == ["lora", "other", "prefix"]
    np.testing.assert_allclose(logits(found.bundle / "variants/other"), logits(runs["other"] / "bundle"), atol=1e-5)
    assert open_bundle(found.bundle, "lora").about["source"] == open_bundle(runs["lora"]).about["digest"]


# --------------------------------------------------------------------------------------------------- choosing a variant


def test_without_a_name_it_says_which_there_are(both):
    with pytest.raises(BundleError) as caught:
        tunewright.load(both)
    assert "both holds several variants. Its variants: lora, other. Choose one: --variant lora" in str(caught.value)
    assert f"or the folder {both / 'variants' / 'lora'} in place of the bundle" in str(caught.value)


def test_an_unknown_name_is_answered_with_the_nearest(both):
    with pytest.raises(BundleError, match=r"holds no variant 'othr'. Did you mean 'other'\? Its variants: lora, other"):
        tunewright.load(both, variant="othr")
    with pytest.raises(BundleError, match=r"holds no variant '../both/variants/lora'"):
        tunewright.load(both, variant="../both/variants/lora")


def test_a_default_is_opened_where_none_is_named(runs, tmp_path):
    found = stage.combine([runs["lora"], runs["bitfit"]], tmp_path / "both", default="bitfit")
    assert tunewright.load(found.bundle).bundle.folder.name == "bitfit"
    assert tunewright.load(found.bundle, variant="lora").bundle.folder.name == "lora"


def test_a_variants_folder_stands_for_it_and_is_checked_with_what_it_shares(both):
    assert open_bundle(both / "variants/lora").folder == both / "variants/lora"
    with (both / "shared/model.safetensors").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x01")
    with pytest.raises(BundleError, match=r"shared/model.safetensors is not what was saved"):
        open_bundle(both / "variants/lora")


def test_a_bundle_of_one_model_has_no_variants(runs):
    with pytest.raises(BundleError, match=r"holds one model and no variants: leave out the variant 'lora'"):
        tunewright.load(runs["lora"], variant="lora")


# ------------------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize("file", ["model/model.safetensors", "model/shared.json", "decision.json", MANIFEST])
def test_a_changed_byte_of_a_variant_is_noticed(both, file):
    path = both / "variants/other" / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match=r"(was changed after it was saved|is damaged)"):
        open_bundle(both, "other")


def test_a_file_more_or_less_is_noticed(both):
    (both / "variants/other/model/tokenizer.json").write_text("{}")
    with pytest.raises(BundleError, match=r"model/tokenizer.json was added"):
        open_bundle(both, "other")
    (both / "shared/more.json").write_text("{}")
    with pytest.raises(BundleError, match=r"shared/more.json was added"):
        open_bundle(both, "lora")
    shutil.rmtree(both / "shared")
    with pytest.raises(BundleError, match=r"shared/model.safetensors is missing"):
        open_bundle(both, "lora")


def test_a_manifest_cannot_name_a_variant_outside(both):
    about = read_json(both / MANIFEST)
    about["variants"]["../../elsewhere"] = about["variants"]["lora"]
    (both / MANIFEST).write_text(json.dumps(about), "utf-8")
    with pytest.raises(
        BundleError, match=r"bundle.json is not what was saved; variants/../../elsewhere/bundle.json is not"
    ):
        open_bundle(both, "../../elsewhere")


@pytest.mark.parametrize(
    "name", ["", "a/b", "..", ".hidden", "a\0b", "a\\b", "x" * 61, "a\nb", " a", "a.", "-a", "a:b"], ids=repr
)
def test_a_name_that_can_be_no_folder_is_refused(runs, tmp_path, name):
    with pytest.raises(UsageError, match=r"A variant cannot be called"):
        stage.combine([runs["lora"], runs["other"]], tmp_path / "both", names=["good", name])
    assert not (tmp_path / "both").exists()


def test_names_of_any_language_are_taken(runs, tmp_path):
    found = stage.combine([runs["lora"], runs["other"]], tmp_path / "both", names=["意图 识别", "Stimmung_ü-2.0"])
    assert tunewright.load(found.bundle, variant="意图 识别").predict(["我要音乐"])[0].value
    assert [path.name for path in sorted((found.bundle / "variants").iterdir())] == ["Stimmung_ü-2.0", "意图 识别"]


@pytest.mark.parametrize("names", [("a", "a"), ("Intents", "intents"), ("é", "é")])
def test_the_same_name_twice_is_refused(runs, tmp_path, names):
    with pytest.raises(UsageError, match=r"Two variants are called"):
        stage.combine([runs["lora"], runs["other"]], tmp_path / "both", names=names)


def test_one_bundle_twice_needs_names(runs, tmp_path):
    with pytest.raises(UsageError, match=r"Two variants are called 'lora'. Name them with --name"):
        stage.combine([runs["lora"], runs["lora"] / "bundle"], tmp_path / "both")


def test_names_and_bundles_are_counted(runs, tmp_path):
    with pytest.raises(UsageError, match=r"There are 2 variants \(lora, other\) and 1 names \(a\)"):
        stage.combine([runs["lora"], runs["other"]], tmp_path / "both", names=["a"])
    with pytest.raises(UsageError, match=r"One bundle alone cannot be combined"):
        stage.combine([runs["lora"]], tmp_path / "both")
    with pytest.raises(UsageError, match=r"no variant 'loar' to be the default. Did you mean 'lora'\?"):
        stage.combine([runs["lora"], runs["other"]], tmp_path / "both", default="loar")


def test_bundles_of_different_backbones_are_refused(runs, train_tiny, tmp_path):
    backbone = tiny_backbone(tmp_path / "backbone", seed=7)
    foreign = train_tiny(
        tmp_path / "foreign", model__backbone=str(backbone), train__method="lora", train__start="random"
    )
    with pytest.raises(BundleError) as caught:
        stage.combine([runs["lora"], runs["other"], foreign], tmp_path / "both")
    assert "'foreign' and 'lora' were tuned from different backbones: " in str(caught.value)
    assert str(backbone) in str(caught.value)
    assert not (tmp_path / "both").exists()


def test_what_is_no_bundle_or_was_changed_is_refused(runs, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(BundleError, match=r"is no bundle: it has no bundle.json"):
        stage.combine([runs["lora"], tmp_path / "empty"], tmp_path / "both")
    shutil.copytree(runs["other"] / "bundle", tmp_path / "changed")
    (tmp_path / "changed/decision.json").write_text("{}")
    with pytest.raises(BundleError, match=r"was changed after it was saved: decision.json"):
        stage.combine([runs["lora"], tmp_path / "changed"], tmp_path / "both")


def test_what_stands_at_out_stays(runs, tmp_path):
    (tmp_path / "both").mkdir()
    (tmp_path / "both/mine.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"both exists already. Choose another --out"):
        stage.combine([runs["lora"], runs["other"]], tmp_path / "both")
    assert (tmp_path / "both/mine.txt").read_text() == "mine"


def test_outputs_that_are_not_the_same_are_refused_and_nothing_is_left(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "difference", lambda tensor, _: {"rows": np.full(len(tensor), 1.01, dtype=np.float32)})
    with pytest.raises(
        BundleError, match=r"Variant 'lora' does not answer as its bundle \(largest difference of outputs"
    ):
        stage.combine([runs["lora"], runs["other"]], tmp_path / "both")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing_and_says_so(runs, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(stage.shutil, "copyfile", full)
    with pytest.raises(MachineError, match=r"The disk is full"):
        stage.combine([runs["lora"], runs["other"]], tmp_path / "both")
    assert list(tmp_path.iterdir()) == []
