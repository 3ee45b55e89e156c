"""Measures agree with scikit-learn, and with counting by hand, on anything."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from tunewright.core import measures
from tunewright.core.errors import LabelError

LABELS = ("bird", "cat", "dog", "猫")
pairs = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60)
sets = st.lists(st.tuples(*[st.tuples(st.booleans(), st.booleans())] * 4), min_size=1, max_size=30)


@given(pairs)
@settings(deadline=None)
@pytest.mark.filterwarnings("ignore")
def test_single_label_measures_agree_with_scikit_learn(rows):
    gold, said = np.array(rows).T
    found = measures.classification(gold, said, LABELS)
    assert found["n"] == len(rows)
    assert found["accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(gold, said))
    assert found["macro_f1"] == pytest.approx(sklearn_metrics.f1_score(gold, said, average="macro", zero_division=0))
    assert found["micro_f1"] == pytest.approx(sklearn_metrics.f1_score(gold, said, average="micro", zero_division=0))
    assert found["mcc"] == pytest.approx(sklearn_metrics.matthews_corrcoef(gold, said), abs=1e-9)
    assert found["confusion"] == sklearn_metrics.confusion_matrix(gold, said, labels=range(4)).tolist()
    table = sklearn_metrics.precision_recall_fscore_support(gold, said, labels=range(4), zero_division=0)
    for index, label in enumerate(LABELS):
        assert list(found["per_class"][label].values()) == pytest.approx([column[index] for column in table])


@given(sets)
@settings(deadline=None)
@pytest.mark.filterwarnings("ignore")
def test_multi_label_measures_agree_with_scikit_learn(rows):
    gold, said = np.moveaxis(np.array(rows, dtype=int), 2, 0)
    found = measures.multi_label(gold, said, LABELS)
    used = np.flatnonzero((gold + said).sum(axis=0))
    assert found["accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(gold, said))
    assert found["micro_f1"] == pytest.approx(sklearn_metrics.f1_score(gold, said, average="micro", zero_division=0))
    macro = sklearn_metrics.f1_score(gold, said, average=None, zero_division=0)[used].mean() if len(used) else 0
    assert found["macro_f1"] == pytest.approx(macro)
    table = sklearn_metrics.precision_recall_fscore_support(gold, said, zero_division=0)
    for index, label in enumerate(LABELS):
        assert list(found["per_class"][label].values()) == pytest.approx([column[index] for column in table])


@given(pairs, st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=50)
def test_a_weighted_count_equals_the_count_of_repeated_rows(rows, seed):
    gold, said = np.array(rows).T
    weights = np.random.default_rng(seed).integers(0, 4, size=(3, len(rows)))
    counts = measures.count(gold, said, 4, weights)
    for index, row in enumerate(weights):
        plain = measures.count(np.repeat(gold, row), np.repeat(said, row), 4)
        for name, metric in measures.COUNT_METRICS.items():
            assert metric(counts)[index] == pytest.approx(float(metric(plain))), name


def test_calibration_error_is_the_weighted_gap_between_confidence_and_accuracy():
    confidence = np.array([0.95, 0.95, 0.95, 0.95, 0.5])
    correct = np.array([True, True, True, False, True])
    assert measures.ece(confidence, correct) == pytest.approx((4 * 0.2 + 1 * 0.5) / 5)
    low, high = measures.reliability(confidence, correct)
    assert (low["n"], high["n"]) == (1, 4)
    assert high["accuracy"] == pytest.approx(0.75)
    assert low["low"] < 0.5 <= low["high"]


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=50))
def test_reliability_bins_hold_every_row_once_and_their_own_confidences(rows):
    confidence, correct = np.array([c for c, _ in rows]), np.array([k for _, k in rows])
    bins = measures.reliability(confidence, correct)
    assert sum(entry["n"] for entry in bins) == len(rows)
    assert all(entry["low"] - 1e-9 <= entry["confidence"] <= entry["high"] + 1e-9 for entry in bins)
    assert 0 <= measures.ece(confidence, correct) <= 1


def test_the_confidence_of_a_row_is_the_score_of_its_answer():
    scores = np.array([[0.2, 0.8], [0.6, 0.4]])
    found = measures.classification(np.array([1, 1]), np.array([1, 0]), ("no", "yes"), scores)
    assert found["ece"] == pytest.approx((0.2 + 0.6) / 2)


def test_confusion_pairs_are_the_most_frequent_mistakes_first():
    gold, said = np.array([0, 0, 0, 1, 2, 2]), np.array([1, 1, 0, 1, 3, 2])
    assert measures.classification(gold, said, LABELS)["confusion_pairs"] == [
        {"gold": "bird", "predicted": "cat", "n": 2},
        {"gold": "dog", "predicted": "猫", "n": 1},
    ]


def test_a_confusion_table_of_very_many_labels_is_left_out_but_its_pairs_are_kept():
    labels = [f"label {index}" for index in range(measures.MOST_LABELS + 1)]
    found = measures.classification(np.array([0, 1]), np.array([0, 2]), labels)
    assert found["confusion"] is None
    assert found["confusion_pairs"] == [{"gold": "label 1", "predicted": "label 2", "n": 1}]


def test_no_rows_measure_nothing_without_an_error():
    assert measures.classification(np.array([], int), np.array([], int), LABELS, np.zeros((0, 4)))["accuracy"] == 0


def test_an_unknown_label_is_named_with_its_place_and_the_nearest_one():
    with pytest.raises(
        LabelError, match=r"train\.csv:7: label 'brid' is not among the labels .* mean 'bird'\?.*data\."
    ):
        measures.encode_labels(["cat", "brid"], LABELS, ["train.csv:6", "train.csv:7"])


def test_names_become_indices_and_tuples_become_zeros_and_ones():
    assert measures.encode_labels(["猫", "bird"], LABELS).tolist() == [3, 0]
    assert measures.encode_labels([("cat", "猫"), ()], LABELS).tolist() == [[0, 1, 0, 1], [0, 0, 0, 0]]


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "micro_f1", "mcc"])
def test_weighed_rows_of_labels_measure_as_repeated_ones(metric):
    from tunewright.core.classes import ClassMeasures
    from tunewright.core.types import Prediction

    random, labels = np.random.default_rng(1), ("a", "b", "c")
    gold, said = random.choice(labels, 40), random.choice(labels, 40)
    answers = [Prediction(label, 1.0, {}, "model", 0) for label in said]
    weights = random.integers(0, 4, size=(20, 40))
    found = ClassMeasures().weighed(metric, list(gold), answers, labels)(weights.astype(float))
    for counts, value in zip(weights, found, strict=True):
        rows = np.repeat(np.arange(40), counts)
        true, given = (np.array([labels.index(one) for one in side[rows]]) for side in (gold, said))
        assert value == pytest.approx(measures.classification(true, given, labels)[metric])
