"""A backbone is found by name, folder or hub id; what is broken or untrusted is refused with what to do."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest

from tunewright.core.errors import MachineError, ModelError
from tunewright.models import locate as locating
from tunewright.models import packaged
from tunewright.models.locate import choose, locate
from tunewright.testing.tiny import tiny_backbone

CARD = "---\nlanguage: [zh, en]\nlicense: mit\n---\n# A model\n"


@pytest.fixture
def folder(tmp_path):
    return tiny_backbone(tmp_path / "tiny")


@pytest.fixture
def hub(folder, monkeypatch):
    """A hub whose only model is the tiny one; `calls` are the patterns that were downloaded."""
    calls = []

    def model_info(self, name, timeout):
        if name != "someone/tiny":
            raise ConnectionError("Name or service not known")
        files = [SimpleNamespace(rfilename=str(file.relative_to(folder))) for file in folder.rglob("*")]
        return SimpleNamespace(siblings=files, sha="0123456789abcdef")

    def snapshot_download(name, allow_patterns=None, local_files_only=False, **_):
        if local_files_only:
            raise FileNotFoundError("not cached")
        calls.append(allow_patterns)
        return str(folder)

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return SimpleNamespace(calls=calls)


def test_a_folder_is_found_with_what_its_card_says(folder):
    (folder / "README.md").write_text(CARD)
    found = locate(str(folder))
    assert (found.kind, found.folder) == ("folder", folder)
    assert (found.facts.languages, found.facts.licence) == (("zh", "en"), "mit")


@pytest.mark.parametrize("card", ["", "no header", "---\n{broken\n---\n", "---\n- a list\n---\n"])
def test_a_card_that_says_nothing_leaves_languages_and_licence_unknown(folder, card):
    (folder / "README.md").write_text(card)
    assert (locate(str(folder)).facts.languages, locate(str(folder)).facts.licence) == ((), "unknown")


def test_a_misspelled_packaged_name_gets_the_nearest(monkeypatch):
    with pytest.raises(ModelError, match=r"'minilm-l6' is no packaged backbone.*Did you mean 'minilm-l6-en'\?"):
        locate("minilm-l6")


def test_a_missing_folder_lists_the_packaged_names():
    with pytest.raises(ModelError, match=r"no packaged backbone and no folder.*Packaged: .*e5-small-multilingual"):
        locate("/no/such/model")


def test_a_file_is_no_folder(folder):
    with pytest.raises(ModelError, match="is a file, not a model's folder"):
        locate(str(folder / "config.json"))


def test_a_folder_without_configuration_says_what_it_holds(tmp_path):
    (tmp_path / "data.csv").write_text("a,b")
    with pytest.raises(ModelError, match=r"it has no config\.json\. It holds: data\.csv"):
        locate(str(tmp_path))


@pytest.mark.parametrize(("text", "said"), [("{", "cannot be read"), ("[]", "states no model_type")])
def test_a_broken_configuration_is_named(folder, text, said):
    (folder / "config.json").write_text(text)
    with pytest.raises(ModelError, match=rf"config\.json .*{said}"):
        locate(str(folder))


def test_a_folder_without_weights_is_refused(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"has a config\.json but no weights: model\.safetensors is missing"):
        locate(str(folder))


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_cut_off_weights_are_refused(folder, keep):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(ModelError, match=r"model\.safetensors is .*cut off.*Save or download the model again"):
        locate(str(folder))


def test_weights_in_several_files_must_all_be_there(folder):
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match=r"lacks 1 of its 2 weight files: model-2\.safetensors"):
        locate(str(folder))
    (folder / "model-2.safetensors").write_bytes((folder / "model-1.safetensors").read_bytes())
    assert locate(str(folder)).folder == folder


def test_pickled_weights_are_refused_unless_asked_for(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"are pickled.*set model\.pickled_weights: true"):
        locate(str(folder))
    assert locate(str(folder), pickled_weights=True).folder == folder


def test_code_in_the_model_is_refused_unless_asked_for(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoModel": "code.Model"}}))
    with pytest.raises(ModelError, match=r"brings its own code.*set model\.remote_code: true"):
        locate(str(folder))
    assert locate(str(folder), remote_code=True).folder == folder


def test_a_hub_model_is_fetched_without_what_is_not_needed(folder, hub):
    for name in ("pytorch_model.bin", "modeling.py", "onnx/model.onnx"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("")
    found = locate("someone/tiny")
    assert (found.kind, found.facts.source) == ("hub", "someone/tiny@01234567")
    assert sorted(hub.calls[0]) == ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]


def test_a_hub_model_with_pickled_weights_only_is_refused_before_it_is_fetched(folder, hub):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"has no safetensors weights.*set model\.pickled_weights: true"):
        locate("someone/tiny")
    assert hub.calls == []
    locate("someone/tiny", pickled_weights=True)
    assert "pytorch_model.bin" in hub.calls[0]


def test_an_unreachable_hub_is_one_message_with_the_packaged_names(hub):
    with pytest.raises(ModelError) as caught:
        locate("someone/else")
    for part in ("'someone/else' is no packaged backbone", "no folder", "Name or service not known", "minilm-l6-en"):
        assert part in str(caught.value)


def test_offline_mode_asks_nobody(hub, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *_, **__: pytest.fail("asked the hub"))
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE is set"):
        locate("someone/tiny")


def test_a_model_in_the_hubs_cache_needs_no_hub(folder, hub, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, local_files_only: str(folder))
    assert locate("someone/else").folder == folder


@pytest.mark.parametrize(
    ("language", "name"), [("en", "minilm-l6-en"), ("zh", "e5-small-multilingual"), ("", "e5-small-multilingual")]
)
def test_auto_chooses_by_language_and_says_why(language, name):
    chosen, why = choose(language)
    assert chosen == name
    assert str(why).startswith("the texts") and why.zh.startswith("文本语言")
    assert repr(language) in why.en or "not known" in why.en


def test_auto_says_when_the_package_is_missing(monkeypatch):
    monkeypatch.setattr(locating, "installed", lambda requirement: False)
    assert "not installed yet: pip install 'tunewright[models]'" in choose("zh")[1].en


def test_a_missing_package_says_what_to_install():
    with pytest.raises(
        MachineError, match=r"no-such-package==1\.0 is not installed.*pip install 'tunewright\[models\]'"
    ):
        packaged.package_file("no-such-package==1.0", "a/b", "")


def test_a_missing_file_of_a_package_says_what_to_install():
    with pytest.raises(MachineError, match=r"The package pytest holds no a/b\. .*pip install 'tunewright\[models\]'"):
        packaged.package_file("pytest==1.0", "a/b", "")
    assert packaged.installed("pytest==1.0")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNEWRIGHT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_changed_file_is_refused_with_both_hashes(tmp_path, cache):
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    right = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"
    assert packaged.checked(file, right, "a==1") == file
    file.write_bytes(b"two")
    with pytest.raises(ModelError) as caught:
        packaged.checked(file, right, "a==1")
    for part in (
        str(file),
        right,
        "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3",
        "Install a==1 again",
    ):
        assert part in str(caught.value)


def test_an_unchanged_file_is_hashed_once(tmp_path, cache, monkeypatch):
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    digest = packaged.files.sha256(file)
    packaged.checked(file, digest, "a==1")
    monkeypatch.setattr(packaged.files, "sha256", lambda path: pytest.fail("hashed again"))
    assert packaged.checked(file, digest, "a==1") == file


def test_a_cache_that_cannot_be_written_only_costs_time(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"one")
    monkeypatch.setenv("TUNEWRIGHT_CACHE", str(tmp_path / "file" / "cache"))
    digest = packaged.files.sha256(tmp_path / "file")
    assert packaged.checked(tmp_path / "file", digest, "a==1") == tmp_path / "file"


def test_a_conversion_that_breaks_leaves_nothing_and_one_that_ends_is_kept(cache):
    def broken(folder: Path) -> None:
        (folder / "config.json").write_text("{}")
        raise RuntimeError("half-way")

    with pytest.raises(RuntimeError):
        packaged.converted("x", broken)
    assert list((cache / "models").iterdir()) == []
    packaged.converted("x", lambda folder: (folder / "config.json").write_text("{}"))
    assert packaged.converted("x", broken) == cache / "models" / "x"
