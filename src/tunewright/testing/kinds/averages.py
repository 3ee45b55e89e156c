"""What an average of the weights promises: a share between 0 and 1 at every step of runs of any length."""

from __future__ import annotations

from tunewright.testing.conformance import Subject

RUNS = (1, 2, 3, 7, 10, 100, 1000)


def the_share_lies_between_0_and_1(subject: Subject) -> None:
    """The average stays among the weights it is made of, and every step moves it."""
    for steps in RUNS:
        shares = [subject.create().share(step, steps) for step in range(1, steps + 1)]
        assert all(0 < share <= 1 for share in shares), f"{steps} steps: {min(shares)} to {max(shares)}"


def the_weights_before_the_first_step_do_not_count(subject: Subject) -> None:
    """After one step the average is that step's weights: it owes nothing to the start."""
    for steps in RUNS:
        assert abs(subject.create().share(1, steps) - 1) < 1e-9


def it_is_a_function_of_the_step_alone(subject: Subject) -> None:
    """A resumed run goes on as it would have: nothing is remembered between calls."""
    average = subject.create()
    forwards = [average.share(step, 50) for step in range(1, 51)]
    backwards = [average.share(step, 50) for step in reversed(range(1, 51))]
    assert forwards == backwards[::-1]
    assert [subject.create().share(step, 50) for step in range(1, 51)] == forwards
