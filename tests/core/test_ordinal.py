"""Labels with an order: an answer is as wrong as it is far off."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from tunewright.core.ordinal import KAPPA, OrdinalMeasures, middle
from tunewright.core.types import Prediction

LABELS = ("bad", "fair", "good", "best")
MEASURES = OrdinalMeasures()


def said(*names):
    return [Prediction(name, 1.0, {label: float(label == name) for label in LABELS}) for name in names]


def test_kappa_is_that_of_scikit_learn_and_mae_counts_steps():
    random = np.random.default_rng(0)
    gold, other = (random.integers(0, 4, 50) for _ in range(2))
    names = [[LABELS[place] for place in side] for side in (gold, other)]
    found = MEASURES.metrics([*names[0], None], said(*names[1], "bad"), LABELS)
    assert found[KAPPA] == pytest.approx(cohen_kappa_score(gold, other, weights="quadratic"))
    assert found["mae"] == pytest.approx(np.mean(np.abs(gold - other)))
    assert found["n"] == 50 and found["accuracy"] == np.mean(gold == other)


def test_kappa_is_one_for_right_answers_and_zero_where_nothing_varies():
    assert MEASURES.metrics(LABELS, said(*LABELS), LABELS)[KAPPA] == 1.0
    assert MEASURES.metrics(["bad", "best"], said("bad", "bad"), LABELS)[KAPPA] == pytest.approx(0.0)
    assert MEASURES.metrics(["bad"], said("bad"), LABELS)[KAPPA] == MEASURES.metrics([], [], LABELS)[KAPPA] == 0.0


def test_a_far_miss_is_worse_than_a_near_one():
    qualities = [MEASURES.quality("bad", one) for one in said(*LABELS)]
    assert qualities == [0.0, -1.0, -2.0, -3.0]
    near, far = (MEASURES.metrics(["bad", "best"], said(one, "best"), LABELS) for one in ("fair", "good"))
    assert near[KAPPA] > far[KAPPA] and near["mae"] < far["mae"] and near["accuracy"] == far["accuracy"]


def test_weighed_rows_measure_as_repeated_ones():
    random = np.random.default_rng(0)
    gold, other = ([str(name) for name in random.choice(LABELS, 30)] for _ in range(2))
    weights = random.integers(0, 3, size=(5, 30))
    found = MEASURES.weighed(KAPPA, gold, said(*other), LABELS)(weights.astype(float))
    for counts, value in zip(weights, found, strict=True):
        rows = np.repeat(np.arange(30), counts)
        repeated = MEASURES.metrics([gold[i] for i in rows], said(*(other[i] for i in rows)), LABELS)
        assert value == pytest.approx(repeated[KAPPA])


def test_the_label_in_the_middle_is_the_one_of_least_expected_distance():
    for shares in np.random.default_rng(1).dirichlet(np.full(5, 0.5), size=200):
        expected = [np.sum(shares * np.abs(np.arange(5) - place)) for place in range(5)]
        assert middle(shares) == int(np.argmin(expected))
    assert middle(np.array([0.4, 0.15, 0.45])) == 1  # between likely ends, though they are likelier
