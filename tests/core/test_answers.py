"""Exact match and F1 are those of the scripts of SQuAD and of CMRC 2018."""

import numpy as np
import pytest

from tunewright.core.answers import AnswerMeasures, exact_match, f1
from tunewright.core.types import Answer, Prediction


def answer(text):
    return Answer(text, 0, len(text))


def both(gold, said, counting="auto"):
    return exact_match([answer(gold)], answer(said), counting), f1([answer(gold)], answer(said), counting)


@pytest.mark.parametrize(
    ("gold", "said", "exact", "shared"),
    [
        ("the Denver Broncos", "Denver Broncos!", 1, 1),  # articles, punctuation and case do not count
        ("Denver Broncos", "The  broncos", 0, 2 / 3),
        ("136", "5-time 136", 0, 2 / 3),
        ("a b b", "b b c", 0, 0.8),  # "a" is an article
        ("20–18", "20-18", 0, 0),  # the script knows ASCII punctuation only
        ("the", "!", 1, 1),  # nothing is left of either
        ("New York", "Paris", 0, 0),
    ],
)
def test_english_is_counted_as_by_squad(gold, said, exact, shared):
    assert both(gold, said) == both(gold, said, "squad") == (exact, pytest.approx(shared))


@pytest.mark.parametrize(
    ("gold", "said", "exact", "shared"),
    [
        ("光荣和ω-force", "光荣和ωForce", 1, 1),  # the hyphen and letter case do not count
        ("《战国无双3》", "战国无双3", 1, 1),
        ("村雨城", "任天堂游戏谜之村雨城", 0, 2 * 3 / (3 + 10)),
        ("北京和上海", "北京、上海", 0, 2 * 2 / (5 + 4)),  # the longest common stretch, not all that is shared
        ("24 次", "24", 0, 2 / 3),  # a number is one piece
        ("Windows 95系统", "95", 0, 2 / (4 + 1)),
        ("4.5万", "4.5", 0, 2 / 3),
        ("上海", "北京", 0, 0),
    ],
)
def test_chinese_is_counted_as_by_cmrc(gold, said, exact, shared):
    assert both(gold, said) == both(gold, said, "cmrc") == (exact, pytest.approx(shared))


def test_whose_script_counts_can_be_set():
    assert both("the 3 rings", "3 rings", "squad")[0] == 1 and both("the 3 rings", "3 rings", "cmrc")[0] == 0
    assert both("北京 市", "北京 县", "squad")[1] == 0.5 and both("北京 市", "北京 县", "cmrc")[1] == pytest.approx(
        2 / 3
    )


def test_the_best_of_several_right_answers_counts():
    gold = [answer("任天堂游戏谜之村雨城"), answer("村雨城")]
    assert exact_match(gold, answer("村雨城")) == f1(gold, answer("村雨城")) == 1


def test_no_answer_is_right_only_where_there_is_none():
    assert exact_match((), None) == f1((), None) == 1
    assert f1((), answer("x")) == f1([answer("x")], None) == exact_match([answer("x")], None) == 0


def test_measures_are_means_over_known_rows_and_tell_rows_without_answer_apart():
    gold = [(answer("Anna Lee"),), (), (), None]
    said = [Prediction(answer("Anna"), 0.9), Prediction(None, 0.8), Prediction(answer("x"), 0.3), Prediction(None, 1.0)]
    found = AnswerMeasures(no_answer=True).metrics(gold, said, ())
    assert found == {
        "n": 3, "exact_match": pytest.approx(1 / 3), "f1": pytest.approx((2 / 3 + 1) / 3),
        "answerable_f1": pytest.approx(2 / 3), "no_answer_accuracy": 0.5,
    }  # fmt: skip
    assert AnswerMeasures().metrics([], [], ()) == {"n": 0, "exact_match": 0.0, "f1": 0.0}


def test_an_answer_elsewhere_in_the_text_is_right_by_its_words():
    measures = AnswerMeasures()
    assert measures.right((Answer("four", 140, 144),), Answer("Four", 9, 13))
    assert not measures.right((Answer("four", 140, 144),), Answer("five", 140, 144))


def test_a_metric_that_is_no_mean_of_rows_is_measured_anew():
    gold, said = [(answer("a b"),)], [Prediction(answer("b"), 1.0)]
    assert AnswerMeasures().weighed("answerable_f1", gold, said, ()) is None
    assert AnswerMeasures().weighed("f1", gold, said, ())(np.array([[2.0]])) == [1.0]
