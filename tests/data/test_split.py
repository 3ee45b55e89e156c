"""Cuts keep what they promise: shares, whole groups, the latest rows, and the same answer for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from tunewright.core.errors import DataError
from tunewright.data.split import TEST, TRAIN, VALIDATION, by_time, grouped, parse_time, random, stratified

SHARES = {"validation_share": 0.1, "test_share": 0.2}


def test_a_stratified_cut_keeps_every_labels_share() -> None:
    codes = np.array([0] * 700 + [1] * 250 + [2] * 50)
    cut = stratified(codes, **SHARES, seed=1)
    for code in range(3):
        part = cut.sides[codes == code]
        assert abs((part == TEST).mean() - 0.2) < 0.02
        assert abs((part == VALIDATION).mean() - 0.1) < 0.02
    assert (cut.sides == TEST).sum() == 200


def test_a_label_with_one_row_stays_in_train_and_is_noted() -> None:
    cut = stratified(np.array([0] * 50 + [1]), **SHARES, seed=1)
    assert cut.sides[-1] == TRAIN
    assert "1 label (or combination of labels) with a single row" in cut.notes[0].en


def test_many_small_labels_all_keep_a_training_row() -> None:
    codes = np.repeat(np.arange(200), 2)
    cut = stratified(codes, **SHARES, seed=1)
    assert set(codes[cut.sides == TRAIN]) == set(range(200))
    assert (cut.sides == TEST).sum() == 80


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_group_stands_on_two_sides(seed: int) -> None:
    groups = [f"user {number % 37}" for number in range(1000)]
    cut = grouped(groups, **SHARES, seed=seed)
    sides = {name: {cut.sides[row] for row, group in enumerate(groups) if group == name} for name in groups}
    assert all(len(found) == 1 for found in sides.values())
    assert abs((cut.sides == TEST).mean() - 0.2) < 0.06
    assert (cut.sides == VALIDATION).any()


def test_too_few_groups_are_an_error() -> None:
    with pytest.raises(DataError, match="The group column has 2 group"):
        grouped(["a", "b", "a"], **SHARES, seed=1)


def test_the_latest_rows_are_tested() -> None:
    times = np.random.default_rng(0).permutation(100).astype(float)
    cut = by_time(times, **SHARES)
    assert times[cut.sides == TEST].min() > times[cut.sides == VALIDATION].max()
    assert times[cut.sides == VALIDATION].min() > times[cut.sides == TRAIN].max()


def test_the_seed_decides() -> None:
    assert (random(99, **SHARES, seed=1).sides == random(99, **SHARES, seed=1).sides).all()
    assert (random(99, **SHARES, seed=1).sides != random(99, **SHARES, seed=2).sides).any()


def test_times_are_read_in_the_forms_people_write() -> None:
    written = ["2024-01-05", "2024/1/6", "2024-01-07T10:00:00Z", "8.1.2024", "2024年1月9日"]
    times = [parse_time(text) for text in written]
    assert times == sorted(times)
    assert parse_time("964980499") == 964980499.0
    assert parse_time("soon") is None
    assert parse_time(None) is None
