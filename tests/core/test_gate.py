"""A gate decides by its checks, and can be decided again from its JSON."""

import json

import pytest

from tunewright.core.gate import Gate, check
from tunewright.core.types import Note

WHY = Note("it must fit", "必须合适")


@pytest.mark.parametrize(
    ("value", "relation", "limit", "passes"),
    [
        (1, ">", 0, True),
        (0, ">", 0, False),
        (0, ">=", 0, True),
        (2, "<=", 1, False),
        (1, "<", 2, True),
        (3, "==", 3, True),
    ],
)
def test_a_check_holds_when_its_comparison_does(value, relation, limit, passes):
    assert check("size", value, relation, limit, why=WHY).passed is passes


@pytest.mark.parametrize("value", [None, float("nan")])
def test_a_value_that_could_not_be_measured_never_passes(value):
    made = check("loss", value, "<=", 1.0, why=WHY)
    assert not made.passed
    assert made.value is None


def test_a_gate_passes_only_when_all_its_checks_do_and_names_those_that_fail():
    good, bad = check("rows", 5, ">=", 1, WHY), check("flips", 3, "<=", 0, WHY)
    assert Gate("export", (good,)).passed
    assert not Gate("export", (good, bad)).passed
    assert Gate("export", (good, bad)).failed == (bad,)


def test_a_gate_read_from_json_is_decided_anew_whatever_the_file_claims():
    gate = Gate("verdict", (check("gain", -0.1, ">", 0, WHY),))
    stored = json.loads(json.dumps(gate.to_dict()))
    assert Gate.from_dict(stored) == gate
    stored["checks"][0]["passed"] = True
    assert Gate.from_dict(stored).passed
    assert not Gate.from_dict(stored).recompute().passed


def test_an_unknown_relation_is_refused():
    with pytest.raises(KeyError):
        check("size", 1, "about", 1, WHY)
