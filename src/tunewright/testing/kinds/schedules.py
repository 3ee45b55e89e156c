"""What a schedule promises: a factor between 0 and 1 at every step of runs of any length."""

from __future__ import annotations

from tunewright.testing.conformance import Subject

RUNS = (1, 2, 3, 7, 10, 100, 1000)


def the_factor_stays_between_0_and_1(subject: Subject) -> None:
    """The recipe's learning rate is the largest that is used; no step is wasted on a rate of 0."""
    schedule = subject.create()
    for steps in RUNS:
        factors = [schedule.factor(step, steps) for step in range(steps)]
        assert all(0 <= factor <= 1 for factor in factors), f"{steps} steps: {min(factors)} to {max(factors)}"
        assert factors[0] > 0, f"the first of {steps} steps does not move"


def the_full_rate_is_reached(subject: Subject) -> None:
    """At some step the learning rate is the recipe's own."""
    for steps in RUNS:
        most = max(subject.create().factor(step, steps) for step in range(steps))
        assert most > 0.99, f"in {steps} steps the factor reaches {most}"


def it_is_a_function_of_the_step_alone(subject: Subject) -> None:
    """A resumed run goes on as it would have: nothing is remembered between calls."""
    schedule = subject.create()
    forwards = [schedule.factor(step, 50) for step in range(50)]
    backwards = [schedule.factor(step, 50) for step in reversed(range(50))]
    assert forwards == backwards[::-1]
    assert [subject.create().factor(step, 50) for step in range(50)] == forwards
