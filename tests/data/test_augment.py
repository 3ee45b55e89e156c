import json

import numpy as np
import pytest

from tunewright.core import catalog
from tunewright.core.errors import RecipeError
from tunewright.core.recipe_file import from_mapping
from tunewright.core.types import Example, Span
from tunewright.data.augment import SPLIT, Augmentation, check, copies_a_row
from tunewright.data.ledger import Ledger
from tunewright.data.normalise import key
from tunewright.data.prepare import prepare


class Rows:
    """A split of which only the keys are asked for."""

    def __init__(self, *texts):
        self._keys = np.array([key([text]) for text in texts], dtype=np.uint64)

    def column(self, name):
        import pyarrow as pa

        return pa.chunked_array([pa.array(self._keys)])


def example(text, label="a", line=1):
    return Example(f"train.csv:{line}", {"text": text}, label)


def augmented(tmp_path, rows, augment, task="text_classification", first=0, seed=13, judged=(), train=()):
    """(row or copy, whose row it is) and the ledger's summary."""
    splits = {"train": Rows(*train), "validation": Rows(*judged)}
    made = [catalog.create("augmenters", one) for one in augment]
    ledger = Ledger(tmp_path / "ledger.jsonl")
    opened = Augmentation(made, catalog.create("tasks", task), splits, seed)
    found = list(opened.with_copies(rows, first, ledger))
    ledger.close()
    assert ledger.balance() == []
    return found, ledger.summary()["rows"].get(SPLIT)


def test_each_row_is_followed_by_its_copies_which_the_ledger_counts(tmp_path):
    rows = [example("the best movie of the year"), example("这家店的手机很便宜", "b", 2)]
    found, counts = augmented(tmp_path, rows, [{"name": "typo", "copies": 2}, "swap_delete_insert"])
    assert [row for row, _ in found] == [0, 0, 0, 0, 1, 1, 1, 1]
    assert found[0][1] is rows[0] and found[4][1] is rows[1]
    assert [one.label for _, one in found] == ["a"] * 4 + ["b"] * 4
    assert len({one.inputs["text"] for _, one in found}) == 8
    assert (counts["read"], counts["used"], counts["dropped"]) == (6, 6, 0)


def test_copies_depend_on_seed_and_place_and_not_on_how_rows_are_cut(tmp_path):
    rows = [example(f"the best movie of the year {n}", line=n) for n in range(8)]
    whole, _ = augmented(tmp_path, rows, ["typo"])
    parts = [augmented(tmp_path, rows[a:b], ["typo"], first=a)[0] for a, b in ((0, 3), (3, 8))]
    assert [one.inputs for _, one in whole] == [one.inputs for part in parts for _, one in part]
    assert whole != augmented(tmp_path, rows, ["typo"], seed=14)[0]


def test_copies_that_say_nothing_new_or_leak_are_left_out_and_told(tmp_path):
    table = tmp_path / "table.txt"
    table.write_text("film movie\nbad poor\ngood fine\n")
    synonym = [{"name": "synonym", "table": str(table), "copies": 2, "share": 1.0}]
    rows = [
        example("a film", line=3),
        example("a bad one", line=4),
        example("nothing", line=5),
        example("good", line=6),
    ]
    found, counts = augmented(tmp_path, rows, synonym, judged=["A movie!"], train=["a poor one"])
    assert [one.inputs["text"] for _, one in found] == ["a film", "a bad one", "nothing", "good", "fine"]
    assert counts["reasons"] == {"leakage": 2, "same_text": 3, "unchanged": 2}
    lines = [json.loads(line) for line in (tmp_path / "ledger.jsonl").read_text().splitlines()[:-1]]
    assert [(line["line"], line["kind"]) for line in lines[:1]] == [(3, "leakage")]
    assert lines[0]["split"] == SPLIT and lines[0]["reason"].startswith("synonym: the same text stands in")
    assert "movie" not in (tmp_path / "ledger.jsonl").read_text()


def test_labelled_spans_keep_their_text_and_move_along(tmp_path):
    text, spans = "yesterday Mary Smith travelled towards Paris again", (Span(10, 20, "PER"), Span(39, 44, "LOC"))
    found, _ = augmented(
        tmp_path, [example(text, spans)], [{"name": "swap_delete_insert", "copies": 20}, {"name": "typo", "copies": 9}],
        task="token_classification",
    )  # fmt: skip
    assert len(found) > 8
    for _, one in found:
        assert [one.inputs["text"][s.start : s.end] for s in one.label] == ["Mary Smith", "Paris"]
        assert [s.label for s in one.label] == ["PER", "LOC"]
    assert len({one.label for _, one in found}) > 1


def test_what_a_relation_is_asked_of_stays_between_its_marks(tmp_path):
    task = catalog.create("tasks", "relation_extraction")
    cells = {
        "text": "mail a@b today: Anna really works for the Acme company, C# and all",
        "head": [16, 20],
        "tail": [42, 46],
    }
    inputs, label = task.read({**cells, "relation": "works"})
    found, _ = augmented(
        tmp_path,
        [Example("r:1", inputs, label)],
        [{"name": "swap_delete_insert", "copies": 30}],
        task="relation_extraction",
    )
    assert len(found) > 3
    for _, one in found:
        assert "@ Anna @" in one.inputs["text"] and "# Acme #" in one.inputs["text"]
        assert one.inputs["text"].count("@") == 3 and one.inputs["text"].count("#") == 3


def test_each_text_of_a_pair_is_changed_by_itself(tmp_path):
    pair = Example("p.csv:1", {"text_a": "the best movie", "text_b": "that other movie"}, "yes")
    found, _ = augmented(tmp_path, [pair], [{"name": "typo", "slips": ["swap"]}], task="sentence_pair")
    copy = found[1][1]
    assert sorted(copy.inputs["text_a"]) == sorted("the best movie") and copy.inputs["text_a"] != "the best movie"
    assert sorted(copy.inputs["text_b"]) == sorted("that other movie") and copy.inputs["text_b"] != "that other movie"


def test_what_writes_texts_anew_is_refused_where_rows_tell_places():
    rewriting = [catalog.create("augmenters", "back_translation")]
    for task in ("token_classification", "relation_extraction"):
        with pytest.raises(
            RecipeError, match=f"back_translation writes texts anew, and the rows of {task} tell places"
        ):
            check(rewriting, catalog.create("tasks", task))
    check(rewriting, catalog.create("tasks", "sentence_pair"))


def test_copies_are_counted_over_all_augmenters():
    assert (
        copies_a_row(
            [catalog.create("augmenters", {"name": "typo", "copies": 3}), catalog.create("augmenters", "typo")]
        )
        == 4
    )
    assert copies_a_row(()) == 0


def test_the_keys_of_prepared_rows_are_those_that_copies_are_held_against(tmp_path):
    (tmp_path / "train.csv").write_text("text,label\n" + "".join(f"one film {n},{'ab'[n % 2]}\n" for n in range(40)))
    recipe = from_mapping({"task": "text_classification", "data": {"train": str(tmp_path / "train.csv")}})
    dataset = prepare(recipe, tmp_path / "data")
    table = tmp_path / "table.txt"
    table.write_text("one first\n")
    made = [catalog.create("augmenters", {"name": "synonym", "table": str(table)})]
    opened = Augmentation(made, recipe.task, dataset.splits, 13)
    held = dataset.splits["validation"].examples()[0]
    [copy] = opened.copies([held], 0)
    assert opened._problem(copy, held, {copy.key})[0] == "same_text"
    twin = Example("t.csv:9", {"text": held.inputs["text"].replace("one", "ONE!")}, held.label)
    ledger = Ledger(tmp_path / "ledger.jsonl")
    table.write_text("first one\n")
    again = Augmentation(
        [catalog.create("augmenters", {"name": "synonym", "table": str(table)})], recipe.task, dataset.splits, 1
    )
    first = Example("t.csv:9", {"text": twin.inputs["text"].lower().replace("one!", "first")}, held.label)
    assert [one for _, one in again.with_copies([first], 0, ledger)] == [first]
    assert ledger.summary()["rows"][SPLIT]["reasons"] == {"leakage": 1}
