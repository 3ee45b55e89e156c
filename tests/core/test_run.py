"""A run's folder: named, found again, never overwritten, and honest about the machine."""

from __future__ import annotations

import re

import pytest

from tunewright.core import run as runs
from tunewright.core.errors import DamagedFile, MachineError, UsageError
from tunewright.core.run import all_runs, environment, new_run, open_run, resumable


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_runs_of_one_name_are_numbered(here):
    names = [new_run(None, "intents", {}, "").folder.as_posix() for _ in range(3)]
    assert names == ["runs/intents", "runs/intents-2", "runs/intents-3"]


def test_a_new_run_says_what_it_is_and_where_it_runs(here):
    run = new_run("out", "intents", {"seed": 13}, "tunewright train recipe.yaml")
    assert run.name == "out"
    assert run.about["status"] == "started"
    assert run.about["given"] == {"seed": 13}
    assert run.about["command"] == "tunewright train recipe.yaml"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d", run.about["created"])
    assert (run.folder / "environment.json").is_file()


def test_a_run_keeps_what_is_not_changed(here):
    run = new_run("out", "intents", {"seed": 13}, "")
    run.update(status="training", more=1)
    assert (run.about["status"], run.about["more"], run.about["given"]) == ("training", 1, {"seed": 13})


def test_a_folder_that_holds_anything_is_never_taken(here):
    (here / "mine").mkdir()
    (here / "mine" / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match=r"mine exists already and is no run\. Choose another --out\."):
        new_run("mine", "intents", {}, "")
    (here / "file").write_text("x")
    with pytest.raises(UsageError, match="file exists already"):
        new_run("file", "intents", {}, "")
    assert (here / "mine" / "thesis.tex").read_text() == "years of work"


def test_a_taken_folder_says_what_can_be_done_with_the_run_in_it(here):
    run = new_run("out", "intents", {}, "")
    with pytest.raises(
        UsageError, match=r"out exists already: a run that has not finished\. Continue it with --resume, or choose"
    ):
        new_run("out", "intents", {}, "")
    run.update(status="finished")
    with pytest.raises(
        UsageError, match=r"out exists already: a finished run\. Choose another .* `tunewright runs show out` shows"
    ):
        new_run("out", "intents", {}, "")


@pytest.mark.parametrize(
    ("command", "again"),
    [
        ("tunewright train r.yaml --set seed=3", "tunewright train r.yaml --set seed=3 --out runs/intents --resume"),
        ("tunewright train r--out.yaml --out=runs/intents", "tunewright train r--out.yaml --out=runs/intents --resume"),
        ("python -c 'import tunewright'  # …", "tunewright.train(recipe, out='runs/intents', resume=True)"),
        ("", "tunewright.train(recipe, out='runs/intents', resume=True)"),
    ],
)
def test_a_run_knows_how_it_goes_on(here, command, again):
    assert new_run(None, "intents", {}, command).again == again


def test_an_empty_folder_or_one_of_a_run_killed_at_its_very_start_is_taken(here):
    (here / "empty").mkdir()
    assert new_run("empty", "intents", {}, "").folder.name == "empty"
    (here / "killed").mkdir()
    (here / "killed" / "environment.json").write_text("{}")
    (here / "killed" / ".run.json.abc.part").write_text('{"na')
    run = new_run("killed", "intents", {}, "")
    assert sorted(path.name for path in run.folder.iterdir()) == ["environment.json", "run.json"]


def test_a_folder_that_cannot_be_made_is_told(here):
    (here / "file").write_text("x")
    with pytest.raises(MachineError, match=r"Cannot write file/out: "):
        new_run("file/out", "intents", {}, "")


def test_a_run_is_opened_by_its_folder_or_its_name_and_a_wrong_name_gets_the_nearest(here):
    new_run(None, "intents", {}, "")
    assert open_run("runs/intents").name == open_run("intents").name == "intents"
    with pytest.raises(
        UsageError, match=r"There is no run intent.*Did you mean 'intents'\? `tunewright runs` lists them"
    ):
        open_run("intent")


def test_runs_are_listed_oldest_first(here, monkeypatch):
    times = iter(["2024-01-03", "2024-01-01", "2024-01-02"])
    monkeypatch.setattr(runs, "now", lambda: next(times))
    for name in ("a", "b", "c"):
        new_run(None, name, {}, "")
    assert [run.name for run in all_runs()] == ["b", "c", "a"]
    assert list(all_runs(here / "nowhere")) == []


def test_the_newest_unfinished_run_of_a_name_is_the_one_to_go_on_with(here, monkeypatch):
    times = iter(f"2024-01-0{day}" for day in range(1, 9))
    monkeypatch.setattr(runs, "now", lambda: next(times))
    for status in ("started", "training", "finished"):
        new_run(None, "intents", {}, "").update(status=status)
    new_run(None, "other", {}, "")
    assert resumable("intents").name == "intents-2"
    assert resumable("nothing") is None


def test_where_none_of_a_name_is_unfinished_the_newest_finished_one_is_found(here, monkeypatch):
    times = iter(f"2024-01-0{day}" for day in range(1, 9))
    monkeypatch.setattr(runs, "now", lambda: next(times))
    for _ in range(2):
        new_run(None, "intents", {}, "").update(status="finished")
    assert resumable("intents").name == "intents-2"


def test_the_environment_names_the_machine_and_the_versions_that_decide(monkeypatch):
    found = environment()
    assert {"python", "platform", "cpu", "cores", "memory_gb", "versions"} <= set(found)
    assert {"tunewright", "torch", "transformers", "numpy"} <= set(found["versions"])
    assert found["cores"] >= 1 and found["memory_gb"] > 0


def test_a_machine_that_does_not_tell_its_memory_has_0(monkeypatch):
    def refuse(name):
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(runs.os, "sysconf", refuse)
    assert runs.memory_bytes() == 0


@pytest.mark.parametrize("content", ["{}", "[]", '{"status"'])
def test_a_damaged_run_says_so(here, content):
    run = new_run(None, "a", {}, "")
    (run.folder / "run.json").write_text(content)
    with pytest.raises(DamagedFile, match=r"run\.json is damaged: .* Restore it, or start anew\."):
        _ = run.about
