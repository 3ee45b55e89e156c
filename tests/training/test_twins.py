"""Rows without labels beside the labelled ones: which a step sees is a function of seed and step, and runs resume."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from runs import Killed, assert_same_bits, killed_at, weights

from tunewright.core import catalog
from tunewright.core.types import Window
from tunewright.training.encoded import write_encoded
from tunewright.training.loop import fit
from tunewright.training.twins import Twins


@pytest.fixture
def twins(tmp_path):
    """30 twins without labels."""
    random = np.random.default_rng(1)
    texts = [random.integers(60, 120, size=random.integers(3, 12)).astype(np.int32) for _ in range(60)]
    made = [Window(i, {"input_ids": t, "attention_mask": np.ones_like(t)}, tokens=len(t)) for i, t in enumerate(texts)]
    use = catalog.create("semi_supervision", {"name": "uda", "confidence": 0.0})
    encoded = write_encoded(made, tmp_path / "twins", pad_id=0)
    return Twins(encoded, lambda said, changed: use.consistency(said, changed, False), rows=8)


def test_steps_see_every_pair_before_they_see_one_again(twins):
    seen = np.concatenate([twins.of_step(3, step) for step in range(15)])
    assert all(sorted(seen[start : start + 30]) == list(range(30)) for start in range(0, 120, 30))
    assert not np.array_equal(seen[:30], seen[30:60])
    assert np.array_equal(twins.of_step(3, 7), twins.of_step(3, 7))
    assert not np.array_equal(twins.of_step(3, 7), twins.of_step(4, 7))


def test_more_rows_a_step_than_there_are_come_several_times(twins):
    many = Twins(twins.windows, twins.loss, rows=75)
    counts = np.bincount(many.of_step(0, 1), minlength=30)
    assert counts.sum() == 75 and counts.min() == 2 and counts.max() == 3


def test_the_loss_of_a_step_does_not_depend_on_how_it_is_cut(twins, make_job):
    model = make_job(model_dropout=0.0).model.train()
    found = []
    for most in (12, 10_000):
        losses = twins.losses(model, seed=1, device="cpu")
        found.append(torch.stack(list(losses(2, most))))
    assert len(found[0]) > len(found[1]) == 1
    torch.testing.assert_close(found[0].sum(), found[1].sum())


def test_rows_without_labels_change_what_is_learned_and_count_among_the_tokens(twins, make_job):
    plain, beside = make_job("plain"), make_job("beside", twins=twins)
    fitted = [fit(job) for job in (plain, beside)]
    assert any(
        not torch.equal(one, other)
        for one, other in zip(weights(plain).values(), weights(beside).values(), strict=True)
    )
    tokens = sum(twins.tokens(1, step) for step in range(fitted[1].steps))
    both = [one.tokens_per_second * one.seconds for one in fitted]
    assert both[1] - both[0] == pytest.approx(tokens, rel=1e-3)


@pytest.mark.parametrize("call", [9, 14])
def test_a_killed_run_goes_on_to_the_same_bits(twins, make_job, call):
    settings = {"checkpoint_steps": 4}
    whole = make_job("whole", settings=settings, twins=twins)
    fit(whole)
    with pytest.raises(Killed):
        fit(killed_at(make_job("cut", settings=settings, twins=twins), call))
    again = make_job("cut", settings=settings, twins=twins)
    fit(again, resume=True)
    assert_same_bits(weights(whole), weights(again))
