"""Relations are measured by type and direction, and pairs without one are left out."""

from __future__ import annotations

import numpy as np
import pytest

from tunewright.core.relations import RelationMeasures, type_of
from tunewright.core.types import Prediction

LABELS = ("Cause(e1,e2)", "Cause(e2,e1)", "Other", "Part(e1,e2)", "Part(e2,e1)")
MEASURES = RelationMeasures()


def said(*names):
    return [Prediction(name, 1.0, {name: 1.0}) for name in names]


def test_a_wrong_direction_is_wrong_and_counts_among_its_type():
    gold = ["Cause(e1,e2)", "Cause(e1,e2)", "Part(e2,e1)", "Other", "Other"]
    found = MEASURES.metrics(gold, said("Cause(e1,e2)", "Cause(e2,e1)", "Part(e2,e1)", "Other", "Part(e1,e2)"), LABELS)
    cause = 2 * 1 / (2 + 2)  # one of two is right, two were said
    part = 2 * 1 / (1 + 2)
    assert found["relation_f1"] == pytest.approx((cause + part) / 2)
    assert found["accuracy"] == 3 / 5


def test_pairs_without_a_relation_stand_in_no_type():
    gold = ["Other", "Other", "Cause(e1,e2)"]
    assert MEASURES.metrics(gold, said("Other", "Other", "Cause(e1,e2)"), LABELS)["relation_f1"] == 1.0
    none = RelationMeasures(negative="no_relation").metrics(gold, said("Other", "Other", "Cause(e1,e2)"), LABELS)
    assert none["relation_f1"] == 1.0 and MEASURES.metrics([], [], LABELS)["relation_f1"] == 0.0


def test_weighed_rows_measure_as_repeated_ones():
    random = np.random.default_rng(0)
    gold, other = ([str(name) for name in random.choice(LABELS, 30)] for _ in range(2))
    weights = random.integers(0, 3, size=(5, 30))
    found = MEASURES.weighed("relation_f1", gold, said(*other), LABELS)(weights.astype(float))
    for counts, value in zip(weights, found, strict=True):
        rows = np.repeat(np.arange(30), counts)
        repeated = MEASURES.metrics([gold[i] for i in rows], said(*(other[i] for i in rows)), LABELS)
        assert value == pytest.approx(repeated["relation_f1"])


def test_a_type_is_a_relation_without_its_direction():
    assert [type_of(name) for name in ("Cause-Effect(e1,e2)", "Other", "USED-FOR", "f(x)")] == [
        "Cause-Effect", "Other", "USED-FOR", "f(x)",
    ]  # fmt: skip
