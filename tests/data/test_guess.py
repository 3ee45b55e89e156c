"""Columns and tasks are guessed from names and contents, in English and in Chinese, and the guess has a reason."""

from __future__ import annotations

import pytest

from tunewright.components.tasks.text_classification import TextClassification
from tunewright.core import catalog
from tunewright.core.errors import DataError
from tunewright.data.guess import guess_columns, guess_separator, guess_task

TEXTS = [f"a text of some length, number {number}" for number in range(40)]


@pytest.mark.parametrize(
    ("text", "label"), [("text", "label"), ("review", "sentiment"), ("评论", "标签"), ("Content", "Category")]
)
def test_columns_are_known_by_their_names(text: str, label: str) -> None:
    rows = [{"id": number, text: content, label: "ab"[number % 2]} for number, content in enumerate(TEXTS)]
    assert guess_columns(rows, TextClassification()).of == {"text": text, "label": label}


def test_columns_are_known_by_what_they_hold() -> None:
    rows = [{"x": f"{number}", "y1": content, "z": "ab"[number % 2]} for number, content in enumerate(TEXTS)]
    found = guess_columns(rows, TextClassification())
    assert found.of == {"text": "y1", "label": "z"}
    assert found.reasons[0].en == "column 'z' is taken for label: its 2 values come back"
    assert "it holds the longest texts" in found.reasons[1].en


def test_a_label_is_not_needed_to_predict() -> None:
    assert guess_columns([{"text": "a"}], TextClassification(), with_target=False).of == {"text": "text"}


@pytest.mark.parametrize(
    ("cells", "mark"),
    [
        (["a|b", "a", "b", "a|b|c", "c"] * 4, "|"),
        (["好、坏", "好", "坏", "好、快", "快"] * 4, "、"),
        (["Sci/Tech", "World", "Sports", "Business"] * 4, ""),
        (["New York, NY", "Boston, MA", "Paris"] * 4, ""),
    ],
)
def test_several_labels_in_a_cell_are_told_from_a_label_with_a_mark_in_it(cells: list[str], mark: str) -> None:
    assert guess_separator(cells) == mark


def test_the_task_follows_from_what_the_label_column_holds() -> None:
    single = guess_task([{"text": text, "label": "ab"[number % 2]} for number, text in enumerate(TEXTS)])
    assert (single.name, single.settings) == ("text_classification", {})
    joined = guess_task([{"text": text, "label": ("a|b", "b", "a")[number % 3]} for number, text in enumerate(TEXTS)])
    assert joined.settings == {"multi_label": True, "separator": "|"}
    lists = guess_task([{"text": text, "label": ["a", "b"][: 1 + number % 2]} for number, text in enumerate(TEXTS)])
    assert lists.settings == {"multi_label": True}
    spans = guess_task([{"text": text, "entities": [{"start": 0, "end": 1, "label": "x"}]} for text in TEXTS])
    assert spans.name == "token_classification"
    tags = guess_task([{"tokens": ["a", "b"], "tags": ["B-X", "O"]}] * 3)
    assert tags.name == "token_classification"
    with pytest.raises(DataError, match="seems to have no labels"):
        guess_task([{"text": text, "n": text * 2} for text in TEXTS])


def test_text_and_label_need_columns_of_their_own() -> None:
    with pytest.raises(DataError, match=r"data\.columns names 'a' for text and for label: each needs a column of its"):
        guess_columns([{"a": "x", "b": "y"}], TextClassification(), {"text": "a", "label": "a"})


PAIR = {"sentence1": "a text", "sentence2": "another"}


@pytest.mark.parametrize(
    ("cells", "name", "settings"),
    [
        ({**PAIR, "label": ["0", "1"]}, "sentence_pair", {}),
        ({**PAIR, "label": ["0", "1", "2", "3"]}, "sentence_pair", {}),
        ({**PAIR, "label": ["entails", "neutral"]}, "sentence_pair", {}),
        ({**PAIR, "score": ["3.8", "4"]}, "sentence_pair", {"regression": True}),
        ({**PAIR, "score": [0, 1, 2, 3, 4, 5], "genre": ["news", "forum"]}, "sentence_pair", {"regression": True}),
        ({"text": "Anna met Bob", "head": {"start": 0, "end": 4}, "tail": {"start": 9, "end": 12},
          "relation": ["met", "Other"]}, "relation_extraction", {}),
        ({"text": "Anna", "entities": [[{"start_offset": 0, "end_offset": 4, "label": "PER"}]]}, "token_classification", {}),
        ({"text": "Anna", "label": [[[0, 4, "PER"]]]}, "token_classification", {}),
        ({"question": "who", "context": "Anna", "answers": [[{"text": "Anna", "answer_start": 0}]]}, "question_answering", {}),
        ({"query": "谁", "passage": "王明", "answer": ["王明", "明", "王明", "nobody"]}, "question_answering", {}),
        ({"question": "who", "context": "Anna", "answers": [{"text": ["Anna"], "answer_start": [0]}, {"text": [], "answer_start": []}]},
         "question_answering", {"no_answer": True}),
        ({"question": "is it", "passage": "Anna", "answer": ["yes", "no"]}, "text_classification", {}),
        ({"tokens": [["Anna"]], "ner_tags": [["B-PER"]]}, "token_classification", {}),
        ({"text": "去北京", "domain": "map", "intent": ["GO", "SEE"], "slots": {"city": "北京"}}, "slot_filling", {}),
        ({"tokens": [["Anna"]], "slots": [["B-PER"]], "intent": ["a", "b"]}, "slot_filling", {}),
        ({"text": "Anna", "entities": [[[0, 4, "PER"]]], "意图": ["a", "b"]}, "slot_filling", {}),
        ({"tokens": [["Anna", "b"]], "entities": [[[0, 1, "P"], [1, 2, "P"]]], "relations": [[{"head": [0, 1], "tail": 1, "label": "x"}], []]},
         "triples", {}),
        ({"文本": "王明", "实体": [["B-P", "B-P"]], "关系": [[{"head": 0, "tail": 1, "predicate": "x"}]]}, "triples", {}),
        ({"text": "Anna", "entities": [[[0, 4, "PER"]]], "relations": ["a", "b"]}, "token_classification", {}),
    ],
)  # fmt: skip
def test_spans_pairs_numbers_and_relations_are_told_by_their_columns(cells, name, settings) -> None:
    rows = [
        {column: cell[number % len(cell)] if isinstance(cell, list) else cell for column, cell in cells.items()}
        for number in range(20)
    ]
    found = guess_task(rows)
    assert (found.name, found.settings) == (name, settings)
    task = catalog.create("tasks", {"name": found.name, **found.settings})
    columns = guess_columns(rows, task).of
    assert columns.keys() == {*task.inputs, *task.targets}
    inputs, label = task.read({role: rows[0][column] for role, column in columns.items()})
    assert label is not None and all(isinstance(text, str) for text in inputs.values())


@pytest.mark.parametrize(
    ("labels", "levels"),
    [
        (["a/b", "a/c", "d/e", "d/f"], "/"),
        (["理学 > 物理", "理学 > 化学", "文学 > 诗", "文学 > 小说"], ">"),
        (["a/b", "a/c", "d"], None),
        (["yes/no", "on/off"], None),
    ],
)
def test_labels_of_several_levels_are_seen(labels, levels):
    rows = [{"text": f"text {number}", "label": label} for number in range(5) for label in labels]
    assert guess_task(rows).settings.get("levels") == levels
