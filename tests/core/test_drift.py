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


def test_ordered_counts_are_right_where_nothing_differs_and_see_a_move_that_unordered_ones_do_not():
    random = np.random.default_rng(5)
    p, seen, unordered = [], [], []
    for seed in range(150):
        before = random.normal(size=800)
        edges = drift.cut(before)
        for rows, ordered, other in (
            (random.normal(size=200), p, None),
            (random.normal(0.25, 1, 200), seen, unordered),
        ):
            counts = drift.binned(before, edges), drift.binned(rows, edges)
            ordered.append(drift.compare_ordered(*counts, seed).p)
            if other is not None:
                other.append(drift.compare_counts(*counts, seed).p)
    assert (
        np.mean(np.array(p) < 0.05) <= 0.08 and np.mean(np.array(p) < 0.01) <= 0.03 and np.mean(np.array(p) < 0.5) > 0.4
    )
    assert np.mean(np.array(seen) < 0.01) > 1.5 * np.mean(np.array(unordered) < 0.01)


def test_far_out_ordered_counts_have_the_p_value_that_drawing_many_tables_gives(monkeypatch):
    before, now = np.array([100] * 8), np.array([14, 16, 21, 24, 27, 29, 33, 36])
    monkeypatch.setattr(drift, "DRAWS", 200_000)
    drawn = drift.compare_ordered(before, now).p
    monkeypatch.setattr(drift, "HITS", 10**9)
    monkeypatch.setattr(drift, "DRAWS", 0)
    monkeypatch.setattr(drift, "_permuted", lambda *given: given[-1]())
    assert drift.compare_ordered(before, now).p == pytest.approx(drawn, rel=0.5) and drawn < 1e-3
    assert drift.compare_ordered(np.array([500, 500]), np.array([400, 100])).p < 1e-12
    assert drift.compare_ordered(np.array([5, 5]), np.array([0, 0])) == drift.Drift(1.0, 0.0)
    assert drift.compare_ordered(np.array([5]), np.array([9])) == drift.Drift(1.0, 0.0)


def test_directions_of_vectors_are_right_where_nothing_differs_and_see_what_does():
    random, wide = np.random.default_rng(2), np.linspace(3, 0.3, 12)
    p, moved, spread = [], [], []
    for _ in range(200):
        usual = drift.learn_directions(random.normal(size=(400, 12)) * wide)
        for rows, kept in ((random.normal(size=(100, 12)), p), (random.normal(size=(100, 12)) + np.eye(12)[0] * 0.6, moved), (random.normal(size=(100, 12)) * 1.6, spread)):  # fmt: skip
            sums = drift.along(rows * wide, usual).sum(axis=0)
            kept.append(drift.compare_means(usual["mean"], usual["covariance"], usual["rows"], sums, 100).p)
    assert np.mean(np.array(p) < 0.05) <= 0.09 and np.mean(np.array(p) < 0.01) <= 0.03
    assert np.mean(np.array(moved) < 0.001) > 0.7 and np.mean(np.array(spread) < 0.001) > 0.9


def test_too_few_rows_or_vectors_that_are_all_alike_have_no_directions():
    assert drift.learn_directions(np.zeros((9, 4))) is None
    assert drift.learn_directions(np.zeros((100, 0))) is None
    assert drift.learn_directions(np.ones((100, 3))) is None


def _texts(random, rows: int, first: int = 0) -> list[np.ndarray]:
    """Texts of very unlike lengths, of words of which few are frequent; from `first` on every tenth word is another."""
    lengths = np.maximum(3, random.lognormal(3, 0.8, rows).astype(int))
    words = [random.zipf(1.3, length) % 5000 for length in lengths]
    return [np.where(row % 10 == 3, row + first, row) for row in words]


@pytest.mark.parametrize("rows", [50, 300])
def test_buckets_are_right_where_nothing_differs_however_few_rows_and_unlike_their_lengths(rows):
    random, p, seen = np.random.default_rng(6), [], []
    for _ in range(100):
        usual = drift.learn_buckets(_texts(random, 400))
        p.append(drift.compare_buckets(usual, drift.bucket_counts(_texts(random, rows)), rows).p)
        seen.append(drift.compare_buckets(usual, drift.bucket_counts(_texts(random, rows, 7000)), rows).p)
    assert np.mean(np.array(p) < 0.05) <= 0.09 and np.mean(np.array(p) < 0.01) <= 0.03  # 0.2 and 0.14 without `sizes`
    assert np.mean(np.array(p) < 0.5) > 0.3
    assert np.median(seen) < 1e-6
    assert drift.learn_buckets([np.arange(3)] * 9) is None and drift.learn_buckets([np.arange(3)] * 20) is None


@pytest.mark.parametrize("together", [0.0, 0.6, 0.95])
def test_tests_together_raise_no_more_alarms_than_their_level_however_they_depend_on_each_other(together):
    from scipy.special import ndtr

    random, level, tests = np.random.default_rng(7), 0.01, 7
    normal = np.sqrt(together) * random.normal(size=(30_000, 1)) + np.sqrt(1 - together) * random.normal(size=(30_000, tests))  # fmt: skip
    p = 2 * ndtr(-np.abs(normal))
    alarms = np.mean([drift.combined(row) < drift.limit_of_each(level, tests) for row in p])
    assert 0.7 * level < alarms < 1.25 * level
    assert drift.limit_of_each(level, tests) < level / tests and drift.limit_of_each(level, 1) == level


def test_several_small_p_values_are_an_alarm_where_each_alone_is_none():
    limit = drift.limit_of_each(0.01, 7)
    assert drift.combined([1.5 * limit, 0.5]) > limit > drift.combined([1.5 * limit, 1.5 * limit, 0.5])
    assert drift.combined([0.5 * limit, 0.9]) < limit and drift.combined([0.0]) < 1e-200 and drift.combined([]) == 1.0


@pytest.mark.parametrize("squares", [1, 12])
def test_looks_at_a_window_that_moves_share_the_level_and_lose_less_than_each_by_itself_would(squares):
    from scipy.stats import chi2

    looks, level = 9, 0.05
    each = drift.level_of_each(level, [(1 - 1 / looks) ** 2] * (looks - 1))
    panes = np.random.default_rng(8).normal(size=(20_000, 2 * looks - 1, squares))
    sums = np.stack([panes[:, at : at + looks].sum(axis=1) for at in range(looks)], axis=1) / np.sqrt(looks)
    p = chi2.sf((sums**2).sum(axis=-1), squares)
    assert 0.6 * level < np.mean(p.min(axis=1) < each) < 1.05 * level
    assert each > 1.3 * level / looks and drift.level_of_each(level, []) == level


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
