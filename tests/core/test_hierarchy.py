"""Labels with levels: a near miss costs less than a far one, and every level is measured by itself."""

from __future__ import annotations

import numpy as np
import pytest

from tunewright.core.hierarchy import HierarchyMeasures, ancestors, lineage
from tunewright.core.types import Prediction

LABELS = ("a", "a/b", "a/b/c", "a/d", "e/f")
MEASURES = HierarchyMeasures(separator="/")


def said(*names):
    return [Prediction(name, 1.0, {name: 1.0}) for name in names]


def test_a_label_stands_below_its_ancestors():
    assert ancestors("a/b/c", "/") == ["a/b", "a"] and ancestors("a", "/") == []
    assert lineage("a>b", ">") == ["a", "a>b"]


def test_hierarchical_f1_counts_every_level_of_both_sides():
    gold = ["a/b/c", "a/b", "e/f", None]
    found = MEASURES.metrics(gold, said("a/b", "e/f", "e/f", "a"), LABELS)
    shared, true, given = 2 + 0 + 2, 3 + 2 + 2, 2 + 2 + 2  # Kiritchenko et al. 2005, section 2
    precision, recall = shared / given, shared / true
    assert found["hierarchical_f1"] == pytest.approx(2 * precision * recall / (precision + recall))
    assert (found["n"], found["accuracy"]) == (3, 1 / 3)


def test_a_level_is_measured_on_the_rows_that_reach_it():
    gold = ["a/b/c", "a/b", "a", "e/f"]
    found = MEASURES.metrics(gold, said("a/b/c", "a/d", "a", "a/d"), LABELS)
    assert found["level_1_accuracy"] == 3 / 4
    assert found["level_2_accuracy"] == 1 / 3  # a alone has no second level
    assert found["level_3_accuracy"] == 1.0
    assert "level_4_accuracy" not in found and MEASURES.metrics([], [], LABELS)["hierarchical_f1"] == 0.0


def test_an_ancestor_is_no_error_and_worth_less_than_the_label():
    assert MEASURES.right("a/b", "a") and MEASURES.right("a/b", "a/b")
    assert not MEASURES.right("a/b", "a/d") and not MEASURES.right("a/b", "a/b/c") and not MEASURES.right("ab", "a")
    qualities = [MEASURES.quality("a/b", one) for one in said("a/b", "a", "a/d", "e/f")]
    assert qualities == [1.0, pytest.approx(2 / 3), 0.5, 0.0]


@pytest.mark.parametrize("metric", ["hierarchical_f1", "level_1_accuracy", "level_2_accuracy", "level_3_accuracy"])
def test_weighed_rows_measure_as_repeated_ones(metric):
    random = np.random.default_rng(0)
    gold, other = ([str(name) for name in random.choice(LABELS, 30)] for _ in range(2))
    weights = random.integers(0, 3, size=(5, 30))
    found = MEASURES.weighed(metric, gold, said(*other), LABELS)(weights.astype(float))
    for counts, value in zip(weights, found, strict=True):
        rows = np.repeat(np.arange(30), counts)
        repeated = MEASURES.metrics([gold[i] for i in rows], said(*(other[i] for i in rows)), LABELS)
        assert value == pytest.approx(repeated[metric])
