"""Words that moved an answer: found by a model that is known, in English and Chinese, within a bounded number of passes."""

from __future__ import annotations

import pytest

from tunewright.core import catalog
from tunewright.core.errors import UsageError
from tunewright.core.types import Example, Prediction
from tunewright.predict.explain import explain, occlusion

TASK = catalog.create("tasks", "text_classification")
PAIR = catalog.create("tasks", "sentence_pair")
NUMBER = catalog.create("tasks", {"name": "sentence_pair", "regression": True})


def keen(examples):
    """Each of two words adds to "good", one takes from it."""
    found = []
    for example in examples:
        text = " ".join(str(value) for value in example.inputs.values())
        score = 0.5 + 0.3 * ("fine" in text or "好" in text) + 0.1 * ("very" in text) - 0.2 * ("but" in text)
        found.append(Prediction("good", score, {"good": score, "bad": 1 - score}))
    return found


def said(text, **asked):
    found = explain(keen, Example("1", {"text": text}), TASK, **asked)
    return found, {text[part.start : part.end]: round(value, 6) for part, value in found.contributions}


def test_each_words_contribution_is_what_the_score_loses_without_it():
    found, words = said("a very fine, film; but 12.5 long")
    assert (found.label, found.measure, round(found.score, 6)) == ("good", "probability", 0.7)
    assert words == {"a": 0, "very": 0.1, "fine": 0.3, "film": 0, "but": -0.2, "12.5": 0, "long": 0}
    other, against = said("a very fine film", label="bad")
    assert other.label == "bad" and against["fine"] == -0.3


def test_where_the_model_is_sure_anyhow_log_odds_tell_words_apart():
    def sure(examples):
        scores = [1 - 1e-7 if "fine" in one.inputs["text"] else 1 - 1e-4 for one in examples]
        return [Prediction("good", score, {"good": score, "bad": 1 - score}) for score in scores]

    found = explain(sure, Example("1", {"text": "a fine film"}), TASK)
    assert max(abs(value) for _, value in found.contributions) < 1e-3
    assert found.log_odds == pytest.approx([0, 6.9077, 0], abs=1e-3)


def test_a_sign_for_something_masked_is_one_word():
    _, words = said("call [PHONE] or [ID_CARD]")
    assert set(words) == {"call", "[PHONE]", "or", "[ID_CARD]"}


def test_chinese_is_cut_into_words_and_places_are_characters_of_the_text(monkeypatch):
    _, words = said("😀 这家店很好 fine")
    assert words["fine"] == 0 and any("好" in word for word in words)  # each is enough without the other
    from tunewright.core.errors import MachineError
    from tunewright.data import words as cutting

    def absent():
        raise MachineError("rjieba")

    monkeypatch.setattr(cutting, "jieba", absent)
    _, single = said("这家店很好")
    assert single == {"这": 0, "家": 0, "店": 0, "很": 0, "好": 0.3}


@pytest.mark.parametrize("most", [1, 3, 7, 64])
def test_no_more_passes_than_asked_and_no_word_left_out(most):
    text = " ".join(f"w{n}" for n in range(50))
    found = occlusion(Example("1", {"text": text}), TASK, most)
    assert len(found.parts) <= most and len(found.examples) == len(found.parts) + 1
    assert " ".join(text[part.start : part.end] for part in found.parts) == text


def test_of_a_pair_both_texts_are_explained_apart():
    found = explain(keen, Example("1", {"text_a": "so fine", "text_b": "but old"}), PAIR)
    assert {(part.role, round(value, 6)) for part, value in found.contributions if value} == {
        ("text_a", 0.3),
        ("text_b", -0.2),
    }
    pair = Example("1", {"text_a": "a " * 100, "text_b": "b " * 100})
    assert len(occlusion(pair, PAIR, 10).parts) <= 10


def test_a_numbers_contributions_are_in_its_own_unit():
    found = explain(
        lambda examples: [Prediction(float(len(" ".join(one.inputs.values()).split())), 1.0) for one in examples],
        Example("1", {"text_a": "a b", "text_b": "c"}),
        NUMBER,
    )
    assert (found.label, found.score, found.measure) == (None, 3.0, "value")
    assert [value for _, value in found.contributions] == [1.0, 1.0, 1.0]
    with pytest.raises(UsageError, match="has no labels"):
        explain(
            lambda examples: [Prediction(1.0, 1.0) for _ in examples],
            Example("1", {"text_a": "a", "text_b": "b"}),
            NUMBER,
            label="x",
        )


def test_what_has_no_word_has_no_contributions_and_a_label_it_does_not_give_is_said():
    assert said("…!?")[1] == {}
    with pytest.raises(UsageError, match=r"There is no label 'godo' here. Did you mean 'good'\? Labels: good, bad."):
        said("a", label="godo")


@pytest.mark.parametrize("name", ["token_classification", "question_answering", "relation_extraction", "triples"])
def test_answers_with_places_are_not_explained_this_way(name):
    task = catalog.create("tasks", name)
    with pytest.raises(UsageError, match="one answer a text"):
        occlusion(Example("1", dict.fromkeys(task.inputs, "a b")), task)
