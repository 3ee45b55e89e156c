"""Baselines learn what can be learned without tuning, and never see the test labels."""

import re

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression, Ridge

from tunewright.core import catalog
from tunewright.core.contracts import Given
from tunewright.core.errors import RecipeError
from tunewright.core.linear import PATH, fit_linear, fit_ridge
from tunewright.core.types import Example

TASK = catalog.create("tasks", "text_classification")
SEVERAL = catalog.create("tasks", {"name": "text_classification", "multi_label": True})
NAMES = ("majority", "tfidf", "linear_probe")


def examples(texts, labels):
    return [
        Example(f"row {row}", {"text": text}, label)
        for row, (text, label) in enumerate(zip(texts, labels, strict=True))
    ]


def unlabelled(rows):
    return [Example(row.id, row.inputs) for row in rows]


def embed(rows):
    """Features that show whether a text praises, on very different scales."""
    praise = np.array([sum(word in row.inputs["text"] for word in ("good", "fine", "好", "棒")) for row in rows], float)
    return np.stack([praise * 100 + 7, 0.001 * np.cos(np.arange(len(rows))), np.full(len(rows), 3.0)], axis=1)


def predict(name, train, validation, test, labels, task=TASK):
    baseline = catalog.create("baselines", name)
    return baseline.predict(Given(task, train, validation, unlabelled(test), labels, embed, seed=13))


ENGLISH = (
    ["a good film", "fine and good", "good fun", "so bad", "a dull bore", "bad and dull"] * 3,
    ["+"] * 3 + ["-"] * 3,
)
CHINESE = (["这家店很好", "真棒", "好吃又便宜", "太差了", "难吃", "又贵又差"] * 3, ["+"] * 3 + ["-"] * 3)


@pytest.mark.parametrize(("texts", "labels"), [ENGLISH, CHINESE])
@pytest.mark.parametrize("name", ["tfidf", "linear_probe"])
def test_what_words_show_is_learned_in_english_and_chinese(name, texts, labels):
    rows = examples(texts, labels * 3)
    found = predict(name, rows, rows, rows, ("+", "-"))
    assert [prediction.value for prediction in found] == labels * 3
    assert all(sum(prediction.scores.values()) == pytest.approx(1) for prediction in found)


@pytest.mark.parametrize("name", NAMES)
def test_a_baseline_says_the_same_when_it_is_run_again(name):
    rows = examples(ENGLISH[0], ENGLISH[1] * 3)
    assert predict(name, rows, rows, rows, ("+", "-")) == predict(name, rows, rows, rows, ("+", "-"))


@pytest.mark.parametrize("name", NAMES)
def test_rows_without_label_labels_without_rows_and_no_validation_are_no_problem(name):
    rows = examples([*ENGLISH[0], "who knows"], [*ENGLISH[1] * 3, None])
    found = predict(name, rows, [], rows[:2], ("+", "-", "never"))
    assert len(found) == 2
    assert all(prediction.scores["never"] < 1e-3 for prediction in found)


@pytest.mark.parametrize("name", NAMES)
def test_one_label_only_is_always_answered(name):
    rows = examples(["good", "bad", "fine"], ["+"] * 3)
    assert {prediction.value for prediction in predict(name, rows, rows, rows, ("+",))} == {"+"}


@pytest.mark.parametrize("texts", [["!!!", "?", "😀"], [chr(0x4E00 + row) for row in range(1200)]])
def test_texts_without_words_or_without_any_word_in_common_are_no_problem_for_tfidf(texts):
    rows = examples(texts, ["+", *["-"] * (len(texts) - 1)])
    assert len(predict("tfidf", rows, rows[:3], rows[:3], ("+", "-"))) == 3


def test_the_majority_gives_every_row_the_most_frequent_label_with_its_share():
    rows = examples("abcde", ["+", "-", "-", "-", "o"])
    found = predict("majority", rows, rows, rows, ("+", "-", "o"))
    assert len(found) == 5
    assert (found[0].value, found[0].score) == ("-", pytest.approx(0.6))
    assert found[0].scores == pytest.approx({"+": 0.2, "-": 0.6, "o": 0.2})


def test_the_majority_of_several_labels_is_the_constant_set_of_best_micro_f1():
    rows = examples("abcdefghij", [("x", "y")] * 5 + [("x",)] * 4 + [("z",)])
    found = predict("majority", rows, rows, rows, ("x", "y", "z"), SEVERAL)
    assert found[0].value == ("x", "y")
    assert found[0].scores == pytest.approx({"x": 0.9, "y": 0.5, "z": 0.1})


@pytest.mark.parametrize("name", ["tfidf", "linear_probe"])
def test_several_labels_a_row_get_thresholds_of_their_own(name):
    rows = examples(["good 好", "good film", "dull"] * 8, [("praise",), ("praise",), ()] * 8)
    found = predict(name, rows, rows, rows, ("praise",), SEVERAL)
    assert [prediction.value for prediction in found] == [("praise",), ("praise",), ()] * 8


# The linear fit they share with the trainer


def cloud(rng, rows, labels, features=20):
    gold = rng.integers(labels, size=rows)
    centres = np.random.default_rng(99).normal(size=(labels, features))
    return (centres[gold] * 0.6 + rng.normal(size=(rows, features))) * 10.0 ** np.linspace(-3, 3, features), gold


@pytest.mark.parametrize("labels", [2, 6])
@pytest.mark.parametrize("C", [0.01, 1.0])
def test_the_fit_is_that_of_scikit_learn(labels, C):
    rng = np.random.default_rng(0)
    features, gold = cloud(rng, 600, labels)
    unseen, unseen_gold = cloud(rng, 300, labels)
    fit = fit_linear(features, gold, unseen, unseen_gold, labels=labels, path=(C,))
    mean, scale = features.mean(axis=0), features.std(axis=0)
    # Two labels: two symmetric rows of weights are penalised half as much as scikit-learn's single row.
    theirs = LogisticRegression(C=C * (2 if labels == 2 else 1), max_iter=5000, tol=1e-8)
    theirs.fit((features - mean) / scale, gold)
    ours = np.exp(fit.logits(unseen) - fit.logits(unseen).max(axis=1, keepdims=True))
    ours /= ours.sum(axis=1, keepdims=True)
    assert np.abs(ours - theirs.predict_proba((unseen - mean) / scale)).max() < 0.02
    assert fit.weight.shape == (labels, 20)
    assert fit.weight.dtype == np.float32
    assert fit.score == pytest.approx(theirs.score((unseen - mean) / scale, unseen_gold), abs=0.01)


def test_the_fit_of_several_labels_is_one_logistic_regression_for_each():
    rng = np.random.default_rng(1)
    features = rng.normal(size=(500, 8))
    gold = (features[:, :3] + rng.normal(size=(500, 3)) > [0.0, 1.0, -0.5]).astype(float)
    fit = fit_linear(features, gold, features, gold, labels=3, path=(1.0,))
    scaled = (features - features.mean(axis=0)) / features.std(axis=0)
    for label in range(3):
        theirs = LogisticRegression(C=1.0, max_iter=5000).fit(scaled, gold[:, label])
        assert (
            np.abs(1 / (1 + np.exp(-fit.logits(features)[:, label])) - theirs.predict_proba(scaled)[:, 1]).max() < 0.02
        )


def test_sparse_features_give_the_same_fit_as_dense_ones_of_that_scale():
    rng = np.random.default_rng(2)
    features, gold = cloud(rng, 300, 3)
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    dense, sparse = (
        fit_linear(kind(features), gold, kind(features), gold, labels=3, path=(0.1,))
        for kind in (np.asarray, csr_matrix)
    )
    assert np.abs(dense.weight - sparse.weight).max() < 0.01


def test_the_penalty_is_chosen_on_validation():
    rng = np.random.default_rng(3)
    features, gold = cloud(rng, 60, 2, features=200)
    unseen, unseen_gold = cloud(rng, 500, 2, features=200)
    chosen = fit_linear(features, gold, unseen, unseen_gold, labels=2)
    alone = [fit_linear(features, gold, unseen, unseen_gold, labels=2, path=(C,)).score for C in (0.001, 0.1, 10.0)]
    assert chosen.score >= max(alone) - 0.01


def test_a_label_without_training_rows_gets_no_weight_and_is_never_likely():
    features, gold = cloud(np.random.default_rng(4), 100, 2)
    fit = fit_linear(features, gold * 2, features, gold * 2, labels=4)
    assert (fit.weight[[1, 3]] == 0).all()
    assert set(fit.logits(features).argmax(axis=1)) == {0, 2}


def test_a_feature_that_never_changes_gets_no_weight():
    features, gold = cloud(np.random.default_rng(5), 200, 2)
    features[:, 3] = 12345.678
    fit = fit_linear(features, gold, features, gold, labels=2)
    assert np.abs(fit.weight[:, 3]).max() < 1e-6
    assert np.isfinite(fit.logits(features)).all()


# Numbers


def test_ridge_is_that_of_scikit_learn_and_its_penalty_is_chosen_on_validation():
    rng = np.random.default_rng(6)
    features = rng.normal(size=(80, 30)) * rng.uniform(0.1, 50, size=30) + 3
    gold = features @ rng.normal(size=30) / 20 + rng.normal(size=80)
    fit = fit_ridge(features, gold, features[:0], gold[:0], path=(0.5,))
    scaled = (features - features.mean(axis=0)) / features.std(axis=0)
    expected = Ridge(alpha=2.0).fit(scaled, gold).predict(scaled)
    np.testing.assert_allclose(fit.logits(features)[:, 0], expected, rtol=1e-3, atol=1e-3)
    unseen = rng.normal(size=(300, 30)) * 10 + 3
    truth = unseen @ np.ones(30)
    chosen = fit_ridge(features, gold, unseen, truth)
    assert chosen.score == max(fit_ridge(features, gold, unseen, truth, path=(C,)).score for C in PATH)


# Entities and pairs

ENTITIES = catalog.create("tasks", "token_classification")
PAIRS = catalog.create("tasks", "sentence_pair")
SCORES = catalog.create("tasks", {"name": "sentence_pair", "regression": True})


def marked(*rows):
    """Examples from texts in which [entity|LABEL] stands for an entity."""
    made = []
    for number, row in enumerate(rows):
        text, spans = "", []
        for part in re.split(r"(\[[^\]]+\])", row):
            word, _, label = part.strip("[]").partition("|") if part.startswith("[") else (part, "", "")
            if label:
                spans.append([len(text), len(text) + len(word), label])
            text += word
        made.append(Example(f"row {number}", *ENTITIES.read({"text": text, "spans": spans})))
    return made


def entities(train, test, **settings):
    baseline = catalog.create("baselines", {"name": "dictionary", **settings})
    found = baseline.predict(Given(ENTITIES, train, train, unlabelled(test), ("LOC", "PER"), embed, seed=13))
    return [[(e.inputs["text"][s.start : s.end], s.label) for s in p.value] for e, p in zip(test, found, strict=True)]


def test_the_dictionary_marks_the_longest_entity_it_knows_in_both_languages():
    train = marked("[New York|LOC] is not [York|LOC]", "[王明|PER]在[北京|LOC]", "[Anna|PER] left")
    test = marked("anna and Anna saw New York, then York", "王明不在北京")
    assert entities(train, test) == [
        [("Anna", "PER"), ("New York", "LOC"), ("York", "LOC")],
        [("王明", "PER"), ("北京", "LOC")],
    ]


def test_what_is_seldom_an_entity_where_it_occurs_is_left_out_where_validation_says_so():
    train = marked("[May|PER] left", *["it rained in May"] * 5, *["[Anna|PER] left"] * 3)
    assert entities(train, marked("May saw Anna")) == [[("Anna", "PER")]]
    assert entities(train, marked("May saw Anna"), least_share=0.0) == [[("May", "PER"), ("Anna", "PER")]]


@pytest.mark.parametrize(
    ("alike", "other"),
    [
        ("the film was good | the good film", "the film was good | a red car"),
        ("这家店很好 | 这店好", "这家店很好 | 去北京"),
    ],
)
def test_overlap_tells_texts_that_share_words_from_those_that_do_not(alike, other):
    cells = [(number % 2, (other, alike)[number % 2].split(" | ")) for number in range(20)]
    rows = [
        Example(f"row {n}", *PAIRS.read({"text_a": one, "text_b": two, "label": label}))
        for n, (label, (one, two)) in enumerate(cells)
    ]
    found = catalog.create("baselines", "overlap").predict(
        Given(PAIRS, rows, rows, unlabelled(rows), ("0", "1"), embed, seed=13)
    )
    assert [prediction.value for prediction in found] == [row.label for row in rows]


def test_cosine_tells_alike_by_features_of_each_text_alone():
    asked = []

    def directions(part):
        asked.extend(part)
        angles = [len(text) for example in part for text in example.inputs.values()]
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)

    cells = [(number % 2, "a" * (1 + number // 2), "b" * (2 + number // 2 + 2 * (number % 2))) for number in range(8)]
    rows = [
        Example(f"row {n}", *PAIRS.read({"text_a": one, "text_b": two, "label": label}))
        for n, (label, one, two) in enumerate(cells)
    ]
    given = Given(PAIRS, rows, [], unlabelled(rows), ("0", "1"), directions, seed=13)
    found = catalog.create("baselines", "cosine").predict(given)
    assert [prediction.value for prediction in found] == [row.label for row in rows]
    assert all(len(example.inputs) == 1 for example in asked) and len({example.id for example in asked}) == 16


def test_overlap_and_probe_give_numbers_where_numbers_are_asked_for():
    words = ["a", "good", "film", "with", "music", "and", "food", "for", "all"]
    rows = [
        Example(
            f"row {n}",
            *SCORES.read({"text_a": " ".join(words), "text_b": " ".join(words[: 1 + n % 9]), "label": n % 9}),
        )
        for n in range(36)
    ]
    for name, features in (
        ("overlap", None),
        ("linear_probe", lambda part: np.array([[e.inputs["text_b"].count(" ")] for e in part])),
    ):
        given = Given(SCORES, rows, rows, unlabelled(rows), (), features, seed=13)
        assert catalog.create("baselines", name).suits(SCORES)
        found = catalog.create("baselines", name).predict(given)
        assert SCORES.measures.metrics([row.label for row in rows], found, ())["spearman"] > 0.9
    assert not catalog.create("baselines", "majority").suits(SCORES)


def test_by_parts_answers_intents_and_slots_as_their_own_baselines_do():
    frames = catalog.create("tasks", "slot_filling")
    cells = [("fly to Rome", "go", "Rome"), ("play Hello", "music", "Hello")] * 6
    train = [
        Example(f"row {n}", *frames.read({"text": text, "intent": intent, "slots": {"name": slot}}))
        for n, (text, intent, slot) in enumerate(cells)
    ]
    test = [Example("new", {"text": "please play Rome"})]
    given = Given(frames, train, train, test, ("#go", "#music", "name"), embed, seed=13)
    [said] = catalog.create("baselines", "by_parts").predict(given)
    assert (said.value.intent, texts(said.value.slots, "please play Rome")) == ("music", ["Rome"])
    assert said.scores.keys() == {"go", "music"} and said.score <= max(said.scores.values())


def test_by_parts_says_which_part_it_has_no_baseline_for():
    frames = catalog.create("tasks", "slot_filling")
    row = Example("row 1", *frames.read({"text": "to Rome", "intent": "go", "slots": {"name": "Rome"}}))
    given = Given(frames, [row], [row], [row], ("#go", "name"), embed, seed=13)
    made = catalog.create("baselines", {"name": "by_parts", "baselines": ("majority",)})
    with pytest.raises(RecipeError, match=r"none for token_classification among majority\. Add one of dictionary"):
        made.predict(given)
    assert made.suits(frames) and not made.suits(ENTITIES)


def texts(spans, text):
    return [text[span.start : span.end] for span in spans]
