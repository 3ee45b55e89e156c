"""Answers in cells are the same in every usual form; what does not stand in the context is refused with where."""

import numpy as np
import pytest

from tunewright.core.errors import LabelError
from tunewright.core.types import Answer
from tunewright.data.answers import answers_in
from tunewright.data.places import located

CONTEXT = "😀 王明 met Anna in 1990."


def found(cell, context=CONTEXT):
    return answers_in(cell, located(context))


@pytest.mark.parametrize(
    "cell",
    [
        "王明",
        ["王明"],
        {"text": "王明"},
        {"text": "王明", "start": 2},
        {"start": 2, "end": 4},
        [[2, 4]],
        [{"text": "王明", "answer_start": 2}],
        [{"text": "王明", "start": 2, "end": 4}, "王明"],
        {"text": ["王明"], "answer_start": [2]},
        {"text": np.array(["王明"]).tolist(), "answer_start": np.array([2]).tolist()},
        '[{"text": "王明", "answer_start": 2}]',
        '["王明"]',
        " 王明\n",
    ],
)
def test_an_answer_is_the_same_however_it_is_written(cell):
    assert found(cell) == (Answer("王明", 2, 4),)


def test_several_answers_keep_their_order_and_a_number_is_a_text():
    assert found(["Anna", 1990]) == (Answer("Anna", 9, 13), Answer("1990", 17, 21))


def test_a_text_without_a_place_is_taken_where_it_first_stands():
    assert found("n") == (Answer("n", 10, 11),)


def test_a_bracket_may_be_the_answer():
    assert found("[1]", "see [1] and [2]") == (Answer("[1]", 4, 7),)


def test_places_in_a_list_of_words_count_words():
    assert found([{"start": 1, "end": 3}], ["we", "met", "Anna"]) == (Answer("met Anna", 3, 11),)


@pytest.mark.parametrize("cell", [[], "[]", {"text": [], "answer_start": []}, [{"text": ""}], {"text": ""}])
def test_an_empty_list_says_that_there_is_none(cell):
    assert found(cell) == ()


@pytest.mark.parametrize("cell", [None, "", "  ", float("nan")])
def test_an_empty_cell_says_nothing(cell):
    assert found(cell) is None


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("Bob", r"The answer 'Bob' does not stand in the context\. An answer is a stretch of the context"),
        ("anna", r"'anna' does not stand in the context\. In other letter case it does"),
        (
            {"text": "Anna", "start": 7},
            r"An answer says that its text is 'Anna', and .* stands there.* It does stand at 9\.",
        ),
        ({"text": "Anna", "start": 40}, r"An answer goes from character 40 to 44, and the text has 22.* stand at 9"),
        ({"text": "Anna", "answer_start": -1}, r"from character -1 to 3"),
        ({"start": 4, "end": 4}, r"from character 4 to 4"),
        ({"text": "Anna", "start": "9"}, r"whole numbers"),
        ({"text": ["Anna", "in"], "answer_start": [9]}, r"Each answer needs a text and a start; .* differ in length"),
        ({"no": "label"}, r"An answer has a start and an end"),
        ("[broken", r"no JSON, and do not stand in the context"),
        (True, r"An answer has a start and an end"),
    ],
)
def test_what_is_no_answer_of_the_context_is_refused_with_why(cell, message):
    with pytest.raises(LabelError, match=message):
        found(cell)
