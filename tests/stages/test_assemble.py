"""What a plan decides from the data."""

import json

import numpy as np
import pytest

from tunewright.core import catalog
from tunewright.core.recipe_file import from_mapping
from tunewright.data.prepare import prepare
from tunewright.stages import assemble
from tunewright.stages.init import look


@pytest.fixture
def planned(tmp_path, tiny_backbone):
    """(plan, dataset) of a table with so many rows of each label."""

    def plan(counts, **sections):
        rows = [{"text": f"{name} {n} of many", "label": name} for name, count in counts.items() for n in range(count)]
        (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
        (tmp_path / "other.jsonl").write_text("\n".join(json.dumps({**r, "text": f"other {r['text']}"}) for r in rows))
        others = {name: str(tmp_path / "other.jsonl") for name in ("validation", "test")}
        data = {"train": str(tmp_path / "train.jsonl"), **others}
        given = {"task": "text_classification", "data": data, "model": {"backbone": str(tiny_backbone)}, **sections}
        recipe = from_mapping(given)
        dataset = prepare(recipe, tmp_path / "data")
        return assemble.plan(recipe, dataset), dataset

    return plan


@pytest.mark.parametrize(
    ("rows", "batch_size", "epochs"),
    [
        (40, 32, assemble.MOST_EPOCHS),
        (assemble.STEPS, 10, 10),
        (assemble.STEPS, 4, assemble.EPOCHS),
    ],
)
def test_few_rows_get_more_epochs(planned, rows, batch_size, epochs):
    plan, _ = planned({"good": rows // 2, "bad": rows // 2}, train={"batch_size": batch_size})
    assert plan.recipe.train.epochs == epochs
    assert str(assemble.STEPS) in plan.whys["train.epochs"].en


def test_epochs_that_are_asked_for_stay(planned):
    plan, _ = planned({"good": 20, "bad": 20}, train={"epochs": 2.5})
    assert plan.recipe.train.epochs == 2.5
    assert "train.epochs" not in plan.whys


def test_a_label_of_one_row_weighs_no_more_than_twenty_times_the_largest(planned):
    plan, dataset = planned({"much": 120, "some": 12, "one": 1})
    assert plan.recipe.train.class_weights == "balanced"
    weights = dict(zip(dataset.labels, assemble.class_weights(plan, dataset), strict=True))
    assert weights["some"] == pytest.approx(10 * weights["much"])
    assert weights["one"] == pytest.approx(20 * weights["much"])
    rows = np.array([weights["much"]] * 120 + [weights["some"]] * 12)
    assert np.mean(rows) == pytest.approx(2 / 3, rel=0.05)


def test_the_head_starts_from_a_probe_where_the_answer_is_a_linear_map(planned):
    plan, _ = planned({"good": 20, "bad": 20})
    assert catalog.name_of(plan.recipe.train.start) == "probe"
    given = {"task": "token_classification", "data": {"train": "rows.jsonl"}}
    whys = {}
    assert catalog.name_of(assemble._start(from_mapping(given), (), whys)) == "random"
    assert "no linear map" in whys["train.start"].en


def test_where_the_start_is_all_there_is_no_epochs_follow(planned):
    plan, _ = planned({"good": 20, "bad": 20}, train={"start": "few_shot"})
    assert plan.recipe.train.epochs == 0
    assert "few_shot is all the training there is" in plan.whys["train.epochs"].en


def test_where_slots_are_rarer_than_intents_whole_frames_decide_all_the_same(tmp_path, tiny_backbone):
    rows = [{"text": f"go {n}", "intent": "go", "slots": []} for n in range(300)]
    rows += [{"text": f"to Rome {n}", "intent": "go", "slots": {"city": "Rome"}} for n in range(9)]
    (tmp_path / "frames.jsonl").write_text("\n".join(map(json.dumps, rows)))
    data = {"train": str(tmp_path / "frames.jsonl")}
    recipe = from_mapping({"task": "slot_filling", "data": data, "model": {"backbone": str(tiny_backbone)}})
    plan = assemble.plan(recipe, prepare(recipe, tmp_path / "frames"))
    assert (plan.recipe.evaluate.metric, plan.recipe.train.class_weights) == ("accuracy", "none")
    assert "evaluate.metric" not in plan.whys
    seen = look(data["train"], changes=[f"model.backbone={tiny_backbone}"])
    (said,) = (note for note in seen.notes if note.startswith("Balance"))
    assert "times the rows of city" in said and "macro_f1" not in said
