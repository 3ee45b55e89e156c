"""Copies of training rows on their way into training, and what `check` says of them."""

import dataclasses
import json

import numpy as np
import pytest

from tunewright.core.errors import RecipeError
from tunewright.core.progress import Silent
from tunewright.core.recipe_file import from_mapping
from tunewright.data.augment import SPLIT
from tunewright.data.prepare import prepare
from tunewright.stages import assemble, augmented, check, estimate, fit

TYPOS = [{"name": "typo", "copies": 2, "share": 0.5}]


@pytest.fixture
def make(tmp_path, intents_csv, tiny_backbone):
    """make(augment) → the plan and the data of a recipe that learns from the intents."""

    def build(augment):
        recipe = from_mapping(
            {
                "task": "text_classification",
                "data": {"train": str(intents_csv.train), "test": str(intents_csv.test), "augment": augment},
                "model": {"backbone": str(tiny_backbone)},
                "train": {"threads": 1},
            }
        )
        dataset = prepare(recipe, tmp_path / "data")
        return assemble.plan(recipe, dataset), dataset

    return build


def summary(folder):
    return json.loads((folder / "ledger.jsonl").read_text().splitlines()[-1])["summary"]


def test_training_reads_rows_and_their_copies_and_the_ledger_tells_them_apart(make, tmp_path):
    plan, dataset = make(TYPOS)
    with_copies = fit.encode_train(plan, dataset, tmp_path / "with", Silent())
    plain = dataclasses.replace(plan, recipe=fit.replace(plan.recipe, **{"data.augment": ()}))
    without = fit.encode_train(plain, dataset, tmp_path / "without", Silent())
    copies = summary(tmp_path / "with")["rows"][SPLIT]
    assert copies["read"] == 2 * len(dataset.splits["train"]) and copies["used"] > len(dataset.splits["train"])
    assert len(with_copies) == len(without) + copies["used"]
    assert set(with_copies.examples) == set(without.examples)  # a copy goes by its row, for messages
    tokens = summary(tmp_path / "with")["tokens"]
    assert tokens.pop(SPLIT)["windows"] == copies["used"]
    assert (
        tokens == summary(tmp_path / "without")["tokens"]
    )  # validation, test and the rows themselves are as they were


def test_copies_keep_the_label_of_their_row(make, tmp_path):
    plan, dataset = make(TYPOS)
    encoded = fit.encode_train(plan, dataset, tmp_path / "run", Silent())
    labels = encoded.values["labels"].reshape(-1)
    for row in np.unique(encoded.examples):
        assert len(set(labels[encoded.examples == row].tolist())) == 1


def test_a_run_without_augmenters_has_no_word_of_copies(make, tmp_path):
    plan, dataset = make([])
    fit.encode_train(plan, dataset, tmp_path / "run", Silent())
    assert SPLIT not in summary(tmp_path / "run")["rows"] and SPLIT not in summary(tmp_path / "run")["tokens"]
    tried = augmented.try_out(plan, dataset)
    assert (tried.shown(), tried.notes(), tried.seconds(10)) == ([], [], 0.0)


def test_an_augmenter_that_does_not_suit_the_task_is_refused_before_anything_is_tried(tmp_path, tiny_backbone):
    source = tmp_path / "a.conll"
    source.write_text("\n\n".join(f"john B-PER\nlikes O\n{n} O" for n in range(30)))
    recipe = from_mapping(
        {"task": "token_classification", "data": {"train": str(source), "augment": "back_translation"},
         "model": {"backbone": str(tiny_backbone)}}
    )  # fmt: skip
    with pytest.raises(RecipeError, match="back_translation writes texts anew"):
        assemble.plan(recipe, prepare(recipe, tmp_path / "data"))


def test_check_shows_copies_beside_their_rows_and_counts_their_steps_and_time(make, monkeypatch, command, tmp_path):
    plan, dataset = make([*TYPOS, {"name": "homophone", "share": 0.5}])
    tried = augmented.try_out(plan, dataset)
    shown = tried.shown()
    assert [copy["by"] for copy in shown] == ["typo"] * augmented.SHOWN + ["homophone"] * augmented.SHOWN
    assert all(copy["from"] != copy["to"] and copy["row"].startswith("train.csv:") for copy in shown)
    english = sum(text["text"].isascii() for text in (row.inputs for row in tried.rows))
    assert str(tried.notes()[1]).startswith(f"data.augment: {len(tried.rows) - english} of {len(tried.rows)} copies")
    assert tried.seconds(1000) > tried.seconds(10) > 0
    (tmp_path / "estimate").mkdir()
    few, many = (
        estimate.estimate(dataclasses.replace(plan, recipe=fit.replace(plan.recipe, **{"data.augment": made})), dataset,
                          tmp_path / "estimate" / str(place), augmenting=7.0)
        for place, made in enumerate(((), plan.recipe.data.augment))
    )  # fmt: skip
    assert many.steps > 3 * few.steps and many.parts["augmenting"] == 7.0


def test_check_prints_them_and_gives_them_as_json(make, monkeypatch, command, tmp_path):
    from tunewright.core.recipe_file import to_yaml

    plan, _ = make(TYPOS)
    (tmp_path / "recipe.yaml").write_text(to_yaml(plan.recipe), encoding="utf-8")
    monkeypatch.setattr(check, "estimate", lambda *given, **named: estimate.Estimate(1, 1, 1, 1, "fp32", "cpu", {}))
    code, out, err = command("check", tmp_path / "recipe.yaml", "--json")
    assert code == 0
    assert "Copies that training would see as well" in err
    copies = json.loads(out)["augmented"]
    assert len(copies) == augmented.SHOWN and set(copies[0]) == {"by", "row", "from", "to"}
    assert any("copies that typo made of some rows are changed" in note for note in json.loads(out)["notes"])
