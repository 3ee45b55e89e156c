"""How much of a search's gain is luck."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from tunewright.core.classes import ClassMeasures
from tunewright.core.types import Prediction
from tunewright.stages import gain

ROWS, TRIALS, SEARCHES = 150, 10, 40
LABELS = ("right", "wrong")


def said(right):
    """Answers that are right where `right` is 1; the label of every row is "right"."""
    return [Prediction(LABELS[0] if hit else LABELS[1], 1.0, {}, "model", 0) for hit in right]


def searched(draw, better):
    """(trials, rows): where each of many trials is right, most of them on the same rows. All are as good, 80%, but for
    trial 1, which is better by `better`."""
    shares = np.full(TRIALS, 0.8)
    shares[1] += better
    limits = np.array([NormalDist().inv_cdf(share) for share in shares])
    skill = np.sqrt(0.8) * draw.normal(size=ROWS) + np.sqrt(0.2) * draw.normal(size=(TRIALS, ROWS))
    return (skill < limits[:, None]).astype(float)


def corrected(right):
    """The gain of the best trial over the first, and what it seems to be on the rows it was chosen by."""
    gold = ["right"] * ROWS
    trials = [gain.resampled(ClassMeasures(), "accuracy", gold, said(own), LABELS, seed=0) for own in right]
    best = int(np.argmax(right.mean(axis=1)))
    return gain.corrected(0, best, trials, "accuracy"), right[best].mean() - right[0].mean()


@pytest.fixture(scope="module")
def searches():
    """better → (gains found, gains as they seem) of many searches."""
    draw = np.random.default_rng(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gain, "RESAMPLES", 120)  # enough for shares of searches, and quick
        return {better: [corrected(searched(draw, better)) for _ in range(SEARCHES)] for better in (0.0, 0.15)}


def test_where_there_is_nothing_to_find_luck_is_not_called_a_gain(searches):
    found = [one.low > 0 for one, _ in searches[0.0]]
    assert np.mean(found) <= 0.05
    assert np.mean([seeming for _, seeming in searches[0.0]]) > 0.02, "the best of many looks better than it is"
    assert abs(np.mean([one.value for one, _ in searches[0.0]])) < 0.01


def test_a_true_gain_is_found_and_about_as_large_as_it_is(searches):
    assert np.mean([one.low > 0 for one, _ in searches[0.15]]) > 0.9
    assert np.mean([one.value for one, _ in searches[0.15]]) == pytest.approx(0.15, abs=0.02)


def test_the_same_rows_are_drawn_for_every_trial_and_others_are_left_out():
    right = searched(np.random.default_rng(1), 0.0)[0]
    gold = ["right"] * ROWS
    inside, outside = gain.resampled(ClassMeasures(), "accuracy", gold, said(right), LABELS, seed=3)
    again = gain.resampled(ClassMeasures(), "accuracy", gold, said(right), LABELS, seed=3)
    assert len(inside) == len(outside) == gain.RESAMPLES
    assert (again == (inside, outside)).all()
    everywhere = gain.resampled(ClassMeasures(), "accuracy", gold, said(np.ones(ROWS)), LABELS, seed=3)
    assert (everywhere == 1).all()
    assert inside.mean() == pytest.approx(right.mean(), abs=0.01)
    assert outside.mean() == pytest.approx(right.mean(), abs=0.01)
    assert np.corrcoef(inside, outside)[0, 1] < -0.5, "what a resample has often, the rows it leaves out lack"


def test_of_few_rows_or_a_metric_that_cannot_weigh_them_nothing_is_said():
    few = ["right"] * (gain.LEAST_ROWS - 1)
    assert gain.resampled(ClassMeasures(), "accuracy", few, said(np.ones(len(few))), LABELS, seed=0) is None
    gold = ["right"] * ROWS
    assert gain.resampled(ClassMeasures(), "ece", gold, said(np.ones(ROWS)), LABELS, seed=0) is None
