"""Paired intervals are right: they rarely claim a gain that is none, and find one that is there."""

import numpy as np
import pytest

from tunewright.core import measures, statistics

SIMULATIONS = 200
ROWS = 1000


def outcomes(rng, *, accuracy, gain, apart):
    """Gold, and two models' answers: right with probability `accuracy` and `accuracy + gain`; on a share `apart` of the
    rows exactly one of them is right."""
    both = accuracy - (apart - gain) / 2
    cell = rng.choice(4, size=ROWS, p=[both, (apart - gain) / 2, (apart + gain) / 2, 1 - accuracy - (apart + gain) / 2])
    return np.ones(ROWS, dtype=int), np.isin(cell, [0, 1]).astype(int), np.isin(cell, [0, 2]).astype(int)


def share_better(**world):
    rng = np.random.default_rng(2024)
    better = 0
    for seed in range(SIMULATIONS):
        gold, a, b = outcomes(rng, **world)
        found = statistics.difference(gold, a, b, "accuracy", 2, resamples=1000, seed=seed)
        better += found.low > 0 and np.sum(a != b) >= statistics.least_disagreements()
    return better / SIMULATIONS


@pytest.mark.parametrize("apart", [0.004, 0.01, 0.05, 0.1, 0.25])
def test_of_equal_models_at_most_one_in_twenty_is_called_better(apart):
    assert share_better(accuracy=0.85, gain=0.0, apart=apart) <= 0.05


@pytest.mark.parametrize("apart", [0.05, 0.08, 0.1])
def test_a_true_gain_of_three_points_on_1000_rows_is_found_in_four_of_five(apart):
    assert share_better(accuracy=0.85, gain=0.03, apart=apart) >= 0.8


def test_of_equal_models_of_many_classes_at_most_one_in_twenty_has_a_better_macro_f1():
    rng = np.random.default_rng(7)
    better = 0
    for seed in range(SIMULATIONS):
        gold, shared = rng.integers(12, size=(2, ROWS))
        hard = rng.random(ROWS) < 0.2
        a, b = (np.where(hard & (rng.random(ROWS) < 0.5), shared, gold) for _ in range(2))
        better += statistics.difference(gold, a, b, "macro_f1", 12, resamples=400, seed=seed).low > 0
    assert better / SIMULATIONS <= 0.05


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "micro_f1", "mcc"])
def test_the_quick_intervals_agree_with_plain_resampling_of_rows(metric):
    rng = np.random.default_rng(1)
    gold = rng.integers(5, size=300)
    a, b = (np.where(rng.random(300) < share, gold, rng.integers(5, size=300)) for share in (0.7, 0.8))

    def plainly(true, said):
        return float(measures.COUNT_METRICS[metric](measures.count(true, said, 5)))

    quick = statistics.difference(gold, a, b, metric, 5, resamples=4000, seed=3)
    slow = statistics.difference(gold, a, b, plainly, 5, resamples=4000, seed=4)
    assert quick.value == pytest.approx(slow.value)
    assert (quick.low, quick.high) == pytest.approx((slow.low, slow.high), abs=0.006)


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "micro_f1"])
def test_several_labels_a_row_are_resampled_alike(metric):
    rng = np.random.default_rng(5)
    gold = rng.random((200, 6)) < 0.3
    a, b = (np.where(rng.random(gold.shape) < share, gold, ~gold) for share in (0.8, 0.9))

    def plainly(true, said):
        return float(measures.COUNT_METRICS[metric](measures.count(true, said, 6)))

    quick = statistics.difference(gold, a, b, metric, 6, resamples=2000, seed=3)
    slow = statistics.difference(gold, a, b, plainly, 6, resamples=2000, seed=4)
    assert quick.value == pytest.approx(slow.value)
    assert (quick.low, quick.high) == pytest.approx((slow.low, slow.high), abs=0.012)


def test_the_same_seed_gives_the_same_interval_and_chunks_do_not_matter(monkeypatch):
    rng = np.random.default_rng(2)
    gold, a, b = rng.integers(20, size=(3, 400))
    first = statistics.difference(gold, a, b, "macro_f1", 20, seed=9)
    assert statistics.difference(gold, a, b, "macro_f1", 20, seed=9) == first
    monkeypatch.setattr(statistics, "MOST_CELLS", 5000)
    assert statistics.difference(gold, a, b, "macro_f1", 20, seed=9) == first


def test_equal_answers_differ_by_nothing():
    gold, said = np.array([0, 1, 2, 1]), np.array([0, 1, 1, 1])
    found = statistics.difference(gold, said, said, "macro_f1", 3)
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


def test_one_row_or_none_give_an_interval_without_an_error():
    one = np.array([1])
    assert statistics.interval(one, one, "accuracy", 2).to_dict() == {
        "value": 1.0,
        "low": 1.0,
        "high": 1.0,
        "metric": "accuracy",
    }
    assert statistics.interval(one[:0], one[:0], "macro_f1", 2).value == 0.0


def test_an_interval_holds_the_true_value_about_as_often_as_it_says():
    rng = np.random.default_rng(3)
    held = 0
    for seed in range(SIMULATIONS):
        gold = np.ones(ROWS, dtype=int)
        found = statistics.interval(gold, (rng.random(ROWS) < 0.9).astype(int), "accuracy", 2, resamples=500, seed=seed)
        held += found.low <= 0.9 <= found.high
    assert 0.9 <= held / SIMULATIONS <= 0.99


def test_fewer_than_six_differing_rows_cannot_show_anything_at_95_percent():
    assert statistics.least_disagreements(0.95) == 6
    assert statistics.least_disagreements(0.5) == 2


def test_f1_of_each_label_is_resampled_on_the_same_rows_as_their_mean():
    rng = np.random.default_rng(0)
    gold, one = rng.integers(3, size=200), rng.integers(3, size=200)
    other = np.where(rng.random(200) < 0.7, gold, one)
    each = statistics.resample_label_f1(gold, (one, other), 3, resamples=50, seed=4)
    assert each.shape == (51, 2, 3)
    mean = statistics.resample(gold, (one, other), "macro_f1", 3, resamples=50, seed=4)
    np.testing.assert_allclose(each.mean(axis=2), mean)
