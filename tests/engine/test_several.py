"""Several tasks at once, from files of their own to one bundle that answers all."""

from __future__ import annotations

import csv
import json

import pytest

from tunewright.core.recipe_file import from_mapping
from tunewright.core.types import Span

NAMES = ("anna", "bob", "carl", "王芳", "李明")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Moods in a table, names in JSON lines, pairs in another table."""
    folder = tmp_path_factory.mktemp("tasks")
    moods = [(f"{word} film number {n}", "good" if word in ("great", "lovely") else "bad") for n in range(15) for word in ("great", "awful", "lovely", "dull")]  # fmt: skip
    pairs = [(f"{one} {n}", f"{other} {n}", "yes" if one == other else "no") for n in range(15) for one in ("sun", "rain") for other in ("sun", "rain")]  # fmt: skip
    for name, columns, rows in (("moods", ("text", "label"), moods), ("pairs", ("text_a", "text_b", "label"), pairs)):
        with open(folder / f"{name}.csv", "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([columns, *rows])
    names = [{"text": f"{n} met {name} there", "spans": [[len(f"{n} met "), len(f"{n} met {name}"), "PER"]]} for n in range(12) for name in NAMES]  # fmt: skip
    (folder / "names.jsonl").write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in names), "utf-8")
    return folder


def recipe(files, backbone, **changes):
    tasks = [
        {"name": "mood", "task": "text_classification", "data": {"train": "moods.csv"}},
        {"name": "same", "task": "sentence_pair", "data": {"train": "pairs.csv"}},
        {"name": "people", "task": "token_classification", "data": {"train": "names.jsonl"}},
    ]
    train = {"epochs": 8, "batch_size": 8, "learning_rate": 2e-3, "precision": "fp32", "threads": 1}
    given = {"tasks": tasks, "model": {"backbone": str(backbone)}, "train": train, "evaluate": {"resamples": 200}}
    return from_mapping(given | changes, files)


@pytest.mark.slow
def test_one_bundle_answers_tasks_that_were_learned_from_files_of_their_own(files, tiny_backbone, tmp_path):
    from transformers import AutoModelForTokenClassification

    from tunewright.engine.local import train
    from tunewright.predict.predictor import load
    from tunewright.predict.source import choose_columns, open_file
    from tunewright.predict.stream import Stream, write
    from tunewright.stages.evaluate import evaluate, labelled

    outcome = train(recipe(files, tiny_backbone), out=tmp_path / "run")
    own = [outcome.metrics[name] for name in ("mood", "same", "people")]
    assert outcome.metrics["mean"] == pytest.approx(sum(own) / 3) and min(own[0], own[2]) > 0.9
    assert set(outcome.baselines) == {"by_parts", "by_parts-2"} and set(outcome.baselines["by_parts"]) >= {
        "mean",
        "mood",
        "same",
    }

    predictor = load(outcome.bundle)
    text, pair, nothing = predictor.predict(
        [{"text": "great 7 met 王芳 there"}, {"text_a": "sun 3", "text_b": "rain 3"}, {"text": ""}]
    )
    assert text.value["people"] == (Span(12, 14, "PER"),) and text.value["mood"] in ("good", "bad")
    assert text.value.keys() == {"mood", "people"} and pair.value.keys() == {"same"} and nothing.decision == "error"
    (window,) = predictor.bundle.task.encode([predictor.example({"text": "great"}, 0)], predictor.processor, predictor.bundle.labels)  # fmt: skip
    assert window.of.keys() == {"mood", "people"}  # one pass for both
    model = AutoModelForTokenClassification.from_pretrained(outcome.bundle / "model")
    assert set(model.config.id2label.values()) == {"mood/bad", "mood/good", "same/no", "same/yes", "people/O", "people/B-PER", "people/I-PER"}  # fmt: skip

    new = tmp_path / "new.csv"
    new.write_text("text\ngreat 7 met anna there\n\n", encoding="utf-8")
    source = open_file(new)
    columns, _ = choose_columns(source, predictor.bundle.task)
    write(Stream(predictor, source, columns), tmp_path / "answers.jsonl")
    row = json.loads((tmp_path / "answers.jsonl").read_text("utf-8").splitlines()[0])
    assert row["people"][0]["label"] == "PER" and row["mood"] == text.value["mood"] and row["same"] is None

    asked = {"columns": {"same": "label"}}
    with labelled(files / "pairs.csv", predictor.bundle.task, predictor.bundle.labels, **asked) as dataset:
        assert dataset.roles == {"text_a": "text_a", "text_b": "text_b", "same": "label"}
        found, _ = evaluate(predictor, dataset)
    assert found.n == 60 and found.metrics["mood"] is None and found.metrics["mean"] == found.metrics["same"]


def refused(files, backbone, **changes):
    from tunewright.core.errors import RecipeError

    with pytest.raises(RecipeError) as error:
        recipe(files, backbone, **changes)
    return str(error.value)


def one(**changes):
    return {"name": "mood", "task": "text_classification", "data": {"train": "moods.csv"}} | changes


def test_what_is_wrong_with_a_list_of_tasks_is_told_at_its_place(files, tiny_backbone):
    several = [one(), one(name="people", task="token_classification")]
    assert "two tasks are called 'mood'" in refused(files, tiny_backbone, tasks=[one(), one()])
    assert "two at least" in refused(files, tiny_backbone, tasks=[one()])
    assert "tasks.0.data is missing" in refused(files, tiny_backbone, tasks=[{"name": "a", "task": "sentence_pair"}])
    assert "takes a list" in refused(files, tiny_backbone, tasks="moods.csv")
    assert "task follows from tasks" in refused(files, tiny_backbone, tasks=several, task="sentence_pair")
    assert "data.labels is each task's own" in refused(files, tiny_backbone, tasks=several, data={"labels": ["a"]})
    assert "'loss' cannot be a task's name" in refused(files, tiny_backbone, tasks=[one(), one(name="loss")])
    assert "'text' is an input" in refused(files, tiny_backbone, tasks=[one(), one(name="text")])
    own = {"train": "moods.csv", "max_tokens": 64}
    assert "data.max_tokens is one for all" in refused(files, tiny_backbone, tasks=[one(), one(name="b", data=own)])
    assert "no rows without labels" in refused(files, tiny_backbone, tasks=several, data={"unlabelled": "moods.csv"})
    own = {"train": "moods.csv", "unlabelled": "moods.csv"}
    assert "no rows without labels" in refused(files, tiny_backbone, tasks=[one(), one(name="b", data=own)])
    assert "data.columns is each task's own" in refused(
        files, tiny_backbone, tasks=several, data={"columns": {"text": "a"}}
    )
    for task in (
        "question_answering",
        {"name": "sentence_pair", "regression": True},
        "slot_filling",
        {"name": "token_classification", "crf": True},
    ):
        assert "cannot be one of several tasks" in refused(
            files, tiny_backbone, tasks=[one(), one(name="b", task=task)]
        )


def test_a_written_recipe_of_several_tasks_reads_back_the_same(files, tiny_backbone, tmp_path):
    from tunewright.core.recipe_file import load, to_yaml

    made = recipe(files, tiny_backbone)
    (tmp_path / "recipe.yaml").write_text(to_yaml(made), "utf-8")
    assert load(tmp_path / "recipe.yaml") == made
    assert made.tasks[0]["data"]["train"] == str(files / "moods.csv")


def test_rows_of_several_tasks_keep_their_places_and_what_the_recipe_says_of_all_holds_for_each(
    files, tiny_backbone, tmp_path
):
    from tunewright.data.prepare import prepare

    with open(files / "moods.csv", encoding="utf-8") as file:
        broken = file.read() + ",good\n"
    (files / "broken.csv").write_text(broken, "utf-8")
    tasks = [one(data={"train": "broken.csv"}), one(name="people", task="token_classification", data={"train": "names.jsonl", "limit": 30})]  # fmt: skip
    dataset = prepare(recipe(files, tiny_backbone, tasks=tasks, data={"limit": 40}), tmp_path / "data")
    rows = [example for split in dataset.splits.values() for example in split]
    assert {example.id.partition(":")[0] for example in rows} == {"mood/broken.csv", "people/names.jsonl"}
    assert sum(name in example.label for example in rows for name in ("mood",)) == 40
    assert sum(example.inputs.keys() == {"text"} and "people" in example.label for example in rows) == 30
    assert dataset.labels == ("mood/bad", "mood/good", "people/PER")
    lines = [json.loads(line) for line in (tmp_path / "data" / "ledger.jsonl").read_text("utf-8").splitlines()]
    assert any(line.get("file") == "mood/broken.csv" and line["kind"] == "empty_text" for line in lines)
    assert dataset.ledger["rows"]["train"]["read"] == 61 + 60
    assert any(str(note).startswith("people: names.jsonl: 30 of 60 rows") for note in dataset.notes)
    again = prepare(recipe(files, tiny_backbone, tasks=tasks, data={"limit": 20}), tmp_path / "data")
    assert sum("mood" in example.label for split in again.splits.values() for example in split) == 20


def test_a_row_of_one_file_may_have_labels_of_several_tasks_and_must_have_what_they_need():
    from tunewright.core import catalog
    from tunewright.core.errors import DataError

    chosen = {"mood": "text_classification", "topic": "text_classification", "same": "sentence_pair"}
    task = catalog.create("tasks", {"name": "several", "tasks": chosen})
    assert task.read({"text": "a", "mood": "good", "topic": "b"}) == ({"text": "a"}, {"mood": "good", "topic": "b"})
    assert task.read({"text": "a", "mood": "good", "topic": ""}) == ({"text": "a"}, {"mood": "good"})
    with pytest.raises(DataError, match="has a label for same and not all that is needed for it: text_a, text_b"):
        task.read({"text_a": "a", "same": "yes"})
    with pytest.raises(DataError, match="not all that any of the tasks needs"):
        task.read({"text_b": "a"})
