"""The one loop: resumes to the same bits, keeps the best, stops early, survives lack of memory, names a bad batch."""

from __future__ import annotations

import functools
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from runs import Killed, assert_same_bits, killed_at, weights

from tunewright.core import catalog
from tunewright.core.errors import MachineError, TrainingError
from tunewright.training import checkpoint, loop
from tunewright.training.loop import fit


def assert_resumes_to_the_same_bits(make_job, settings, kill_at):
    """A run that is killed and goes on ends, and tells, as one without a break."""
    whole = make_job("whole", settings=settings)
    fit(whole)
    with pytest.raises(Killed):
        fit(killed_at(make_job("killed", settings=settings), kill_at))
    again = make_job("killed", settings=settings)
    fit(again, resume=True)
    assert_same_bits(weights(whole), weights(again))
    assert again.record.path.read_text() == whole.record.path.read_text()


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "adafactor"])
@pytest.mark.parametrize("kill_at", [1, 5, 14, 22])
def test_a_run_killed_anywhere_resumes_to_the_same_bits(make_job, kill_at, optimizer):
    settings = {"checkpoint_steps": 3, "early_stopping": None, "optimizer": catalog.create("optimizers", optimizer)}
    assert_resumes_to_the_same_bits(make_job, settings, kill_at)


def regularisers(*choices):
    return tuple(catalog.create("regularisers", choice) for choice in choices)


@pytest.mark.parametrize("kill_at", [11, 40])
@pytest.mark.parametrize(
    "choices",
    [
        ("mixout", "r_drop"),
        ({"name": "contrastive", "positives": "dropout"}, {"name": "adversarial", "kind": "freelb"}),
    ],
)
def test_a_regularised_run_resumes_to_the_same_bits(make_job, choices, kill_at):
    settings = {"checkpoint_steps": 3, "early_stopping": None, "regularisers": regularisers(*choices)}
    assert_resumes_to_the_same_bits(make_job, settings, kill_at)


def test_the_parts_of_a_regularised_step_add_up_to_the_same_step(make_job):
    ends = []
    for most in ("auto", 30):
        settings = {"epochs": 1, "micro_batch_tokens": most, "regularisers": regularisers("adversarial")}
        job = make_job(str(most), settings=settings, model_dropout=0.0)
        fit(job)
        ends.append(weights(job))
    for name, value in ends[0].items():
        if not name.endswith("key.bias"):  # their true gradient is zero, and AdamW makes steps of its rounding
            torch.testing.assert_close(value, ends[1][name], rtol=2e-2, atol=2e-3)


def test_lack_of_memory_within_a_regularised_pass_leaves_no_trace(make_job, monkeypatch):
    settings = {"epochs": 1, "regularisers": regularisers("mixout", "adversarial")}
    job, calls = make_job(settings=settings), []
    forward = type(job.model).forward

    def hungry(self, features):
        calls.append(1)
        if len(calls) == 4 and self.training:  # the moved pass of the second step
            raise torch.OutOfMemoryError("out of memory (pretended)")
        return forward(self, features)

    own = dict(job.model.named_parameters())
    monkeypatch.setattr(type(job.model), "forward", hungry)
    fit(_with(job, evaluate=lambda: {"accuracy": 0.0, "loss": 1.0}))
    assert all(value is own[name] for name, value in job.model.named_parameters())
    assert not any(module._forward_hooks for module in job.model.modules())


def test_training_learns_and_keeps_the_best_weights_by_validation(make_job):
    job = make_job(settings={"epochs": 6, "early_stopping": None}, model_dropout=0.0)
    fitted = fit(job)
    scores = [entry["validation"]["accuracy"] for entry in fitted.history]
    assert max(scores) > scores[0]
    assert job.evaluate()["accuracy"] == max(scores)
    best = next(entry for entry in fitted.history if entry["step"] == fitted.best_step)
    assert best["validation"]["accuracy"] == max(scores)


def test_the_start_is_kept_when_training_only_makes_it_worse(make_job):
    job = make_job(learning_rate=1e-12)
    scores = iter([0.9, 0.8, 0.8, 0.8])
    before = weights(job)
    fitted = fit(_with(job, evaluate=lambda: {"accuracy": next(scores), "loss": 1.0}))
    assert fitted.best_step == 0
    assert_same_bits(before, weights(job))


def test_early_stopping_ends_after_as_many_evaluations_without_gain_as_its_patience(make_job):
    job = make_job(settings={"epochs": 50})
    calls = []
    fitted = fit(_with(job, evaluate=lambda: calls.append(1) or {"accuracy": 0.5, "loss": 1.0}))
    assert fitted.stopped_early and len(calls) == 3 and fitted.steps == 16


def test_ties_in_the_metric_are_broken_by_the_loss(make_job):
    losses = iter([1.0, 0.9, 0.95, 0.8])
    job = make_job()
    fitted = fit(_with(job, evaluate=lambda: {"accuracy": 0.5, "loss": next(losses)}))
    assert fitted.best_step == 24


def test_when_less_is_better_the_least_loss_is_kept(make_job):
    losses = iter([1.0, 0.7, 0.9, 0.8])
    fitted = fit(_with(make_job(), metric="loss", evaluate=lambda: {"loss": next(losses)}))
    assert fitted.best_step == 8


def test_lack_of_memory_halves_the_parts_and_gives_nearly_the_same_weights(make_job, monkeypatch):
    whole = make_job("whole", model_dropout=0.0)
    fit(whole)
    messages = []
    small = make_job("small", model_dropout=0.0)
    forward = type(small.model).forward

    def hungry(self, features):
        if features["input_ids"].numel() > 40 and self.training:
            raise torch.OutOfMemoryError("CUDA out of memory (pretended)")
        return forward(self, features)

    monkeypatch.setattr(type(small.model), "forward", hungry)
    monkeypatch.setattr(small.progress, "say", messages.append)
    small.model.train()
    fit(small)
    monkeypatch.undo()
    assert any("Out of memory" in message for message in messages)
    for name, value in weights(whole).items():
        torch.testing.assert_close(value, weights(small)[name], rtol=2e-2, atol=2e-3)


def test_the_parts_of_a_step_follow_the_threads_unless_the_recipe_says(make_job, monkeypatch):
    monkeypatch.setattr(loop, "THREAD_TOKENS", 20)
    sizes, forward = [], type(make_job().model).forward

    def counting(self, features):
        if self.training:
            sizes.append(features["input_ids"].numel())
        return forward(self, features)

    monkeypatch.setattr(type(make_job().model), "forward", counting)
    largest, before = [], torch.get_num_threads()
    for threads, wanted in ((1, "auto"), (2, "auto"), (1, 60)):
        torch.set_num_threads(threads)
        sizes.clear()
        fit(make_job(f"{threads}-{wanted}", settings={"epochs": 1, "micro_batch_tokens": wanted}))
        largest.append(max(sizes))
    torch.set_num_threads(before)
    assert largest[0] <= 20 < largest[1] <= 40 < largest[2] <= 60


def test_too_little_memory_for_one_window_is_said_with_what_to_do(make_job, monkeypatch):
    job = make_job()

    def never(self, features):
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(type(job.model), "forward", never)
    with pytest.raises(TrainingError, match=r"(?s)Memory does not suffice.*max_tokens.*lora"):
        fit(_with(job, evaluate=lambda: {"accuracy": 0.0, "loss": 1.0}))


@pytest.mark.filterwarnings("ignore")
def test_a_loss_that_is_no_number_stops_and_names_the_rows_of_the_batch(make_job):
    job = make_job()

    class Broken:
        joint = False

        def loss(self, logits, labels, class_weights):
            return logits.sum(dim=1) * math.nan

    with pytest.raises(TrainingError, match=r"Step 1: .*not a number.*train\.csv:\d+.*learning_rate"):
        fit(_with(job, objective=Broken()))


def test_ctrl_c_saves_the_step_and_says_how_far_it_came(make_job, monkeypatch):
    whole = make_job("whole", settings={"early_stopping": None})
    fit(whole)
    job = make_job("stopped", settings={"early_stopping": None})
    flags = iter([False] * 4 + [True] * 10)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "_interrupts", _fake_interrupts(lambda: next(flags)))
        with pytest.raises(loop.Interrupted, match=r"Stopped at step \d+ of 24"):
            fit(job)
    again = make_job("stopped", settings={"early_stopping": None})
    fit(again, resume=True)
    assert_same_bits(weights(whole), weights(again))


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(make_job):
    settings = {"checkpoint_steps": 4, "early_stopping": None}
    whole = make_job("whole", settings=settings)
    fit(whole)
    with pytest.raises(Killed):
        fit(killed_at(make_job("killed", settings=settings), 15))
    again = make_job("killed", settings=settings)
    newest = sorted(again.folder.glob("step-*"))[-1]
    data = (newest / "weights.safetensors").read_bytes()
    (newest / "weights.safetensors").write_bytes(data[: len(data) // 2])
    found, problems = checkpoint.newest(again.folder)
    assert found != newest and "damaged" in problems[0]
    fit(again, resume=True)
    assert_same_bits(weights(whole), weights(again))


def test_the_learning_rate_follows_the_schedule(make_job):
    job = make_job(settings={"schedule": catalog.create("schedules", {"name": "linear", "warmup": 0.5})})
    fit(job)
    lines = [json.loads(line) for line in job.record.path.read_text().splitlines()]
    rates = {line["step"]: line["learning_rate"] for line in lines if line["kind"] == "train"}
    assert rates[10] == pytest.approx(3e-3 * 10 / 12)
    assert rates[24] == pytest.approx(3e-3 * 1 / 12)


def test_class_weights_change_what_is_learned(make_job):
    plain, weighed = make_job("plain"), make_job("weighed", class_weights=np.array([5.0, 0.1]))
    fit(plain)
    fit(weighed)
    assert not torch.equal(weights(plain)["head.output.bias"], weights(weighed)["head.output.bias"])


def _with(job, **changes):
    import dataclasses

    return dataclasses.replace(job, **changes)


def _fake_interrupts(flag):
    from contextlib import contextmanager

    @contextmanager
    def interrupts():
        yield flag

    return interrupts


@pytest.mark.parametrize("settings", [{}, {"weight_decay": 0.3, "weight_average": None, "clip_norm": 0.1}])
def test_the_fast_way_ends_where_the_plain_way_ends(make_job, settings):
    ends = []
    for engine in ("plain", "auto"):
        job = make_job(engine, settings={"engine": engine, "epochs": 2, **settings}, model_dropout=0.0)
        if engine == "auto":
            job.model.pack()
        fit(job)
        ends.append(weights(job))
    for name, value in ends[0].items():
        if not name.endswith("key.bias"):  # their true gradient is zero, and AdamW makes steps of its rounding
            torch.testing.assert_close(
                value, ends[1][name], rtol=1e-3, atol=1e-4, msg=lambda text, name=name: f"{name}: {text}"
            )


def test_compiled_training_ends_where_plain_training_ends(make_job, monkeypatch):
    monkeypatch.setattr(
        torch, "compile", functools.partial(torch.compile, backend="aot_eager")
    )  # the usual one is slow
    ends = []
    for engine in ("plain", "compiled"):
        job = make_job(engine, settings={"engine": engine, "epochs": 1}, model_dropout=0.0)
        fit(job)
        ends.append(weights(job))
    for name, value in ends[0].items():
        torch.testing.assert_close(value, ends[1][name], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_on_one_thread_the_fast_way_repeats_its_bits(make_job, precision):
    ends, threads = [], torch.get_num_threads()
    torch.set_num_threads(1)
    for name in ("first", "second"):
        job = make_job(name, precision=precision, settings={"epochs": 1}, model_dropout=0.0)
        job.model.pack()
        fit(job)
        ends.append(weights(job))
    torch.set_num_threads(threads)
    assert_same_bits(*ends)


@pytest.mark.parametrize("engine", ["auto", "plain"])
def test_a_model_that_trains_again_computes_in_the_precision_that_is_asked(make_job, engine):
    """A start that moves the backbone trains the model before the training itself."""
    job = make_job(precision="bf16", settings={"epochs": 1, "engine": engine})
    linear, seen = torch.nn.functional.linear, []

    def watched(value, *rest):
        found = linear(value, *rest)
        seen.append(found.dtype)
        return found

    for name in ("first", "second"):
        again = replace(job, folder=job.folder / name)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.nn.functional, "linear", watched)
            fit(again)
        assert torch.bfloat16 in seen, name
        seen.clear()


@pytest.mark.parametrize(
    ("first", "then", "message"),
    [(True, False, "they are missing .* Go on where"), (False, True, "TUNEWRIGHT_KERNELS=off")],
)
def test_a_checkpoint_of_another_way_of_stepping_is_refused_and_changes_nothing(
    make_job, monkeypatch, first, then, message
):
    fits = loop.one_pass.fits
    monkeypatch.setattr(loop.one_pass, "fits", lambda groups: first and fits(groups))
    fit(make_job())
    again = make_job()
    before = weights(again)
    monkeypatch.setattr(loop.one_pass, "fits", lambda groups: then and fits(groups))
    if not fits([]):
        pytest.skip("this machine has no kernels")
    with pytest.raises(MachineError, match=message):
        fit(again, resume=True)
    assert_same_bits(before, weights(again))
