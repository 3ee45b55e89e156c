"""What answers is chosen by trying: the fastest of those that lose nothing, and the bundle keeps to it."""

from __future__ import annotations

import dataclasses
import json
import shutil

import pytest

from tunewright.components.runtimes.native import Native
from tunewright.components.runtimes.torch import Torch
from tunewright.core import catalog
from tunewright.core.errors import MachineError
from tunewright.predict.predictor import load
from tunewright.stages import runtimes

ROWS = ["i lost my card", "明天下雨吗", "play a good song"]


@pytest.fixture(scope="module")
def measured(tmp_path_factory, train_tiny):
    return train_tiny(tmp_path_factory.mktemp("runs") / "measured", predict__runtime="auto")


def told(run):
    return json.loads((run / "bundle" / "runtime.json").read_text())


def test_every_runtime_is_tried_and_told(measured):
    found = told(measured)
    tried = [trial["runtime"] for trial in found["trials"]]
    assert {name["name"] for name in tried} == set(catalog.names("runtimes"))
    assert found["chosen"] in tried
    assert found["rows"] > 5
    for trial in found["trials"]:
        assert trial.get("lacks") or (trial["in_bulk"] > 0 and 0 < trial["alone"] < 10 and 0 <= trial["value"] <= 1)
    exact = next(trial for trial in found["trials"] if trial["runtime"] == {"name": "torch", "precision": "fp32"})
    assert (exact["loss"], exact["flips"], exact["largest"]) == (0, 0, pytest.approx(0, abs=1e-6))


def test_the_bundle_is_opened_with_what_was_chosen_and_the_report_shows_it(measured):
    chosen = told(measured)["chosen"]
    predictor = load(measured)
    assert catalog.describe(predictor.runtime) == chosen
    assert not predictor.note
    assert predictor.predict(ROWS)[0].value in predictor.labels
    assert json.loads((measured / "report.json").read_text())["runtime"] == told(measured)
    assert chosen["name"] in (measured / "report.html").read_text()


def test_only_what_was_chosen_leaves_files_in_the_bundle(measured):
    names = {path.name for path in (measured / "bundle").iterdir()}
    assert not any(name.startswith(".") for name in names)
    assert ("onnx" in names) == (told(measured)["chosen"]["name"] == "onnx")


def trial(runtime, in_bulk, alone, loss=0.0):
    return runtimes.Trial(runtime, in_bulk=in_bulk, alone=alone, value=0.9 - loss, loss=loss)


@pytest.mark.parametrize(
    ("loss", "limit", "winner"), [(0.0, 0.002, "native"), (0.01, 0.002, "torch"), (0.01, 0.02, "native")]
)
def test_the_fastest_wins_if_it_does_not_lose_too_much(tmp_path, monkeypatch, tiny_bundle, loss, limit, winner):
    from tunewright.core.bundle import open_bundle
    from tunewright.core.types import Policy

    shutil.copytree(tiny_bundle, tmp_path / "bundle")
    opened = open_bundle(tmp_path / "bundle")
    found = [trial(Torch(), 100, 0.01), trial(Native(), 400, 0.003, loss), runtimes.Trial(Torch("bf16"), "no bf16")]
    monkeypatch.setattr(runtimes, "_trials", lambda *_: found)
    for runtime in (Native, Torch):
        monkeypatch.setattr(runtime, "lacks", lambda self, bundle: "")
        monkeypatch.setattr(runtime, "open", lambda self, bundle: None)
    predict = dataclasses.replace(opened.recipe.predict, runtime="auto", max_loss=limit)
    recipe = dataclasses.replace(opened.recipe, predict=predict)
    chosen = runtimes.choose(opened.folder, recipe, [], Policy(), opened.labels, _silent())
    assert catalog.name_of(chosen.runtime) == winner


def test_a_resumed_run_keeps_to_what_was_chosen_before(tmp_path, monkeypatch, train_tiny):
    from tunewright.engine import local

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(local, "_verdict", stop)
        with pytest.raises(local.Interrupted):
            train_tiny(tmp_path / "run", predict__runtime="auto")
    chosen = json.loads((tmp_path / "run" / "run.json").read_text())["runtime"]
    monkeypatch.setattr(runtimes, "fastest", stop)
    train_tiny(tmp_path / "run", resume=True, predict__runtime="auto")
    assert told(tmp_path / "run") == chosen


def test_a_named_runtime_that_cannot_run_is_refused(tmp_path, monkeypatch, train_tiny):
    monkeypatch.setattr(Native, "lacks", lambda self, bundle: "no compiler")
    with pytest.raises(MachineError, match=r"predict.runtime: native cannot run here \(no compiler\)"):
        train_tiny(tmp_path / "run", predict__runtime="native")


def test_on_a_machine_without_it_full_precision_answers_and_says_so(tmp_path, monkeypatch, tiny_bundle):
    shutil.copytree(tiny_bundle, tmp_path / "bundle")
    (tmp_path / "bundle" / "runtime.json").write_text('{"chosen": {"name": "native"}, "rows": 0, "trials": []}')
    monkeypatch.setattr(Native, "lacks", lambda self, bundle: "no compiler")
    from tunewright.predict.predictor import find_runtime

    runtime, note = find_runtime(tmp_path / "bundle", "auto")
    assert runtime == Torch()
    assert note == "native cannot run here (no compiler): torch answers instead."


def test_where_torch_is_not_installed_either_it_says_what_to_do(tmp_path, monkeypatch, tiny_bundle):
    shutil.copytree(tiny_bundle, tmp_path / "bundle")
    (tmp_path / "bundle" / "runtime.json").write_text('{"chosen": {"name": "native"}, "rows": 0, "trials": []}')
    monkeypatch.setattr(Native, "lacks", lambda self, bundle: "no compiler")
    monkeypatch.setattr(Torch, "lacks", lambda self, bundle: "the package torch is not installed")
    from tunewright.predict.predictor import find_runtime

    for name in ("auto", "native"):
        with pytest.raises(MachineError) as error:
            find_runtime(tmp_path / "bundle", name)
        assert str(error.value) == (
            "The runtime native cannot run this bundle here (no compiler), and neither can torch (the package torch is not "
            "installed). Install what it lacks, or write a bundle for another runtime where torch is installed: "
            "tunewright export BUNDLE --format onnx."
        )
    (tmp_path / "bundle" / "runtime.json").unlink()
    with pytest.raises(MachineError, match=r"^The runtime torch cannot run this bundle here \([^()]*\)\. Install"):
        find_runtime(tmp_path / "bundle", "auto")


def _silent():
    from tunewright.core.progress import Silent

    return Silent()


def test_the_command_line_answers_with_what_was_chosen(measured, tmp_path, monkeypatch, command):
    chosen = catalog.create("runtimes", told(measured)["chosen"])
    asked, plain = [], type(chosen).open
    monkeypatch.setattr(type(chosen), "open", lambda self, bundle: asked.append(self) or plain(self, bundle))
    (tmp_path / "rows.txt").write_text("\n".join(ROWS), encoding="utf-8")
    assert command("predict", measured, tmp_path / "rows.txt")[0] == 0
    assert asked == [chosen]


def test_a_loss_of_what_is_allowed_is_allowed():
    assert 0.96 - 0.95 > 0.01  # in floats
    assert runtimes.lost(0.96, 0.95) <= 0.01 < runtimes.lost(0.96, 0.949)
