"""Learning rates rise and fall as the schedules say. What all promise is in tunewright/testing/kinds/schedules.py."""

from __future__ import annotations

import math

import pytest

from tunewright.core import catalog


def factors(name: str, steps: int, **settings) -> list[float]:
    schedule = catalog.create("schedules", {"name": name, **settings})
    return [schedule.factor(step, steps) for step in range(steps)]


def test_linear_rises_and_falls_in_straight_lines():
    assert factors("linear", 10, warmup=0.2) == pytest.approx(
        [0.5, 1.0, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]
    )


def test_cosine_falls_along_half_a_wave():
    found = factors("cosine", 10, warmup=0.0)
    assert found == pytest.approx([0.5 * (1 + math.cos(math.pi * step / 10)) for step in range(10)])
    assert found[5] == pytest.approx(0.5)


def test_constant_stays():
    assert factors("constant", 4) == [1.0] * 4
    assert factors("constant", 4, warmup=0.5) == [0.5, 1.0, 1.0, 1.0]


@pytest.mark.parametrize("name", ["linear", "cosine", "constant"])
def test_without_warmup_the_first_step_has_the_full_rate(name):
    assert factors(name, 20, warmup=0.0)[0] == 1.0


@pytest.mark.parametrize("name", ["linear", "cosine", "constant"])
def test_the_rate_rises_by_equal_steps_while_warming_up(name):
    assert factors(name, 20, warmup=0.25)[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_after_the_rise_it_only_falls(name):
    found = factors(name, 50, warmup=0.1)[5:]
    assert found == sorted(found, reverse=True)
