"""`tunewright search` as it is typed: from a recipe to a better one, through kills, failures and wrong spaces."""

from __future__ import annotations

import csv
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import tunewright
from tunewright.core import catalog
from tunewright.core.errors import TrainingError
from tunewright.core.recipe_file import load

RECIPE = """\
task: text_classification
data:
  train: {train}
  test: {test}
  split: {{validation_share: 0.3}}
model: {{backbone: {backbone}}}
train: {{epochs: 3, learning_rate: 0.0003, threads: 1, precision: fp32, start: random}}
evaluate: {{baselines: [majority], resamples: 200}}
predict: {{runtime: torch}}
search:
  trials: 7
  space:
    train.learning_rate: {{low: 0.0001, high: 0.01, log: true}}
    train.batch_size: [8, 32]
    train.method: [full, {{name: lora, rank: 4}}]
"""
# A search in a process of its own that is killed in the middle of its fourth trial, after an evaluation was noted.
KILLED = """\
import os, signal, sys
from tunewright.cli import main
from tunewright.engine.study import Trial

tell = Trial.tell

def told(trial, epoch, value):
    stop = tell(trial, epoch, value)
    if trial.number == 3 and epoch > 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return stop

Trial.tell = told
main._register()
sys.exit(main.run(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory, tiny_backbone, intents_csv) -> Path:
    path = tmp_path_factory.mktemp("search") / "intents.yaml"
    path.write_text(RECIPE.format(train=intents_csv.train, test=intents_csv.test, backbone=tiny_backbone))
    return path


@pytest.fixture(scope="module")
def searched(tmp_path_factory, recipe):
    """One whole search; read it, never change it."""
    return tunewright.search(recipe, out=tmp_path_factory.mktemp("searches") / "whole")


def tried(folder: Path) -> list[dict]:
    """What was tried, and what came of it, without the clock."""
    trials = json.loads((folder / "search.json").read_text())["trials"]
    return [{key: value for key, value in trial.items() if key != "seconds"} for trial in trials]


def short(recipe: Path, folder: Path, *lines: str, keep: str = "") -> Path:
    """The recipe with another `search` section (these lines), its other keys as they are."""
    text = recipe.read_text().partition("search:")[0] + "search:\n" + "".join(f"  {line}\n" for line in lines) + keep
    path = folder / "changed.yaml"
    path.write_text(text)
    return path


# ------------------------------------------------------------------------------------------------------- one search


def test_a_search_writes_the_best_recipe_ready_to_train(searched, recipe, command, tmp_path):
    best, given = load(searched.best), load(recipe)
    assert searched.trials[0]["parameters"] == {
        "train.learning_rate": 0.0003, "train.batch_size": 32, "train.method": "full",
    }  # fmt: skip
    assert searched.value > searched.own == searched.trials[0]["value"]
    changed = searched.parameters
    assert best.train.learning_rate == changed["train.learning_rate"] != given.train.learning_rate
    assert best.train.batch_size == changed["train.batch_size"]
    assert best.data == given.data and best.evaluate == given.evaluate and best.seed == given.seed
    text = searched.best.read_text()
    assert "# The best recipe, written by `tunewright search` after 7 trials." in text
    assert re.search(
        r"learning_rate: 0\.\d+  # the best of 7 trials; auto: by method, task and the backbone's width", text
    )
    code, out, _ = command("train", searched.best, "--out", tmp_path / "run", "--json")
    history = json.loads((tmp_path / "run" / "report.json").read_text())["training"]["history"]
    assert code == 0 and json.loads(out)["verdict"] in ("better", "no_gain", "worse")
    assert max(entry["validation"]["accuracy"] for entry in history) == searched.value


def test_what_a_search_gives_back_says_everything(searched):
    content = json.loads((searched.search / "search.json").read_text())
    assert content["status"] == "finished" and content["metric"] == searched.metric == "accuracy"
    assert [trial["trial"] for trial in searched.trials] == list(range(7))
    finished = [trial for trial in searched.trials if trial["state"] == "finished"]
    assert searched.value == max(trial["value"] for trial in finished)
    assert set(searched.gain) == {"value", "low", "high", "metric"}
    assert searched.gain["low"] < searched.gain["value"] < searched.gain["high"]
    assert searched.gain["value"] == pytest.approx(searched.value - searched.own, abs=0.1)
    rows = list(csv.DictReader((searched.search / "trials.csv").read_text("utf-8").splitlines()))
    assert [row["state"] for row in rows] == [trial["state"] for trial in searched.trials]
    assert float(rows[1]["train.learning_rate"]) == searched.trials[1]["parameters"]["train.learning_rate"]
    assert "The best of 7 trials: accuracy" in searched.sentence["en"] and "7 次试验中" in searched.sentence["zh"]
    assert not (searched.search / "trial").exists(), "checkpoints of trials are not kept"


def test_a_poor_trial_is_stopped_early(searched):
    whole = len(searched.trials[0]["evaluations"])
    pruned = [trial for trial in searched.trials if trial["state"] == "pruned"]
    assert pruned and all(len(trial["evaluations"]) < whole for trial in pruned), "none at its very end"


def test_the_page_needs_nothing_else_and_shows_every_trial(searched):
    page = (searched.search / "search.html").read_text()
    assert "<script" not in page and not re.search(r'(src|href)="http', page)
    assert "default-src &#39;none&#39;" in page
    for setting in ("train.learning_rate", "train.batch_size", "train.method"):
        assert f"<figcaption>{setting}</figcaption>" in page
    assert len(re.findall(r'<circle class="point[^>]*r="\d\.\d"', page)) == 4 * 7, "over trials, and over each setting"
    assert "The test split is still sealed" in page


def test_the_test_split_stays_sealed(searched, recipe, tmp_path):
    """Other labels of the test rows change nothing, and no use of the split is counted."""
    changed_rows, own_rows = tmp_path / "test.csv", Path(load(recipe).data.test)
    rows = list(csv.reader(own_rows.read_text("utf-8").splitlines()))
    with open(changed_rows, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([rows[0], *([text, "card", language] for text, _, language in rows[1:])])
    changed = recipe.read_text().replace(str(own_rows), str(changed_rows)).replace("trials: 7", "trials: 3")
    (tmp_path / "recipe.yaml").write_text(changed)
    found = tunewright.search(tmp_path / "recipe.yaml", out=tmp_path / "runs" / "search")
    assert tried(found.search) == tried(searched.search)[:3]
    assert not list(tmp_path.rglob("sealed.json"))


def test_encodings_and_features_are_computed_once(recipe, tmp_path, monkeypatch):
    from tunewright.stages import embed, fit

    encoded, embedded = [], []
    write = fit.write_encoded
    monkeypatch.setattr(fit, "write_encoded", lambda *given: (encoded.append(1), write(*given))[1])
    embed_rows = embed.Embedder._embed
    monkeypatch.setattr(
        embed.Embedder, "_embed", lambda self, rows: (embedded.append(len(rows)), embed_rows(self, rows))
    )
    lines = ("trials: 5", "pruning: false", "space: {train.batch_size: [8, 32], data.max_tokens: [12, 16]}")
    path = short(recipe, tmp_path, *lines)
    path.write_text(path.read_text().replace("start: random", "start: probe").replace("epochs: 3", "epochs: 1"))
    found = tunewright.search(path, out=tmp_path / "out")
    assert len(found.trials) == 5
    kinds = {trial["parameters"]["data.max_tokens"] for trial in found.trials}
    assert len(kinds) == 3, "the recipe's own window, and two others"
    assert len(encoded) == 3
    assert sum(embedded) == 3 * sum(json.loads((found.search / "search.json").read_text())["rows"].values())


def test_a_trial_is_stopped_early_where_epochs_are_automatic(recipe, tmp_path, monkeypatch):
    from tunewright.engine.study import Trial

    monkeypatch.setattr(Trial, "tell", lambda trial, epoch, value: trial.number > 0 and epoch > 0)
    path = short(recipe, tmp_path, "trials: 2", "space: {train.batch_size: [8, 32]}")
    path.write_text(path.read_text().replace("epochs: 3, ", ""))
    found = tunewright.search(path, out=tmp_path / "out")
    assert [trial["state"] for trial in found.trials] == ["finished", "pruned"]


# ----------------------------------------------------------------------------------------- interrupted, and gone on


def test_a_search_that_was_killed_goes_on_to_the_same_trials(searched, recipe, command, tmp_path):
    out = tmp_path / "killed"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    arguments = [sys.executable, "-c", KILLED, "search", str(recipe), "--out", str(out)]
    killed = subprocess.run(arguments, capture_output=True, env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(tried(out)) == 3
    code, printed, _ = command("search", recipe, "--out", out, "--resume", "--json")
    assert code == 0
    assert tried(out) == tried(searched.search)
    assert json.loads(printed)["gain"] == searched.gain


def test_ctrl_c_saves_and_says_how_to_go_on(searched, recipe, command, tmp_path, monkeypatch):
    from tunewright.engine.trials import Workshop

    train, calls = Workshop.train, []

    def stopped(self, *given):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return train(self, *given)

    arguments = ["search", recipe, "--trials", "4", "--out", tmp_path / "out"]
    monkeypatch.setattr(sys, "argv", ["tunewright", *map(str, arguments)])
    with monkeypatch.context() as patch:
        patch.setattr(Workshop, "train", stopped)
        code, _, err = command(*arguments)
    assert code == 130
    again = f"tunewright search {recipe} --trials 4 --out {tmp_path / 'out'} --resume"
    assert f"Stopped; 2 trials of 4 are saved. Go on with: {again}" in err
    assert command(*again.split()[1:])[0] == 0
    assert tried(tmp_path / "out") == tried(searched.search)[:4]
    code, _, err = command(*again.replace("--trials 4", "--trials 5").split()[1:])
    assert code == 0 and tried(tmp_path / "out") == tried(searched.search)[:5], "a finished search takes more trials"


def test_a_search_goes_on_with_the_same_recipe_and_rows_alone(searched, recipe, command, tmp_path):
    out = searched.search
    code, _, err = command("search", recipe, "--out", out, "--resume", "--set", "train.epochs=4")
    assert code == 3 and "The recipe differs from the one that" in err and "in train.epochs." in err
    (tmp_path / "rows.csv").write_text(Path(load(recipe).data.train).read_text())
    path = tmp_path / "recipe.yaml"
    text = recipe.read_text().replace(str(load(recipe).data.train), str(tmp_path / "rows.csv"))
    path.write_text(text.replace("epochs: 3", "epochs: 1"))
    assert command("search", path, "--trials", 1, "--out", tmp_path / "out")[0] == 0
    with open(tmp_path / "rows.csv", "a", encoding="utf-8") as file:
        file.write("a new song,music,en\n")
    code, _, err = command("search", path, "--trials", 2, "--out", tmp_path / "out", "--resume")
    assert code == 3 and "The data has changed since" in err


def test_a_folder_is_taken_only_once(searched, recipe, command, tmp_path):
    code, _, err = command("search", recipe, "--out", searched.search)
    assert code == 3 and "exists already: a search. Go on with it by --resume" in err
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("mine")
    code, _, err = command("search", recipe, "--out", tmp_path / "other")
    assert code == 3 and "exists already and is no search" in err
    code, _, err = command("search", recipe, "--out", tmp_path / "none", "--resume")
    assert code == 3 and "There is no search" in err and not (tmp_path / "none").exists()
    with open(searched.search / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, _, err = command("search", recipe, "--out", searched.search, "--resume")
    assert code == 3 and "Another process works on the search" in err


def test_without_a_folder_the_newest_search_of_the_name_goes_on(recipe, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = short(recipe, tmp_path, "trials: 1", "space: {train.batch_size: [8, 32]}")
    assert command("search", path)[1] == command("search", path, "--resume")[1] == "searches/changed/best.yaml\n"
    assert command("search", path)[1] == "searches/changed-2/best.yaml\n"


# ------------------------------------------------------------------------------------------- what can go wrong in it


def test_a_trial_that_fails_is_told_and_counted(recipe, command, tmp_path):
    backbones = f"[{load(recipe).model.backbone}, <i>none</i>]"
    path = short(recipe, tmp_path, "trials: 3", f"space: {{model.backbone: {backbones}}}")
    path.write_text(path.read_text().replace("epochs: 3", "epochs: 1"))
    code, out, err = command("search", path, "--out", tmp_path / "out", "--json")
    found = json.loads(out)
    assert code == 0 and [trial["state"] for trial in found["trials"]] == ["finished", "failed"]
    assert "Trial 1 (backbone <i>none</i>) failed: " in err and "<i>none</i>" in found["trials"][1]["why"]
    assert "the space is exhausted" in err and found["sentence"]["en"].startswith("No gain: of 2 trials")
    assert "<i>none" not in (tmp_path / "out" / "search.html").read_text()


def test_a_search_in_which_everything_fails_ends(recipe, command, tmp_path, monkeypatch):
    from tunewright.engine.trials import Workshop

    def fails(self, recipe, told):
        raise TrainingError("The loss is not a number.")

    monkeypatch.setattr(Workshop, "train", fails)
    code, _, err = command("search", recipe, "--out", tmp_path / "five")
    assert code == 3 and "The first 5 trials have all failed. The recipe's own values: The loss is not a number." in err
    code, _, err = command("search", recipe, "--out", tmp_path / "two", "--trials", 2)
    assert code == 3 and "No trial has finished, so there is no best recipe." in err


def test_after_the_time_no_further_trial_begins(recipe, command, tmp_path):
    code, out, err = command("search", recipe, "--out", tmp_path / "out", "--time-limit", "0.0001", "--json")
    assert code == 0 and len(json.loads(out)["trials"]) == 1, "the recipe's own values are tried in any case"
    assert "The 0.0001 minutes are over; no further trial begins." in err


def test_optuna_is_asked_for_where_it_is_missing(recipe, command, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    code, _, err = command("search", recipe, "--out", tmp_path / "out")
    assert code == 3 and "pip install 'tunewright[search]'" in err and not (tmp_path / "out").exists()


WRONG = [
    ("train.learning_rat: [1e-4, 1e-3]", r":13: unknown key 'learning_rat' under train. Did you mean 'learning_rate'\?"),
    ("train.batch_size: [16, many]", r":13: train.batch_size is 'many'"),
    ("train.batch_size: {low: 0, high: 8}", r":13: train.batch_size is 0: Input should be greater than or equal to 1"),
    ("train.method: [full, {name: lora, rnak: 4}]", r":13: unknown key 'rnak' under train.method. Did you mean 'rank'"),
    ("train.method.rank: [4, 8]", r":13: unknown key 'rank' under train.method"),
    ("train.method: [full, loora]", r":13: train.method: There is no method named 'loora'. Did you mean 'lora'\?"),
    ("train.batch_size: []", r":13: search.space: train.batch_size is empty"),
    ("train.batch_size: [16]", r":13: search.space: train.batch_size has one value alone"),
    ("train.batch_size: [16, 16]", r":13: search.space: train.batch_size has a value twice"),
    ("train.batch_size: 16", r":13: search.space: train.batch_size is 16; it takes choices, as \[16, 32\]"),
    ("model.dropout: {low: 0.3, high: 0.1}", r":13: search.space: model.dropout: low is 0.3 and high is 0.1; low must be"),
    ("model.dropout: {low: 0.1, high: 0.1}", "low must be below high"),
    ("model.dropout: {low: 0.1}", "model.dropout: high is missing"),
    ("model.dropout: {low: 0.1, high: x}", 'model.dropout: high is "x", and must be a number'),
    ("model.dropout: {low: 0.1, hihg: 0.2}", r"has no 'hihg' in a range. Did you mean 'high'\?"),
    ("model.dropout: {low: 0, high: 0.1, log: true}", "on a logarithmic scale it must be above 0"),
    ("model.dropout: {low: 0.1, high: 0.2, log: 3}", "log is 3, and must be true or false"),
    ("model.dropout: {low: 0.1, high: 0.2, step: 0}", "step is 0; it must be above 0"),
    ("model.dropout: {low: 0.1, high: 0.2, times: auto}", "times can only be auto, and only for train.learning_rate"),
    ("data.train: [a.csv, b.csv]", r":13: search.space: data.train cannot be searched: trials are compared on the same rows"),
    ("seed: [1, 2]", "seed cannot be searched"),
    ("evaluate.metric: [accuracy, mcc]", "evaluate.metric cannot be searched"),
    ("train: [{epochs: 2}, {epochs: 3}]", "train is a whole section; name a key in it"),
    ("{train.method: [full, lora], train.method.rank: [4, 8]}", "train.method.rank overlaps with train.method"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "message"), WRONG, ids=[line for line, _ in WRONG])
@pytest.mark.parametrize("verb", ["search", "train"])
def test_a_wrong_space_is_refused_before_anything_is_tried(recipe, command, tmp_path, line, message, verb):
    space = f"space: {line}" if line.startswith("{") else f"space:\n    {line}"
    path = short(recipe, tmp_path, "trials: 3", space)
    code, _, err = command(verb, path, "--out", tmp_path / "out")
    assert code == 3 and re.search(message, err), err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("value", ["0", "-1", "many"])
def test_a_search_has_at_least_one_trial(recipe, command, tmp_path, value):
    code, _, err = command("search", recipe, "--out", tmp_path / "out", "--trials", value)
    assert code == 3 and "--set search.trials: search.trials is" in err


def test_a_space_may_be_nested_and_given_by_set(recipe, tmp_path):
    from tunewright.core.recipe_file import parameters

    path = short(recipe, tmp_path, "space:", "  train:", "    batch_size: [8, 16]", "  model.dropout: [0, 0.1]")
    changes = ["search.space.train.epochs={low: 1, high: 3}", "search.space.data.stride={low: 0, high: 8, step: 4}"]
    found = {one.key: one for one in parameters(load(path, changes))}
    assert list(found) == ["train.batch_size", "train.epochs", "model.dropout", "data.stride"]
    assert not found["train.epochs"].whole, "epochs may be 1.5"
    assert found["data.stride"].whole


# ---------------------------------------------------------------------------------------------- the space that suits


def test_without_a_space_one_is_tried_that_suits_task_and_backbone(recipe, command, tmp_path):
    path = short(recipe, tmp_path, "trials: 2")
    text = path.read_text().replace("learning_rate: 0.0003, ", "").replace("epochs: 3", "epochs: 1")
    path.write_text(text + "report: {language: zh}\n")
    code, _, err = command("search", path, "--out", tmp_path / "out", "--json")
    content = json.loads((tmp_path / "out" / "search.json").read_text())
    assert code == 0 and "No search.space in the recipe; this one is tried" in err
    assert content["space"]["train.method"] == ["full", "lora"]
    assert "train.batch_size" not in content["space"], "so few rows leave no choice"
    own, other = (trial["parameters"] for trial in content["trials"])
    assert own["train.method"] == "full" and own["train.layer_decay"] == 1
    rates = {name: catalog.find("methods", name).rate for name in ("full", "lora")}
    factor = other["train.learning_rate"] / (own["train.learning_rate"] * rates[other["train.method"]])
    assert 0.25 <= factor <= 4.001, "a factor of what auto means for the method"
    page = (tmp_path / "out" / "search.html").read_text()
    assert 'lang="zh-Hans"' in page and "哪些设定重要" in page
