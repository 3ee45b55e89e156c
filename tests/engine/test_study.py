"""The trials of a search: drawn by seed and history alone, kept through a kill, and what mattered among them."""

from __future__ import annotations

import pytest

from tunewright.core.space import Choices, Range
from tunewright.engine.study import LEAST, Study

SPACE = (
    Range("train.learning_rate", 1e-5, 1e-2, log=True),
    Choices("train.batch_size", (8, 16, 32)),
    Choices("train.method", ("full", {"name": "lora", "rank": 4})),
    Range("data.stride", 0, 8, whole=True, step=2),
)


def value_of(values):
    """A made-up result: the nearer the rate is to 1e-3, the better; nothing else matters."""
    import math

    return 1.0 - abs(math.log10(values["train.learning_rate"]) + 3) / 3


def opened(path, space=SPACE, seed=7, pruning=True):
    return Study(path, space, seed=seed, pruning=pruning)


def try_out(study, count):
    """Carry out so many trials; gives the values of each."""
    tried = []
    for _ in range(count):
        trial = study.ask()
        trial.tell(0.5, value_of(trial.values))
        trial.finish(value_of(trial.values), seconds=1.0)
        tried.append(dict(trial.values))
    return tried


def test_what_is_drawn_lies_in_the_space(tmp_path):
    for values in try_out(opened(tmp_path / "journal"), 12):
        assert 1e-5 <= values["train.learning_rate"] <= 1e-2
        assert values["train.batch_size"] in (8, 16, 32)
        assert values["train.method"] in ("full", {"name": "lora", "rank": 4})
        assert values["data.stride"] in (0, 2, 4, 6, 8) and isinstance(values["data.stride"], int)


def test_the_same_seed_draws_the_same_and_another_seed_another(tmp_path):
    first = try_out(opened(tmp_path / "a"), 12)
    assert try_out(opened(tmp_path / "b"), 12) == first
    assert try_out(opened(tmp_path / "c", seed=8), 12) != first


def test_a_search_that_was_killed_draws_what_it_would_have_drawn(tmp_path):
    whole = try_out(opened(tmp_path / "whole"), 12)
    for kill_at in (3, 9):  # while drawn at random, and after the sampler has begun to learn
        path = tmp_path / f"killed-{kill_at}"
        study = opened(path)
        begun = try_out(study, kill_at)
        under_way = study.ask()
        under_way.tell(0.5, 0.1)  # and here it is killed
        again = opened(path)
        assert [dict(trial.values) for trial in again.tried()] == begun
        assert begun + try_out(again, 12 - kill_at) == whole
        assert len(again.tried()) == 12


def test_a_line_torn_by_a_kill_is_taken_off(tmp_path):
    study = opened(tmp_path / "journal")
    try_out(study, 2)
    whole = (tmp_path / "journal").read_bytes()
    (tmp_path / "journal").write_bytes(whole + b'{"op_code":4,"work')
    assert len(try_out(opened(tmp_path / "journal"), 1)) == 1
    assert len(opened(tmp_path / "journal").tried()) == 3


def test_nothing_is_tried_twice_and_an_exhausted_space_says_so(tmp_path):
    study = opened(tmp_path / "journal", (Choices("train.batch_size", (8, 16)), Choices("model.dropout", (0, 0.1))))
    found = []
    for _ in range(4):
        trial = study.ask()
        trial.finish(0.5, seconds=1.0)
        found.append(tuple(trial.values.values()))
    assert study.ask() is None
    assert sorted(found) == [(8, 0), (8, 0.1), (16, 0), (16, 0.1)]


def test_a_trial_below_the_median_of_the_others_is_told_to_stop(tmp_path):
    for pruning in (True, False):
        study = opened(tmp_path / str(pruning), pruning=pruning)
        for value in (0.5, 0.6, 0.7, 0.8):
            trial = study.ask()
            assert not trial.tell(0.0, value) and not trial.tell(1.0, value)
            trial.finish(value, seconds=1.0)
        poor, good = study.ask(), study.ask()
        assert not poor.tell(0.0, 0.1), "the start is no point to judge by"
        assert poor.tell(1.0, 0.2) is pruning
        assert not good.tell(1.0, 0.75)
        assert not poor.tell(2.0, 0.1), "as far as this no other has come"


def test_the_recipes_own_values_are_fixed_where_the_space_holds_them(tmp_path):
    study = opened(tmp_path / "journal")
    own = {"train.method": {"name": "lora", "rank": 4}, "train.learning_rate": 0.002}
    trial = study.ask(own)
    assert trial.values == own and trial.number == 0
    trial.finish(0.5, seconds=1.0)
    assert study.ask().values.keys() == {parameter.key for parameter in SPACE}


def test_what_mattered_stands_out_from_chance_and_what_did_not_does_not(tmp_path):
    study = opened(tmp_path / "journal")
    try_out(study, 30)
    found = study.importance()
    assert next(iter(found)) == "train.learning_rate"
    assert found["train.learning_rate"]["share"] > found["train.learning_rate"]["chance"]
    assert not any(found[key]["share"] > found[key]["chance"] for key in ("train.method", "data.stride"))
    assert sum(one["share"] for one in found.values()) == pytest.approx(1)
    assert opened(tmp_path / "journal").importance() == found


def test_of_few_trials_nothing_is_said_to_have_mattered(tmp_path):
    study = opened(tmp_path / "journal")
    try_out(study, LEAST - 1)
    assert study.importance() == {}
    try_out(study, 1)
    assert study.importance()
