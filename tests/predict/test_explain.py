"""Words that moved an answer: found by a model that is known, in English and Chinese, within a bounded number of passes."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tunewright.core import catalog, units
from tunewright.core.errors import UsageError
from tunewright.core.types import Example, Policy, Prediction, Span
from tunewright.predict.explain import CLAIMS, as_given, explain, explain_claims, occlusion
from tunewright.predict.infer import Inferred
from tunewright.testing import materials

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


def test_a_task_that_does_not_say_how_likely_each_of_its_answers_is_is_refused_with_those_that_do():
    class Silent(type(catalog.create("tasks", "token_classification"))):
        claims = None

    with pytest.raises(
        UsageError, match=r"does not say how likely each is.* Tasks that are explained: matching, quest.* triples\."
    ):
        occlusion(Example("1", {"text": "a b"}), Silent())


# ------------------------------------------------------------------------------------------------ answers with places


def made(name, text, labels, keen, **inputs):
    """Explanations by a network whose outputs for a token are what `keen` gives of its word, whether it begins and ends that, and
    of all texts; each with word → contribution."""
    task = catalog.create("tasks", name)
    role = task.located or "text"

    def answers(examples):
        windows = task.encode(examples, materials.processor(max_tokens=64), labels)
        for index, example in enumerate(examples):
            own, read = [one for one in windows if one.example == index], example.inputs[role]
            words = [match.span() for match in re.finditer(r"\S+", read)]
            texts, logits = " ".join(example.inputs.values()).split(), []
            for start, end in np.concatenate([one.offsets for one in own]):
                word = next((place for place in words if place[0] <= start < end <= place[1]), (0, 0))
                logits.append(keen(read[slice(*word)], start == word[0], end == word[1], texts))
            yield Inferred(example, own, np.array(logits)), task.decode(np.array(logits), own, labels, Policy())

    example = Example("1", {**inputs, role: text})
    found = explain_claims(answers, example, task, labels)
    return [
        (one, {example.inputs[part.role][part.start : part.end]: value for part, value in one.contributions})
        for one in found
    ]


def rome(word, begins, ends, texts):
    """O, B-LOC, I-LOC: rome is a place where there is an "in"."""
    return [0.0, (4.0 if "in" in texts else -1.0) if word == "rome" else -9.0, -9.0]


def test_of_an_entity_the_words_around_it_are_left_out_and_its_own_stay():
    [(found, words)] = made("token_classification", "i live in rome now", ["LOC"], rome)
    assert (found.label, found.claim.places) == ("LOC", ((10, 14),))
    sure, unsure = np.exp(4) / (1 + np.exp(4)), np.exp(-1) / (1 + np.exp(-1))
    assert found.score == pytest.approx(sure, abs=1e-3)
    assert set(words) == {"i", "live", "in", "now"}
    assert words["in"] == pytest.approx(sure - unsure, abs=1e-3) and words["i"] == words["live"] == words["now"] == 0


def test_an_entity_is_found_again_where_it_stands_in_the_shorter_text():
    found = made("token_classification", "rome in rome", ["LOC"], rome)
    assert [one.claim.places for one, _ in found] == [((0, 4),), ((8, 12),)]
    assert all(words["in"] > 0.5 and words["rome"] == 0 for _, words in found)


def test_of_a_question_its_own_words_and_those_around_the_answer_are_left_out():
    def keen(word, begins, ends, texts):
        sure = 9.0 if "who" in texts else 0.0
        return [sure if word == "mary" and end else -9.0 for end in (begins, ends)]

    [(found, words)] = made("question_answering", "mary met bob", (), keen, question="who is it")
    assert (found.label, found.claim.places) == (None, ((0, 4),))
    assert set(words) == {"who", "is", "it", "met", "bob"}
    assert words["who"] > 1e-4 and words["met"] == pytest.approx(0, abs=1e-6)


def test_only_what_has_the_label_is_explained_and_another_is_refused_with_those_there_are():
    task, answer = catalog.create("tasks", "token_classification"), Prediction((Span(0, 1, "A", 0.5),), 0.5)
    cut = occlusion(Example("1", {"text": "a b"}), task)
    with pytest.raises(UsageError, match=r"There is no label 'Bb' here\. Did you mean 'B'\? Labels: A, B\."):
        cut.claims([(None, answer)], task, ["A", "B"], "Bb")
    assert cut.claims([(None, answer)] * 3, task, ["A", "B"], "B") == []
    asking = catalog.create("tasks", "question_answering")
    with pytest.raises(UsageError, match="have no labels: leave `label` out"):
        cut.claims([(None, answer)], asking, (), "A")


def test_an_answer_of_very_many_parts_is_refused_and_what_takes_long_is_done_once_a_text(monkeypatch):
    task, asked = catalog.create("tasks", "token_classification"), []
    monkeypatch.setattr(
        units, "chances", lambda logits, windows, labels, found, **more: asked.append(len(found)) or [0.5] * len(found)
    )
    text = " ".join("ab" for _ in range(100))
    spans = tuple(Span(3 * place, 3 * place + 2, "A" if place < CLAIMS else "B", 0.5) for place in range(100))
    cut = occlusion(Example("1", {"text": text}), task, 10)
    answers = [(Inferred(one, (), np.zeros(0)), Prediction(spans, 0.5)) for one in cut.examples]
    with pytest.raises(UsageError, match=r"This answer has 100 parts that are explained one by one: 64 at a time\."):
        cut.claims(answers, task, ["A", "B"])
    found = cut.claims(answers, task, ["A", "B"], "A")
    assert len(found) == CLAIMS and len(asked) == len(cut.examples)
    assert all(len(one.contributions) == 9 for one in found)


def test_places_of_a_marked_text_are_those_of_the_row():
    task = catalog.create("tasks", "relation_extraction")
    for text, head, tail in (("@ a b # c", (2, 3), (8, 9)), ("王明在北京", (0, 2), (3, 5)), ("a b", (0, 3), (2, 3))):
        cells = {"text": text, "head": list(head), "tail": {"start": tail[0], "end": tail[1]}}
        marked, _ = task.read(cells)
        given = as_given(Example("1", marked, columns=cells), task)
        letters = [place for place, sign in enumerate(marked["text"]) if sign.isalnum()]
        assert [text[given(place)] for place in letters] == [sign for sign in text if sign.isalnum()]
    assert as_given(Example("1", {"text": "a"}), TASK)(7) == 7
