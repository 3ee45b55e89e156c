"""`tunewright train` as it is typed, on a run that is finished: nothing is trained here."""

from __future__ import annotations

import json
import shutil

import pytest

from tunewright.core.files import read_json, write_json, write_text
from tunewright.core.recipe_file import from_mapping, to_yaml


@pytest.fixture
def finished(tmp_path, monkeypatch, tiny_run):
    """A working folder with intents.yaml and its finished run, whose report is in Chinese."""
    monkeypatch.chdir(tmp_path)
    run = shutil.copytree(tiny_run, tmp_path / "runs" / "intents")
    write_json(run / "report.json", {**read_json(run / "report.json"), "report_language": "zh"})
    write_text(tmp_path / "intents.yaml", to_yaml(from_mapping(read_json(run / "run.json")["given"])))
    return run


def test_resuming_without_out_leaves_the_newest_run_that_is_finished_as_it_is(finished, command):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    code, out, err = command("train", "intents.yaml", "--resume")
    assert (code, out.strip()) == (0, read_json(finished / "verdict.json")["verdict"])
    assert "runs/intents is finished already; nothing to do." in err
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before


def test_the_terminal_speaks_english_and_json_the_reports_language(finished, command):
    sentence = read_json(finished / "verdict.json")["sentence"]
    _, _, err = command("train", "intents.yaml", "--resume")
    assert sentence["en"] in err and sentence["zh"] not in err
    _, out, _ = command("train", "intents.yaml", "--resume", "--json")
    assert json.loads(out)["sentence"] == sentence["zh"]


def test_quiet_leaves_the_verdict_alone(finished, command):
    assert command("train", "intents.yaml", "--resume", "-q")[1:] == (
        read_json(finished / "verdict.json")["verdict"] + "\n",
        "",
    )


def test_a_new_run_does_not_take_a_finished_ones_place(finished, command):
    code, _, err = command("train", "intents.yaml", "--out", "runs/intents")
    assert code == 3
    assert "exists already: a finished run. Choose another --out; `tunewright runs show runs/intents` shows this" in err
