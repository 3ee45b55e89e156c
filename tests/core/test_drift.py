"""Tests of whether rows are drawn like earlier ones: right where nothing differs, sharp where something does."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import fisher_exact

from tunewright.core import drift


def test_p_values_of_counts_are_no_smaller_than_chance_makes_them():
    random = np.random.default_rng(0)
    shares = random.dirichlet(np.full(60, 0.3))  # most categories are rare
    found = [drift.compare_counts(random.multinomial(900, shares), random.multinomial(100, shares), seed) for seed in range(200)]  # fmt: skip
    p = np.array([one.p for one in found])
    assert np.mean(p < 0.05) <= 0.09 and np.mean(p < 0.01) <= 0.03
    assert np.mean(p < 0.5) > 0.35  # and not always large


def test_two_categories_give_fishers_p():
    for before, now in (((900, 100), (80, 20)), ((3000, 0), (497, 3)), ((50, 50), (49, 51))):
        exact = fisher_exact([before, now]).pvalue
        assert drift.compare_counts(np.array(before), np.array(now)).p == pytest.approx(exact, rel=0.6, abs=2e-4)


def test_what_is_far_out_has_a_p_value_below_what_drawing_can_tell():
    before, now = np.array([500, 300, 200, 1]), np.array([100, 100, 300, 2])
    assert drift.compare_counts(before, now).p < 1e-12
    assert drift.compare_counts(before, before // 10 * 10).p > 0.9


def test_distance_is_the_share_of_rows_that_moved():
    assert drift.compare_counts(np.array([50, 50]), np.array([80, 20])).distance == pytest.approx(0.3)
    assert drift.compare_counts(np.array([5, 5]), np.array([0, 0])) == drift.Drift(1.0, 0.0)


def test_names_that_go_together_raise_no_alarm_by_that():
    random = np.random.default_rng(1)

    def rows(count):
        together = random.random(count) < 0.3
        return np.array([together.sum()] * 20)  # twenty names that always come together

    p = np.array([drift.compare_occurrences(rows(500), 500, rows(100), 100).p for _ in range(200)])
    assert np.mean(p < 0.05) <= 0.09
    assert drift.compare_occurrences(np.array([10, 200]), 500, np.array([30, 40]), 100).p < 1e-6


def test_many_names_raise_no_alarm_by_their_number():
    random = np.random.default_rng(4)
    shares = np.full(30, 0.2)
    p = [
        drift.compare_occurrences(random.binomial(500, shares), 500, random.binomial(100, shares), 100).p
        for _ in range(100)
    ]
    assert np.mean(np.array(p) < 0.05) <= 0.1  # nearly always, without taking their number into account


def test_means_of_random_features_are_right_where_nothing_differs_and_see_what_does():
    random = np.random.default_rng(2)
    p, seen = [], []
    for _ in range(200):
        usual = drift.learn_features(random.normal(size=(400, 8)))
        for rows, kept in ((random.normal(size=(100, 8)), p), (random.normal(size=(100, 8)) * 1.6, seen)):
            sums = drift.features_of(rows, usual).sum(axis=0)
            kept.append(drift.compare_means(usual["mean"], usual["covariance"], usual["rows"], sums, 100).p)
    assert np.mean(np.array(p) < 0.05) <= 0.05 and np.mean(np.array(p) < 0.01) <= 0.01  # 0.12 and 0.05 without STEADY
    assert np.mean(np.array(seen) < 0.001) > 0.9  # the mean is the same, the spread is not


def test_too_few_rows_or_no_vectors_have_no_features():
    assert drift.learn_features(np.zeros((9, 4))) is None
    assert drift.learn_features(np.zeros((100, 0))) is None
    assert drift.learn_features(np.ones((100, 3)))["width"] == 1.0  # all alike


def test_what_one_row_alone_holds_is_not_remembered():
    rows = [np.array([3, 3, 7]), np.array([3, 9]), np.array([3, 7])]
    known, shares = drift.widely_known(rows)
    assert drift.unknown_shares([np.array([3]), np.array([7]), np.array([9]), np.array([70_000]), np.array([], int)], known).tolist() == [0, 0, 1, 1, 0]  # fmt: skip
    assert shares.tolist() == pytest.approx([1 / 3, 1 / 2, 1 / 2])  # by what the others hold: 3 stands in two others
    assert drift.widely_known([])[1].tolist() == []


def test_bins_hold_about_as_many_rows_and_shared_values_have_their_own():
    values = np.concatenate([np.zeros(500), np.random.default_rng(3).uniform(0.1, 1, 500)])
    edges = drift.cut(values)
    counts = drift.binned(values, edges)
    assert counts.sum() == 1000 and counts[1] == 500  # zero, by itself; below it there is nothing
    assert drift.binned(np.array([-1.0, 0.0, 2.0]), edges)[[0, 1, -1]].tolist() == [1, 1, 1]
