"""Rows without labels: only what the task reads is kept, each text once and nowhere else, and labels are not thrown away."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from data_samples import ENGLISH, table

from tunewright.core.errors import DataError
from tunewright.data.dataset import Dataset, Extended

Make = Callable[..., Dataset]
TEST = table(ENGLISH[:6]).replace("please", "kindly")
TEXTS = ["quite another thing", "  Quite another thing ", "and one more", "one thing, too"]


def unlabelled(texts: list[str], header: str = "text,source") -> str:
    return "\n".join([header, *(f'"{text}",web' for text in texts)]) + "\n"


def test_rows_without_labels_stand_beside_the_splits(make: Make) -> None:
    dataset = make(table(ENGLISH), unlabelled=unlabelled(TEXTS[2:]))
    assert list(dataset.splits) == ["train", "validation", "test"]
    assert [example.inputs["text"] for example in dataset.unlabelled] == TEXTS[2:]
    assert [(example.label, example.columns) for example in dataset.unlabelled] == [(None, {})] * 2
    assert dataset.unlabelled.examples(0, 1)[0].id == "unlabelled.csv:2"
    assert make(table(ENGLISH), out="without").unlabelled is None
    both = dataset, make(table(ENGLISH), out="without")
    assert both[0].splits["train"].fingerprint == both[1].splits["train"].fingerprint


def test_texts_that_stand_elsewhere_are_left_out_and_accounted_for(make: Make, tmp_path) -> None:
    test, train = TEST.splitlines()[1].rpartition(",")[0].strip('"'), ENGLISH[20][0]
    rows = [*TEXTS, test, train, ""]
    dataset = make(table(ENGLISH), test=TEST, unlabelled=unlabelled(rows))
    assert [example.inputs["text"] for example in dataset.unlabelled] == [TEXTS[0], *TEXTS[2:]]
    counts = dataset.ledger["rows"]["unlabelled"]
    assert (counts["read"], counts["used"], counts["dropped"]) == (7, 3, 4)
    assert counts["reasons"] == {"empty_text": 1, "repeated": 2, "leakage": 1}
    lines = [json.loads(line) for line in (tmp_path / "out" / "ledger.jsonl").read_text("utf-8").splitlines()]
    (leaked,) = [line for line in lines if line.get("kind") == "leakage" and line["split"] == "unlabelled"]
    assert (leaked["line"], leaked["reason"]) == (6, "the same text stands in test, test.csv:2")
    assert any("unlabelled.csv: 3 of 6 rows without labels are used." in note.en for note in dataset.notes)


def test_leaking_rows_are_left_out_though_leakage_is_kept_in_training(make: Make) -> None:
    test = TEST.splitlines()[1].rpartition(",")[0].strip('"')
    dataset = make(table(ENGLISH), test=TEST, unlabelled=unlabelled([test, TEXTS[2]]), leakage="keep")
    assert [example.inputs["text"] for example in dataset.unlabelled] == [TEXTS[2]]


def test_labels_in_a_file_without_labels_are_not_thrown_away_silently(make: Make) -> None:
    with pytest.raises(DataError) as error:
        make(table(ENGLISH), unlabelled="text,label\nnothing known,\nsomething known,book\n")
    assert str(error.value) == (
        "unlabelled.csv:3: data.unlabelled has labels in it (column 'label' is filled), and they would be thrown away. Put these "
        "rows into the training file (data.train) to learn from the labels, or take that column out."
    )


def test_an_empty_label_column_is_no_label(make: Make) -> None:
    dataset = make(table(ENGLISH), unlabelled="text,label\nnothing known,\nas little known,\n")
    assert len(dataset.unlabelled) == 2


def test_a_file_without_the_column_of_the_text_says_which_it_has(make: Make) -> None:
    with pytest.raises(
        DataError, match=r"unlabelled.csv has no column 'text'. Did you mean 'texts'\? Its columns: texts, source"
    ):
        make(table(ENGLISH), unlabelled=unlabelled(TEXTS, header="texts,source"))


def test_rows_that_all_stand_elsewhere_leave_nothing(make: Make) -> None:
    with pytest.raises(
        DataError, match=r"nothing is left of the 2 rows of data.unlabelled, since each text also stands"
    ):
        make(table(ENGLISH), unlabelled=unlabelled([ENGLISH[0][0], ENGLISH[1][0]]))


def test_a_limit_holds_for_rows_without_labels_too(make: Make) -> None:
    dataset = make(table(ENGLISH), unlabelled=unlabelled([f"thing {number}" for number in range(99)]), limit=50)
    assert len(dataset.unlabelled) == 50


def test_an_extended_split_reads_as_one(make: Make) -> None:
    dataset = make(table(ENGLISH), unlabelled=unlabelled([f"thing {number}" for number in range(9)]))
    own, size = dataset.splits["train"], len(dataset.splits["train"])
    both = Extended(own, dataset.unlabelled, np.array([1, 4, 8]), ["book", "play", "book"])
    told = [(example.inputs["text"], example.label) for example in both]
    assert told[:size] == [(example.inputs["text"], example.label) for example in own]
    assert told[size:] == [("thing 1", "book"), ("thing 4", "play"), ("thing 8", "book")]
    assert [example.label for example in both.take([size + 1, 0, size + 2])] == [
        "play",
        own.examples(0, 1)[0].label,
        "book",
    ]
    assert [example.inputs["text"] for example in both.examples(size - 1, size + 1)] == [told[size - 1][0], "thing 1"]
    assert len(both) == size + 3 == len(both.column("_key")) and both.column("_id")[size].as_py() == "unlabelled.csv:3"
    assert len(dataset.with_train(both).splits["train"]) == size + 3 and len(dataset.splits["train"]) == size
