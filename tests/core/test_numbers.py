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
