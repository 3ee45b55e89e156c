"""Columns and tasks are guessed from names and contents, in English and in Chinese, and the guess has a reason."""

from __future__ import annotations

import pytest

from tunewright.components.tasks.text_classification import TextClassification
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
