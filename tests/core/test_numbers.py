"""Correlations and distances as scipy has them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tunewright.core import numbers


def test_measures_are_those_of_scipy_with_ties():
    random = np.random.default_rng(0)
    gold, said = random.integers(0, 6, 200), random.normal(size=200)
    said = said + gold
    found = numbers.measures(gold, said)
    assert found["spearman"] == pytest.approx(stats.spearmanr(gold, said).statistic)
    assert found["pearson"] == pytest.approx(stats.pearsonr(gold, said).statistic)
    assert found["mae"] == pytest.approx(np.abs(gold - said).mean())
    assert found["rmse"] == pytest.approx(np.sqrt(((gold - said) ** 2).mean()))


def test_what_does_not_vary_correlates_with_nothing():
    for gold, said in (([1.0, 2.0], [3.0, 3.0]), ([1.0], [1.0]), ([], [])):
        found = numbers.measures(gold, said)
        assert (found["spearman"], found["pearson"]) == (0.0, 0.0)


def test_perfect_answers_measure_exactly_one():
    assert numbers.measures([1, 5, 3, 3], [1, 5, 3, 3])["spearman"] == 1.0


@pytest.mark.parametrize("metric", ["spearman", "pearson"])
def test_weighed_rows_measure_as_repeated_ones(metric):
    random = np.random.default_rng(1)
    gold, said = random.integers(0, 5, 40).astype(float), random.normal(size=40).round(1)
    weights = random.integers(0, 4, size=(20, 40))
    found = numbers.weighed(metric, gold, said)(weights.astype(float))
    for counts, value in zip(weights, found, strict=True):
        rows = np.repeat(np.arange(40), counts)
        assert value == pytest.approx(numbers.measures(gold[rows], said[rows])[metric])
