"""Learning from rows without labels, from files to a verdict: what is taken, what comes of it, and kills on the way."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tunewright.core.errors import RecipeError

SETTINGS = {"train__epochs": 2, "train__checkpoint_steps": 2, "train__batch_size": 16}
PSEUDO = {"name": "pseudo_label", "accuracy": 0.6}
UDA = {"name": "uda", "rows": 16, "confidence": 0.3}


@pytest.fixture(scope="module")
def parted(tmp_path_factory, intents_csv):
    """The training rows in two files, the second without labels."""
    folder = tmp_path_factory.mktemp("parted")
    with open(intents_csv.train, encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for name, part, columns in (("labelled", rows[:66], ["text", "label"]), ("unlabelled", rows[60:], ["text"])):
        with open(folder / f"{name}.csv", "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(part)
    return {"data__train": str(folder / "labelled.csv"), "data__unlabelled": str(folder / "unlabelled.csv")}


@pytest.fixture(scope="module")
def runs(tmp_path_factory, train_tiny, parted):
    """A run for each way."""
    folder = tmp_path_factory.mktemp("unlabelled")
    return {
        use["name"]: train_tiny(folder / use["name"], **SETTINGS, **parted, train__unlabelled=dict(use))
        for use in (PSEUDO, UDA)
    }


def report(run: Path) -> dict:
    return json.loads((run / "report.json").read_text("utf-8"))


def outcome(run: Path) -> dict:
    """What must not depend on how often a run was interrupted."""
    found = {
        "model": (run / "bundle" / "model" / "model.safetensors").read_bytes(),
        "ledger": (run / "ledger.jsonl").read_text(),
    }
    found |= {str(path.relative_to(run)): path.read_text() for path in run.rglob("metrics.jsonl")}
    found["unlabelled"] = report(run)["training"]["unlabelled"]
    return found


@pytest.mark.slow
def test_sure_answers_are_learned_from_and_the_report_says_what_came_of_it(runs):
    run = runs["pseudo_label"]
    about, content = report(run)["training"]["unlabelled"], report(run)
    rows = content["data"]["ledger"]["rows"]["unlabelled"]
    assert about["rows"] == rows["used"] and rows["read"] == rows["used"] + rows["dropped"]
    assert rows["reasons"]["repeated"] >= 6
    assert 0 < about["taken"] <= about["sure"] <= about["rows"] and sum(about["labels"].values()) == about["taken"]
    stored = json.loads((run / "again" / "adopted.json").read_text("utf-8"))
    assert len(stored["rows"]) == len(stored["labels"]) == about["taken"]
    first, again = (_examples(run / folder) for folder in ("", "again"))
    assert len(set(again)) == len(set(first)) + about["taken"]  # a row is known by its place
    best = max if about["kept"] else min
    assert best(about["before"], about["after"]) == about["after"]
    text = (run / "report.md").read_text("utf-8")
    assert f"{about['taken']} of {about['rows']} taken with the answers as their labels, at scores from" in text


def _examples(folder: Path) -> list[int]:
    import numpy as np

    return np.fromfile(folder / "encoded" / "examples", dtype=np.int64).tolist()


@pytest.mark.slow
def test_the_better_of_both_models_is_what_ships(runs):
    from safetensors.torch import load_file

    run = runs["pseudo_label"]
    about = report(run)["training"]["unlabelled"]
    best = load_file(run / ("again" if about["kept"] else "") / "checkpoints" / "best" / "weights.safetensors")
    saved = load_file(run / "bundle" / "model" / "model.safetensors")
    name = next(name for name in best if name.endswith("layer.0.attention.self.query.weight"))
    assert any(value.shape == best[name].shape and value.equal(best[name]) for value in saved.values())
    history = report(run)["training"]["history"]
    shown = max(entry["validation"]["accuracy"] for entry in history)
    assert shown == about["after" if about["kept"] else "before"]


@pytest.mark.slow
def test_uda_counts_its_pairs_and_learns_something_else(runs, tmp_path, train_tiny, parted):
    about = report(runs["uda"])["training"]["unlabelled"]
    assert about["name"] == "uda" and 0 < about["pairs"] <= about["rows"]
    assert f"{about['pairs']} of {about['rows']} seen in training, each with" in (runs["uda"] / "report.md").read_text(
        "utf-8"
    )
    plain = train_tiny(tmp_path / "plain", **SETTINGS, data__train=parted["data__train"])
    losses = [report(run)["training"]["losses"] for run in (plain, runs["uda"])]
    assert losses[0] != losses[1] and report(plain)["training"]["unlabelled"] is None


@pytest.mark.slow
@pytest.mark.parametrize(("use", "save"), [(PSEUDO, 2), (PSEUDO, 6), (UDA, 3)])
def test_a_killed_run_goes_on_to_the_same_bits(runs, tmp_path, train_tiny, parted, killed_at_save, use, save):
    settings = {**SETTINGS, **parted, "train__unlabelled": dict(use)}
    with killed_at_save(save):
        train_tiny(tmp_path / "run", **settings)
    assert (tmp_path / "run" / "again" / "checkpoints").exists() == (save == 6)
    assert outcome(train_tiny(tmp_path / "run", resume=True, **settings)) == outcome(runs[use["name"]])


@pytest.mark.slow
@pytest.mark.parametrize("use", [PSEUDO, UDA], ids=lambda use: use["name"])
def test_several_labels_a_row_and_ensembles_go_with_it(tmp_path, train_tiny, parted, use):
    task = {"name": "text_classification", "multi_label": True}
    settings = {**SETTINGS, **parted, "train__epochs": 1, "task": task, "train__unlabelled": {**use}}
    content = report(train_tiny(tmp_path / "run", **settings, train__ensemble={"size": 2, "kind": "vote"}))
    assert content["results"]["tuned"]["n"] == 36 and content["training"]["unlabelled"]["name"] == use["name"]
    assert len(content["training"]["ensemble"]["members"]) == 2


@pytest.mark.slow
def test_rows_of_which_none_is_sure_leave_the_first_model(tmp_path, train_tiny, parted):
    use = {"name": "pseudo_label", "threshold": 0.99999}
    run = train_tiny(tmp_path / "run", **SETTINGS, **parted, train__start="random", train__unlabelled=use)
    about = report(run)["training"]["unlabelled"]
    assert (about["taken"], about["after"], about["kept"]) == (0, None, False)
    assert "no score on validation is right often enough" in (run / "report.md").read_text("utf-8")


REFUSED = (
    (
        {"data__unlabelled": None, "train__unlabelled": "uda"},
        "train.unlabelled: uda learns from rows without labels. Name their",
    ),
    ({}, "data.unlabelled names rows without labels, and train.unlabelled does not say what is made of them."),
    (
        {"train__unlabelled": {"name": "uda", "augmenter": "typos"}},
        "There is no augmenter named 'typos'. Did you mean 'typo'?",
    ),
    (
        {"train__unlabelled": "pseudo_label", "task": {"name": "token_classification"}},
        "train.unlabelled: pseudo_label goes by the probability of every label of a row, and the answers of token_classification",
    ),
)


@pytest.mark.parametrize(("changes", "said"), REFUSED)
def test_what_does_not_go_together_is_refused(tmp_path, train_tiny, parted, changes, said):
    given = {**parted, **changes}
    if "task" in given:
        tagged, pool = tmp_path / "tagged.conll", tmp_path / "pool.jsonl"
        tagged.write_text("\n\n".join(f"john B-PER\nlikes O\n{number} O" for number in range(40)) + "\n")
        pool.write_text('{"tokens": ["anna", "likes", "this"], "text": "anna likes this"}\n')
        given |= {"data__train": str(tagged), "data__test": None, "data__unlabelled": str(pool), "evaluate__slices": []}
    with pytest.raises(RecipeError) as error:
        train_tiny(tmp_path / "run", **given)
    assert said in str(error.value)


@pytest.mark.slow
def test_what_more_training_costs_is_in_the_estimate_and_a_search_leaves_it_for_later(tmp_path, tiny_backbone, parted):
    from tunewright.core.recipe_file import from_mapping
    from tunewright.engine.search import search
    from tunewright.stages.check import check

    def recipe(**train):
        data = {
            key.removeprefix("data__"): value
            for key, value in parted.items()
            if train.get("unlabelled") or "un" not in key
        }
        train = {"epochs": 2, "precision": "fp32", "threads": 1, **train}
        return {"task": "text_classification", "data": data, "model": {"backbone": str(tiny_backbone)}, "train": train}

    once = check(from_mapping(recipe())).estimate.steps
    assert check(from_mapping(recipe(ensemble={"size": 3}))).estimate.steps == 3 * once
    assert check(from_mapping(recipe(unlabelled="pseudo_label"))).estimate.steps > 2 * once
    assert check(from_mapping(recipe(unlabelled=UDA))).estimate.steps == once

    space = {"search": {"space": {"train.unlabelled.weight": [0.5, 2.0]}, "trials": 2}}
    found = search(from_mapping({**recipe(unlabelled=UDA), **space}), out=tmp_path / "search")
    assert {trial["state"] for trial in found.trials} <= {"finished", "pruned"}
    space = {"search": {"space": {"train.unlabelled.accuracy": [0.5, 0.9]}}}
    with pytest.raises(
        RecipeError, match=r"a trial trains one model once, so train.unlabelled.accuracy would change none"
    ):
        search(from_mapping({**recipe(unlabelled=PSEUDO), **space}), out=tmp_path / "refused")
