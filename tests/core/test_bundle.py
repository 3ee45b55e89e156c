"""A bundle opens only as it was saved: whole, unchanged, and of a form this version reads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tunewright.core import catalog
from tunewright.core.bundle import _digest, open_bundle, seal
from tunewright.core.errors import BundleError, RecipeError
from tunewright.core.types import Policy


@pytest.fixture
def bundle(tmp_path) -> Path:
    """A sealed bundle whose model's files are stand-ins."""
    folder = tmp_path / "bundle"
    (folder / "model").mkdir(parents=True)
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (folder / "model" / name).write_text(f"content of {name}")
    (folder / "README.md").write_text("# A card 卡\n", encoding="utf-8")
    task = catalog.create("tasks", {"name": "text_classification", "multi_label": True})
    seal(folder, task=task, labels=("bad", "退货"), policy=Policy({"bad": 0.4}, accept=0.7), backbone="tiny")
    return folder


def edit(folder: Path, **changes) -> None:
    """Change the manifest by hand."""
    path = folder / "bundle.json"
    path.write_text(
        json.dumps({**json.loads(path.read_text("utf-8")), **changes}, ensure_ascii=False), encoding="utf-8"
    )


def refused(folder: Path) -> str:
    with pytest.raises(BundleError) as caught:
        open_bundle(folder)
    return str(caught.value)


def test_a_sealed_bundle_opens_with_everything_it_was_sealed_with(bundle):
    opened = open_bundle(bundle)
    assert opened.task == catalog.create("tasks", {"name": "text_classification", "multi_label": True})
    assert opened.labels == ("bad", "退货")
    assert opened.policy == Policy({"bad": 0.4}, accept=0.7)
    assert opened.about["backbone"] == "tiny"
    assert opened.model_folder == bundle / "model"


def test_a_bundle_may_be_copied_and_a_run_stands_for_the_bundle_in_it(bundle, tmp_path):
    shutil.copytree(bundle, tmp_path / "elsewhere" / "bundle")
    assert open_bundle(tmp_path / "elsewhere").folder == tmp_path / "elsewhere" / "bundle"


def test_sealing_keeps_what_a_decision_already_says(bundle):
    (bundle / "decision.json").write_text('{"calibration": {"scale": 2.0}, "accept": 0.1}')
    seal(bundle, task=catalog.create("tasks", "text_classification"), labels=("a",), policy=Policy(accept=0.5))
    assert json.loads((bundle / "decision.json").read_text()) == {
        "calibration": {"scale": 2.0}, "thresholds": {}, "accept": 0.5
    }  # fmt: skip


def test_a_changed_file_is_named(bundle):
    (bundle / "model" / "model.safetensors").write_text("content of model.safetensorz")
    said = refused(bundle)
    assert "was changed after it was saved: model/model.safetensors is not what was saved." in said
    assert "Train again, or restore the bundle from where it came from." in said


def test_a_missing_file_is_named(bundle):
    (bundle / "README.md").unlink()
    assert "README.md is missing" in refused(bundle)


def test_a_file_added_to_the_model_is_named_as_libraries_would_use_it(bundle):
    (bundle / "model" / "adapter_config.json").write_text("{}")
    assert "model/adapter_config.json was added" in refused(bundle)


def test_a_note_beside_the_model_does_no_harm(bundle):
    (bundle / "NOTES.txt").write_text("tried on Monday")
    assert open_bundle(bundle)


@pytest.mark.parametrize(
    "change",
    [
        {"labels": ["退货", "bad"]},
        {"task": {"name": "text_classification", "multi_label": False}},
        {"digest": "0"},
        {"more": 1},
    ],
)
def test_a_manifest_changed_by_hand_is_noticed(bundle, change):
    edit(bundle, **change)
    assert "bundle.json is not what was saved" in refused(bundle)


@pytest.mark.parametrize("name", ["../outside.txt", "/etc/passwd", "model/../../outside.txt"])
def test_a_manifest_cannot_name_files_outside(bundle, name):
    (bundle.parent / "outside.txt").write_text("secret")
    files = json.loads((bundle / "bundle.json").read_text("utf-8"))["files"]
    edit(bundle, files={**files, name: "0" * 64})
    assert f"{name} lies outside the bundle" in refused(bundle)


def test_a_manifest_must_list_what_a_model_needs(bundle):
    files = json.loads((bundle / "bundle.json").read_text("utf-8"))["files"]
    edit(bundle, files={name: digest for name, digest in files.items() if name != "model/tokenizer.json"})
    assert "model/tokenizer.json is not listed" in refused(bundle)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"{}",
        b'{"schema": 1}',
        b'{"schema": 1, "files": [], "labels": []}',
        b"\xff\xfe",
    ],
)
def test_a_damaged_manifest_is_told(bundle, content):
    (bundle / "bundle.json").write_bytes(content)
    assert "bundle.json is damaged: it is not what `tunewright train` wrote." in refused(bundle)


def test_a_bundle_of_a_later_form_is_told_with_what_to_do(bundle):
    edit(bundle, schema=2)
    said = refused(bundle)
    assert "has schema 2; this version" in said and "reads schema 1. Install the version that wrote it" in said


def test_a_missing_bundle_is_told_with_the_nearest_folder(bundle):
    assert "There is no bundle" in refused(bundle.parent / "bundel")
    assert "Did you mean 'bundle'?" in refused(bundle.parent / "bundel")
    assert "`tunewright train` writes one" in refused(bundle.parent / "no" / "where")


def test_a_folder_or_file_that_is_no_bundle_is_told(bundle):
    assert "is no bundle: it has no bundle.json. Name a run's folder" in refused(bundle / "model")
    assert "is no bundle" in refused(bundle / "README.md")


def test_a_bundle_of_a_task_that_is_not_installed_names_it(bundle, monkeypatch):
    monkeypatch.setattr(catalog, "describe", lambda task: {"name": "no_such_task"})
    seal(bundle, task=catalog.create("tasks", "text_classification"), labels=("a",), policy=Policy())
    with pytest.raises(RecipeError, match="There is no task named 'no_such_task'"):
        open_bundle(bundle)


def test_a_trained_bundle_gives_back_its_recipe(tiny_bundle):
    opened = open_bundle(tiny_bundle)
    assert opened.recipe.task == opened.task
    assert isinstance(opened.recipe.train.learning_rate, float)


def test_a_file_added_to_an_adapter_is_named(bundle):
    (bundle / "adapter").mkdir()
    (bundle / "adapter" / "adapter_config.json").write_text("{}")
    seal(bundle, task=catalog.create("tasks", "text_classification"), labels=("a", "b"), policy=Policy())
    (bundle / "adapter" / "adapter_model.bin").write_text("more")
    assert "adapter/adapter_model.bin was added" in refused(bundle)


def test_a_task_with_settings_of_another_version_is_told(bundle):
    about = json.loads((bundle / "bundle.json").read_text("utf-8"))
    about["task"]["strictness"] = 3
    (bundle / "bundle.json").write_text(json.dumps({**about, "digest": _digest(about)}), encoding="utf-8")
    assert "is for a task that this version" in refused(bundle)
