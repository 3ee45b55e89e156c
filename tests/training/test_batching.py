"""Steps hold every window once, like lengths together, and are a pure function of seed and epoch."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tunewright.training.batching import micro_batches, steps_of_epoch

lengths_ = st.lists(st.integers(1, 200), min_size=1, max_size=300).map(np.array)


@given(lengths_, st.integers(1, 40), st.integers(0, 5), st.integers(0, 5))
def test_an_epoch_holds_every_window_exactly_once(lengths, size, seed, epoch):
    steps = steps_of_epoch(lengths, size, seed, epoch)
    assert sorted(np.concatenate(steps)) == list(range(len(lengths)))
    assert len(steps) == -(-len(lengths) // size)


@given(lengths_, st.integers(1, 40))
def test_the_same_seed_and_epoch_give_the_same_steps(lengths, size):
    first, second = (steps_of_epoch(lengths, size, 3, 1) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_epochs_and_seeds_differ_in_order():
    lengths = np.full(100, 7)
    orders = {tuple(np.concatenate(steps_of_epoch(lengths, 10, seed, epoch))) for seed in (0, 1) for epoch in (0, 1)}
    assert len(orders) == 4


def test_like_lengths_stand_together_so_that_padding_is_small():
    lengths = np.random.default_rng(0).integers(1, 100, size=2000)
    padded = sum(len(step) * lengths[step].max() for step in steps_of_epoch(lengths, 32, 0, 0))
    assert padded < 1.1 * lengths.sum()


@given(lengths_, st.integers(1, 400))
def test_parts_of_a_step_hold_it_all_and_fit_the_tokens(lengths, most):
    parts = list(micro_batches(np.arange(len(lengths)), lengths, most))
    assert sorted(np.concatenate(parts)) == list(range(len(lengths)))
    assert all(len(part) == 1 or len(part) * lengths[part].max() <= most for part in parts)
