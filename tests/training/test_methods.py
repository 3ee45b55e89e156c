"""Methods in the loop: those that change on the way resume to the same bits, keep still what waits, and cost what they say."""

from __future__ import annotations

import pytest
import torch
from runs import Killed, assert_same_bits, killed_at, weights

from tunewright.core import catalog
from tunewright.training import checkpoint
from tunewright.training.loop import fit

INSERTED = ["adalora", "adapter", "dora", "ia3", "lora", "prefix", "prompt"]


def settings(name: str, **changes):
    method = catalog.create("methods", {"name": name, **changes.pop("method", {})})
    return {"method": method, "checkpoint_steps": 3, "early_stopping": None, **changes}


@pytest.mark.parametrize("name", catalog.names("methods"))
@pytest.mark.parametrize("kill_at", [8, 17])
def test_with_every_method_a_killed_run_resumes_to_the_same_bits(make_job, name, kill_at):
    whole = make_job("whole", settings=settings(name))
    fit(whole)
    with pytest.raises(Killed):
        fit(killed_at(make_job("killed", settings=settings(name)), kill_at))
    again = make_job("killed", settings=settings(name))
    fit(again, resume=True)
    assert_same_bits(weights(whole), weights(again))
    assert_same_bits(dict(whole.model.named_buffers()), dict(again.model.named_buffers()))
    assert again.record.path.read_text() == whole.record.path.read_text()


@pytest.mark.parametrize("name", catalog.names("methods"))
def test_with_every_method_the_fast_way_ends_where_the_plain_way_ends(make_job, name):
    ends = []
    for engine in ("plain", "auto"):
        job = make_job(engine, settings=settings(name, engine=engine, epochs=2), model_dropout=0.0, learning_rate=1e-3)
        if engine == "auto":
            job.model.pack()
        fit(job)
        ends.append(weights(job))
    for name, value in ends[0].items():
        if not name.endswith(("key.bias", "key.base_layer.bias")):  # AdamW makes steps of the rounding of zero
            torch.testing.assert_close(value, ends[1][name], rtol=1e-2, atol=2e-4, msg=lambda m, n=name: f"{n}: {m}")


# ------------------------------------------------------------------------------------------------------- unfreeze

STEPS = 24
LAYER = "backbone.encoder.layer.{}.output.dense.weight"
WORDS = "backbone.embeddings.word_embeddings.weight"
BEGINS = {"head.output.weight": 0, LAYER.format(1): 4, LAYER.format(0): 8, WORDS: 12}  # half of the run, by two layers


@pytest.mark.parametrize("engine", ["plain", "auto"])
def test_layers_keep_their_bits_until_it_is_their_turn_and_move_from_then_on(make_job, engine):
    job = make_job(settings=settings("unfreeze", engine=engine, checkpoint_steps=1), learning_rate=1e-3)
    before, moved, save = weights(job), {}, checkpoint.save

    def watching(folder, step, model, update, average, state):
        update.settle()
        averages = average.tensors()
        for name in BEGINS:
            same = torch.equal(model.get_parameter(name), before[name])
            assert same == torch.equal(averages[name], before[name])
            if not same:
                moved.setdefault(name, step)
        return save(folder, step, model, update, average, state)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "save", watching)
        fit(job)
    assert moved == {name: begin + 1 for name, begin in BEGINS.items()}


def test_layers_that_wait_cost_no_backward_pass(make_job):
    method = catalog.create("methods", "unfreeze")
    model, job = make_job().model, make_job()
    batch = {name: torch.from_numpy(value) for name, value in job.windows.batch([0, 1]).items()}
    seen = []
    for layer in model.backbone.encoder.layer:
        layer.register_forward_hook(lambda *given: seen.append(given[-1].requires_grad))
    for step, expected in ((0, [False, False]), (4, [False, True]), (8, [True, True])):
        method.at(model, step, STEPS)
        seen.clear()
        model(batch)
        assert seen == expected
        model.pack()
        assert model.hidden(batch).requires_grad == any(expected)
        model._packed = None


def test_what_waits_counts_as_trained(make_job):
    model = make_job(settings=settings("unfreeze")).model
    every = set(model.trained_parameters())
    catalog.create("methods", "unfreeze").at(model, 0, STEPS)
    assert set(model.trained_parameters()) == every == {name for name, _ in model.named_parameters()}
    assert {name for name, value in model.named_parameters() if value.requires_grad} == {
        "head.output.weight",
        "head.output.bias",
    }


def test_frozen_word_embeddings_stay_frozen(make_job):
    job = make_job(settings=settings("unfreeze"), learning_rate=1e-3)
    job.model.get_parameter(WORDS).requires_grad_(False)
    before = weights(job)
    fit(job)
    assert torch.equal(before[WORDS], weights(job)[WORDS])


# -------------------------------------------------------------------------------------------------------- adalora


def ranks(model):
    return {name: kept for name, kept in model.backbone.base_model.ranks.items()}


def test_adalora_ends_with_its_budget_and_what_is_given_up_is_nothing_at_all(make_job):
    job = make_job(settings=settings("adalora", method={"rank": 2, "start_rank": 4}), learning_rate=1e-2)
    began = sum(int(kept.sum()) for kept in ranks(job.model).values())
    fitted = fit(job)
    kept, adapted = ranks(job.model), job.model.backbone.base_model.model
    assert fitted.best_step > 17  # where ranks are settled
    assert sum(int(one.sum()) for one in kept.values()) == began // 2 == 2 * len(kept)
    assert len({int(one.sum()) for one in kept.values()}) > 1  # some matrices have more than others
    for name, one in kept.items():  # these are the averaged weights
        values = adapted.get_parameter(name)
        assert torch.equal(values[~one], torch.zeros_like(values[~one]))
        assert (values[one] != 0).all()


def test_adalora_keeps_every_rank_while_it_warms_up(make_job):
    method = catalog.create("methods", {"name": "adalora", "warm_up": 0.5})
    job = make_job(settings=settings("adalora", method={"warm_up": 0.5}, epochs=3))
    model, kept = job.model, []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(method), "at", _noting(type(method).at, kept))
        fit(job)
    first = next(step for step, share in kept if share < 1)
    assert first == 13 and {share for step, share in kept if step <= 12} == {1.0}
    assert all(one.dtype == torch.bool for one in ranks(model).values())


def _noting(at, kept):
    def noting(self, model, step, steps):
        at(self, model, step, steps)
        every = torch.cat(list(ranks(model).values()))
        kept.append((step, float(every.float().mean())))

    return noting


def test_the_penalty_draws_directions_towards_orthogonal_ones(make_job):
    distances = []
    for weight in (0.0, 5.0):
        job = make_job(str(weight), settings=settings("adalora", method={"orthogonality": weight}), learning_rate=1e-2)
        fit(job)
        found = [v for name, v in job.model.named_parameters() if "lora_A" in name]
        distances.append(sum(float((m @ m.T - torch.eye(len(m))).norm().detach()) for m in found))
    assert distances[1] < 0.5 * distances[0]


def test_parts_of_a_step_share_the_penalty_once(make_job):
    ends = []
    for tokens in (20, 1000):
        job = make_job(
            str(tokens),
            settings=settings("adalora", method={"orthogonality": 5.0}, epochs=1, micro_batch_tokens=tokens),
            model_dropout=0.0,
            learning_rate=1e-3,
        )
        fit(job)
        ends.append(weights(job))
    for name, value in ends[0].items():
        torch.testing.assert_close(value, ends[1][name], rtol=1e-3, atol=1e-4)
