"""`tunewright runs` as it is typed."""

import json
import re
import shutil

import pytest


@pytest.fixture
def folder(tmp_path, monkeypatch, tiny_run):
    """A working folder with a finished run, one that was stopped, and one whose run.json is damaged."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_run, tmp_path / "runs" / "intents")
    (tmp_path / "runs" / "stopped").mkdir()
    about = json.loads((tiny_run / "run.json").read_text())
    command = "tunewright train intents.yaml --set train.epochs=2"
    about.update(status="training", created="2031-01-01T00:00:00+00:00", command=command)
    (tmp_path / "runs" / "stopped" / "run.json").write_text(json.dumps(about))
    (tmp_path / "runs" / "damaged").mkdir()
    (tmp_path / "runs" / "damaged" / "run.json").write_text('{"name": ')
    return tmp_path


def test_runs_are_listed_oldest_first(folder, command):
    code, out, _ = command("runs", "--json")
    runs = json.loads(out)["runs"]
    assert code == 0
    assert [(run["name"], run["status"]) for run in runs] == [
        ("damaged", "damaged"),
        ("intents", "finished"),
        ("stopped", "training"),
    ]
    assert runs[1]["metric"] == "accuracy" and 0 < runs[1]["value"] <= 1
    assert runs[1]["verdict"] in ("better", "no_gain", "worse") and runs[2]["verdict"] is None


def test_people_read_a_table(folder, command):
    _, _, err = command("runs")
    assert (
        "intents" in err and re.search(r"accuracy \d\d\.\d%", err) and "`tunewright runs show NAME` tells more." in err
    )


def test_no_runs_yet(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    assert json.loads(command("runs", "--json")[1]) == {"runs": []}
    assert "No runs in runs/ yet. `tunewright train recipe.yaml` makes one." in command("runs")[2]


@pytest.mark.parametrize("name", ["intents", "runs/intents"])
def test_a_run_is_shown_by_name_or_folder(folder, command, name):
    code, out, _ = command("runs", "show", name, "--json")
    run = json.loads(out)["run"]
    assert code == 0
    assert run["rows"]["test"] == 36 and set(run["baselines"]) == {"majority"}
    assert run["files"]["bundle"] == "runs/intents/bundle"
    _, _, err = command("runs", "show", name)
    assert "sealed test row" in err or "封存" in err
    assert "baseline majority" in err and "runs/intents/report.html" in err


def test_an_unfinished_run_says_how_to_go_on(folder, command):
    code, _, err = command("runs", "show", "stopped")
    assert code == 0
    again = "tunewright train intents.yaml --set train.epochs=2 --out runs/stopped --resume"
    assert f"Not finished. Go on with: {again}\n" in err
    assert json.loads(command("runs", "show", "stopped", "--json")[1])["run"]["again"] == again


def test_a_damaged_run_does_not_say_how_to_go_on(folder, command):
    code, _, err = command("runs", "show", "damaged")
    assert code == 0 and "damaged: damaged" in err and "Go on with" not in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "intent"), "There is no run intent in runs/. Did you mean 'intents'?"),
        (("show",), "Which run? Give its name: tunewright runs show NAME."),
        (("show", "intent", "--folder", "elsewhere"), "There is no run intent in elsewhere/."),
        (("shw",), "is not"),
    ],
)
def test_bad_words_are_refused(folder, command, arguments, said):
    code, out, _ = command("runs", *arguments, "--json")
    assert code == 3
    assert said in json.loads(out)["error"]
