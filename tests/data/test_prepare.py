"""Preparing data: every row is accounted for, splits are sound, and what cannot be used is said with what to do."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from data_samples import CHINESE, ENGLISH, table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tunewright.components.tasks.text_classification import TextClassification
from tunewright.core import catalog
from tunewright.core.errors import DataError, LabelError, MachineError, RecipeError, TunewrightError
from tunewright.core.recipe import Split
from tunewright.core.types import Frame, Span
from tunewright.data.dataset import Dataset
from tunewright.data.prepare import prepare_source

Make = Callable[..., Dataset]


def totals(dataset: Dataset) -> tuple[int, int]:
    """(rows read, rows used or dropped) over all splits."""
    rows = dataset.ledger["rows"].values()
    return sum(split["read"] for split in rows), sum(split["used"] + split["dropped"] for split in rows)


@pytest.mark.parametrize(("rows", "language"), [(ENGLISH, "en"), (CHINESE, "zh")])
def test_a_single_file_is_cut_into_three_splits(make: Make, rows: list, language: str) -> None:
    dataset = make(table(rows))
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 42, "validation": 6, "test": 12}
    assert dataset.language == language
    assert dataset.labels == tuple(sorted({label for _, label in rows}))
    assert totals(dataset) == (60, 60)
    assert {example.inputs["text"] for split in dataset.splits.values() for example in split} == {
        text for text, _ in rows
    }
    assert any("12 rows cut from the training rows, each label in its share" in note.en for note in dataset.notes)


def test_columns_are_found_by_what_they_hold_and_it_is_said(make: Make) -> None:
    rows = [(str(number), f"{text}!", label) for number, (text, label) in enumerate(CHINESE)]
    dataset = make(table(rows, header=("编号", "正文", "哪种")))
    assert dataset.roles == {"text": "正文", "label": "哪种"}
    assert any("'哪种' is taken for label: its 2 values come back" in note.en for note in dataset.notes)
    assert dataset.splits["test"].examples(0, 1)[0].columns.keys() == {"编号"}


def test_rows_keep_file_and_line_over_cells_of_several_lines(make: Make) -> None:
    train = 'text,label\n"two\nlines",book\n' + table(ENGLISH)[11:]
    dataset = make(train, test=table(ENGLISH[:4]).replace("please", "kindly"))
    ids = {example.inputs["text"]: example.id for split in dataset.splits.values() for example in split}
    assert ids["two\nlines"] == "train.csv:2"
    assert ids[ENGLISH[0][0]] == "train.csv:4"
    assert dataset.splits["test"].column("_id").to_pylist() == [f"test.csv:{line}" for line in (2, 3, 4, 5)]


def test_every_dropped_row_is_in_the_ledger_with_its_reason(make: Make) -> None:
    bad = b"a,b,c\n,book\nno label,\nnul\0,book\n" + "混合编码，真的，好".encode("gb18030") + b",book\n"
    dataset = make(table(CHINESE).encode() + bad)
    lines = [json.loads(line) for line in (dataset.folder / "ledger.jsonl").read_text().splitlines()]
    assert [(entry["line"], entry["kind"]) for entry in lines[:-1]] == [
        (62, "broken_row"), (63, "empty_text"), (64, "empty_label"), (65, "garbled"), (66, "garbled"),
    ]  # fmt: skip
    assert lines[0]["reason"] == "3 columns instead of 2"
    assert totals(dataset) == (65, 65)


def test_training_rows_that_stand_in_test_are_dropped_with_the_twin_named(make: Make) -> None:
    test = table([("PLEASE book a table... for 3 people tonight!", "book"), ("another text", "cancel")])
    dataset = make(table(ENGLISH), test=test)
    entry = json.loads((dataset.folder / "ledger.jsonl").read_text().splitlines()[0])
    assert (entry["file"], entry["line"], entry["kind"]) == ("train.csv", 5, "leakage")
    assert entry["reason"] == "the same text stands in test, test.csv:2"
    assert dataset.ledger["rows"]["train"]["reasons"] == {"leakage": 1}


def test_leakage_stays_when_the_recipe_says_so(make: Make) -> None:
    dataset = make(table(ENGLISH), test=table(ENGLISH[:6]), leakage="keep")
    assert dataset.ledger["rows"]["train"]["dropped"] == 0
    assert len(dataset.splits["train"]) == len(ENGLISH) * 9 // 10


def test_the_same_seed_gives_the_same_rows_and_another_one_others(make: Make) -> None:
    prints = [
        make(table(ENGLISH), seed=seed, out=out).splits["test"].fingerprint
        for seed, out in ((1, "a"), (1, "b"), (2, "c"))
    ]
    assert prints[0] == prints[1] != prints[2]


def test_a_finished_folder_is_opened_again_until_a_source_changes(make: Make, tmp_path: Path) -> None:
    make(table(ENGLISH))
    written = (tmp_path / "out" / "train.arrow").stat().st_mtime_ns
    assert len(make(table(ENGLISH)).splits["train"]) == 42
    assert (tmp_path / "out" / "train.arrow").stat().st_mtime_ns == written
    assert len(make(table(ENGLISH[:50])).splits["train"]) == 35
    assert Dataset.open(tmp_path / "out").labels == ("book", "cancel")


def test_groups_stay_together_and_times_go_forward(make: Make) -> None:
    rows = [(*row, f"user {number % 11}", f"2024-01-{number % 28 + 1:02}") for number, row in enumerate(ENGLISH)]
    text = table(rows, header=("text", "label", "user", "day"))
    grouped = make(text, split=Split(by="grouped", column="user"), out="grouped")
    users = [set(split.column("user").to_pylist()) for split in grouped.splits.values()]
    assert not users[0] & users[1] and not users[0] & users[2] and not users[1] & users[2]
    timed = make(text, split=Split(by="time", column="day"), out="timed")
    days = {name: split.column("day").to_pylist() for name, split in timed.splits.items()}
    assert max(days["train"]) <= min(days["validation"]) <= max(days["validation"]) <= min(days["test"])


def test_the_limit_takes_rows_from_all_over_and_counts_the_others(make: Make) -> None:
    dataset = make(table(sorted(ENGLISH, key=lambda row: row[1])), limit=20)
    assert dataset.ledger["rows"]["train"]["reasons"] == {"limit": 40}
    assert totals(dataset) == (60, 60)
    assert set(dataset.described["labels"]["train"]) == {"book", "cancel"}
    assert len((dataset.folder / "ledger.jsonl").read_text().splitlines()) == 2


def test_several_labels_in_one_cell_are_split(make: Make) -> None:
    rows = [(text, ("a|b", "a", "b|c", "c")[number % 4]) for number, (text, _) in enumerate(CHINESE)]
    dataset = make(table(rows), task={"name": "text_classification", "multi_label": True})
    assert dataset.labels == ("a", "b", "c")
    assert {example.label for example in dataset.splits["train"]} == {("a", "b"), ("a",), ("b", "c"), ("c",)}


def test_any_rows_can_be_taken_in_any_order(make: Make) -> None:
    part = make(table(ENGLISH)).splits["train"]
    whole = part.examples()
    indices = np.array([30, 2, 2, 41, 0])
    assert part.take(indices) == [whole[index] for index in indices]
    assert part.examples(40, 99) == whole[40:]
    with pytest.raises(IndexError):
        part.take([42])
    with pytest.raises(DataError, match=r"no column 'txt'\. Did you mean 'text'"):
        part.column("txt")


def test_many_batches_are_one_split(make: Make) -> None:
    rows = [(f"text number {number} of many", "a" if number % 3 else "b") for number in range(20_000)]
    dataset = make(table(rows), split=Split(by="random"))
    part = dataset.splits["train"]
    assert len(part) == 14_000
    lines = part.column("_line").to_pylist()
    assert lines == sorted(lines)
    assert [example.id for example in part.take([13_999, 8_200])] == [
        f"train.csv:{lines[13_999]}",
        f"train.csv:{lines[8_200]}",
    ]


def test_one_source_is_prepared_alone_to_judge_a_model(tmp_path: Path) -> None:
    source = tmp_path / "new.csv"
    source.write_text(table(CHINESE))
    dataset = prepare_source(source, TextClassification(), tmp_path / "out", labels=("坏", "好", "中"))
    assert {name: len(split) for name, split in dataset.splits.items()} == {"test": 60}
    assert dataset.labels == ("坏", "好", "中")
    with pytest.raises(LabelError, match=r"'坏' \(30 rows, first at new\.csv:2\)"):
        prepare_source(source, TextClassification(), tmp_path / "out", labels=("好", "中"))


@dataclass(frozen=True)
class Rating(TextClassification):
    """A task whose answers are numbers, with a pair of texts as input."""

    inputs: ClassVar[tuple[str, ...]] = ("text_a", "text_b")
    target: ClassVar[str] = "score"
    classes: ClassVar[bool] = False

    def read(self, cells: Mapping[str, Any]) -> tuple[dict[str, Any], float | None]:
        """Two texts and a number, or unknown."""
        inputs = {role: cells.get(role) for role in self.inputs}
        return inputs, float(cells["score"]) if cells.get("score") not in (None, "") else None


def test_pairs_and_numbers_need_no_labels(make: Make) -> None:
    rows = [(f"one {number}", f"other {number}", f"{number / 7:.2f}") for number in range(40)]
    dataset = make(table(rows, header=("sentence1", "sentence2", "score")), task=Rating())
    assert dataset.roles == {"text_a": "sentence1", "text_b": "sentence2", "score": "score"}
    assert dataset.labels == ()
    assert isinstance(dataset.splits["test"].examples(0, 1)[0].label, float)


ERRORS = {
    "empty": ("", "is empty"),
    "blank lines": ("\n\n", "holds no rows"),
    "a header only": ("text,label\n", "holds no usable rows"),
    "one label": (table([(f"t{n}", "a") for n in range(9)]), r"has one label only \('a'\).*Add rows of another label"),
    "one row per label": (table([(f"t{n}", f"l{n}") for n in range(9)]), "has one row per label.*at least a few rows"),
    "three rows": (table([("t", "a"), ("u", "b"), ("v", "a")]), r"too few rows \(3\) to cut a validation split from"),
    "no label column": ("text\nhello there\nhow are you\n", r"single column \('text'\): a text and a label are needed"),
    "empty labels": ("text,label\nhello,\nhow are you,\n", "has no labels.*`tunewright predict`"),
    "no text column": ("n,label\n1,a\n2,b\n3,a\n", "has no column that could be 'text'. Its columns: n, label"),
    "no repeated values": ("a,b\nhello,x1\nyou,x2\nthere,x3\n", "seems to have no labels.*Name the label's column"),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_data_that_nothing_can_be_learned_from_is_refused_with_advice(make: Make, tmp_path: Path, name: str) -> None:
    content, message = ERRORS[name]
    with pytest.raises(DataError, match=message):
        make(content)
    assert not (tmp_path / "out").exists()


def test_a_wrong_column_is_an_error_with_the_nearest_and_all_names(make: Make) -> None:
    with pytest.raises(DataError, match=r"no column 'txet'. Did you mean 'text'\? Its columns: text, label"):
        make(table(ENGLISH), columns={"text": "txet"})
    with pytest.raises(DataError, match=r"names the role 'txt'.* Did you mean 'text'"):
        make(table(ENGLISH), columns={"txt": "text"})
    with pytest.raises(DataError, match=r"no column 'labl'. Did you mean 'label'.*Mend data\.split\.column"):
        make(table(ENGLISH), split=Split(by="grouped", column="labl"))
    with pytest.raises(DataError, match=r"no column 'label'. Its columns: text, other"):
        make(table(ENGLISH), test=table(ENGLISH, header=("text", "other")))


def test_a_label_in_test_that_train_never_has_is_an_error_with_its_place(make: Make) -> None:
    test = table([("text one", "boook"), ("text two", "boook"), ("text three", "cancel")])
    with pytest.raises(
        LabelError, match=r"'boook' \(2 rows, first at test\.csv:2\)\. Did you mean 'book'\?.*data\.labels"
    ):
        make(table(ENGLISH), test=test)
    assert make(table(ENGLISH), test=test, labels=("book", "boook", "cancel")).labels == ("book", "boook", "cancel")


def test_a_split_that_leaves_nothing_or_names_no_column_is_refused(make: Make) -> None:
    with pytest.raises(RecipeError, match="leave nothing to train on"):
        make(table(ENGLISH), split=Split(validation_share=0.5, test_share=0.5))
    with pytest.raises(RecipeError, match=r"data\.split\.column does not say"):
        make(table(ENGLISH), split=Split(by="time"))
    with pytest.raises(DataError, match=r"None of the 60 rows.*train\.csv:2: column 'text' holds no time"):
        make(table(ENGLISH), split=Split(by="time", column="text"))
    with pytest.raises(DataError, match="Every training row's text also stands in validation or test"):
        make(table(ENGLISH), test=table(ENGLISH))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_named(make: Make, tmp_path: Path) -> None:
    make(table(ENGLISH))
    (tmp_path / "train.csv").chmod(0)
    with pytest.raises(MachineError, match="No permission to read"):
        make("", task=catalog.create("tasks", "text_classification"))


def test_a_folder_without_prepared_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no prepared data, or only a part of it"):
        Dataset.open(tmp_path)


LINES = st.lists(
    st.one_of(
        st.sampled_from(
            [b"hello there,a", b"how are you,b", b"\xe4\xbd\xa0\xe5\xa5\xbd,a", b'"open,b', b"\0,a", b",", b""]
        ),
        st.binary(max_size=30),
        st.text(max_size=20).map(lambda text: text.encode("utf-8", "surrogatepass")),
    ),
    max_size=30,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=LINES, suffix=st.sampled_from([".csv", ".tsv", ".jsonl", ".json", ".txt", ".conll", ".parquet"]))
def test_no_bytes_whatever_give_a_traceback(tmp_path: Path, lines: list[bytes], suffix: str) -> None:
    source = tmp_path / f"fuzz{suffix}"
    source.write_bytes(b"\n".join(lines))
    try:
        dataset = prepare_source(source, TextClassification(), tmp_path / "out")
    except TunewrightError as error:
        assert str(error)
    else:
        read, accounted = totals(dataset)
        assert read == accounted


def test_words_in_a_list_are_the_same_text_as_in_one_piece(tmp_path: Path) -> None:
    rows = [{"text": ["Anna", f"met{n}", "北", "京"], "spans": [[0, 1, "PER"]]} for n in range(30)]
    rows.append({"text": "Anna met3 北京", "spans": [[0, 4, "PER"]]})
    rows.append({"text": ["Bob", 7], "spans": []})
    rows.append({"text": "Bob met", "spans": [[0, 70, "PER"]]})
    source = tmp_path / "rows.jsonl"
    source.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    task = catalog.create("tasks", "token_classification")
    whole = prepare_source(source, task, tmp_path / "out", labels=("PER",)).splits["test"]
    keys = whole.column("_key").to_pylist()
    assert keys[3] == keys[30] and len(set(keys)) == 30
    assert list(whole.texts(0, 1)) == ["Anna met0 北京"]
    ledger = (tmp_path / "out" / "ledger.jsonl").read_text("utf-8")
    assert "rows.jsonl" in ledger and "list of words" in ledger and "from character 0 to 70" in ledger


def test_a_slot_whose_text_is_not_there_costs_its_row_with_its_place(tmp_path: Path) -> None:
    rows = [{"text": f"去北京{n}", "intent": "GO", "slots": {"city": "北京"}} for n in range(5)]
    rows.append({"text": "去北京", "intent": "GO", "slots": {"city": "上海"}})
    rows.append({"text": "去上海", "intent": "", "slots": {}})
    rows.append({"text": "去上海", "intent": "", "slots": {"city": "上海"}})
    rows.append({"text": "你好", "intent": "HELLO"})
    source = tmp_path / "rows.jsonl"
    source.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    task = catalog.create("tasks", "slot_filling")
    whole = prepare_source(source, task, tmp_path / "out")
    assert whole.labels == ("#GO", "#HELLO", "city")
    assert whole.splits["test"].examples(0, 1)[0].label == Frame("GO", (Span(1, 3, "city"),))
    assert [example.id for example in whole.splits["test"]][-1] == "rows.jsonl:9"
    told = [json.loads(line) for line in (tmp_path / "out" / "ledger.jsonl").read_text("utf-8").splitlines()]
    lost = {entry["line"]: (entry["kind"], entry["reason"]) for entry in told if "line" in entry}
    assert lost[6][0] == "bad_label" and "'city' is '上海', which does not stand in the text" in lost[6][1]
    assert lost[7] == ("empty_label", "columns 'intent', 'slots' are empty")
    assert lost[8][0] == "bad_label" and "has slots and no intent" in lost[8][1]
