"""One pass over the memory ends where torch's clipping, AdamW and the average end, words that rarely occur included."""

from __future__ import annotations

import copy

import pytest
import torch
from accelerate import Accelerator

from tunewright.core import catalog
from tunewright.kernels.library import library
from tunewright.models.model import build_model
from tunewright.training.averaging import Average
from tunewright.training.one_pass import OnePass, fits
from tunewright.training.parameters import parameter_groups
from tunewright.training.update import Update

pytestmark = pytest.mark.skipif(library() is None, reason="this machine has no kernels")
ADAM = (0.9, 0.99, 1e-8)
STEPS = 300
RARE = 200  # the step at which the words of the first steps come again


def pair(backbone, *, rule: str | None, clip: float, decay: float = 0.3):
    """The same model twice, with the plain update and with the one of one pass."""
    torch.manual_seed(0)
    one = build_model(backbone, catalog.create("heads", "pooled"), ("a", "b"))
    found = []
    for model in (one, copy.deepcopy(one)):
        groups = parameter_groups(model, learning_rate=1e-3, weight_decay=decay, layer_decay=0.9)
        average = Average(model, rule and catalog.create("averages", rule), STEPS)
        found.append((model, groups, average))
    (model, groups, average), (fast, fast_groups, fast_average) = found
    accelerator = Accelerator(cpu=True)
    optimizer = torch.optim.AdamW(groups, betas=ADAM[:2], eps=ADAM[2])
    plain = Update(model, optimizer, average, accelerator=accelerator, clip_norm=clip)
    return (model, plain), (fast, OnePass(fast, fast_groups, fast_average, adam=ADAM, clip_norm=clip))


def batch(step: int) -> dict[str, torch.Tensor]:
    """Words 5 … 14 in the first ten steps and from RARE on, others between; some words never."""
    random = torch.Generator().manual_seed(step)
    low, high = (5, 15) if step < 10 or step >= RARE else (20, 60)
    ids = torch.randint(low, high, (4, 6), generator=random)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def gradients(model, number: int) -> dict[str, torch.Tensor]:
    """Of a batch, by the model's own weights."""
    logits = model(batch(number))
    (logits.logsumexp(dim=1) - logits[:, number % 2]).sum().backward()
    return {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}


def step(model, update, number: int, found: dict[str, torch.Tensor], factor: float = 1.0, *, rows: bool) -> float:
    """One step by gradients that were found; the length of all before clipping. rows: the words' as rows of the batch."""
    for name, value in model.named_parameters():
        if name not in found:
            continue
        value.grad = found[name].clone()
        if rows and name.endswith("word_embeddings.weight"):
            ids = batch(number)["input_ids"].unique()
            value.grad = torch.sparse_coo_tensor(ids[None], found[name][ids], value.shape, check_invariants=False)
    norm = update.gradient_norm()
    update.apply(number, factor)
    update.discard()
    return norm


def assert_close(first, second):
    for (name, value), other in zip(first.named_parameters(), second.parameters(), strict=True):
        torch.testing.assert_close(value, other, rtol=1e-5, atol=2e-6, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize(("rule", "clip"), [("polynomial", 0.5), ("ema", 0.0), ("swa", 0.5), (None, 1e9)])
def test_weights_and_averages_end_where_torch_ends(backbone, rule, clip):
    (model, plain), (fast, update) = pair(backbone, rule=rule, clip=clip)
    for number in range(1, STEPS + 1):
        found = gradients(model, number)
        factor = 0.5 if number % 50 < 25 else 1.0
        norms = [
            step(model, plain, number, found, factor, rows=False),
            step(fast, update, number, found, factor, rows=True),
        ]
        assert norms[0] == pytest.approx(norms[1], rel=1e-5)
        if number in (100, STEPS):
            update.settle()
            assert_close(model, fast)
    with plain.average.applied(), update.average.applied():
        assert_close(model, fast)


def test_in_training_only_the_words_of_a_batch_have_gradients(backbone):
    _, (fast, update) = pair(backbone, rule=None, clip=1.0)
    words = fast.backbone.embeddings.word_embeddings
    with update.attached():
        fast(batch(1)).sum().backward()
        assert words.weight.grad.is_sparse
    update.discard()
    assert words.weight.grad is None
    fast(batch(1)).sum().backward()
    assert not words.weight.grad.is_sparse


def test_a_word_is_up_to_date_whenever_it_is_looked_up(backbone):
    (model, plain), (fast, update) = pair(backbone, rule="polynomial", clip=0.5)
    places = torch.arange(5, 15)  # they occur in the first nine steps
    vectors = [one.backbone.embeddings.word_embeddings for one in (model, fast)]
    with update.attached():
        for number in range(1, 40):
            found = gradients(model, number)
            step(model, plain, number, found, rows=False)
            step(fast, update, number, found, rows=True)
        expected, stale = vectors[0](places), vectors[1].weight[places]
        assert not torch.allclose(expected, stale, rtol=1e-5, atol=2e-6)
        torch.testing.assert_close(expected, vectors[1](places), rtol=1e-5, atol=2e-6)


def test_words_that_never_occur_only_decay(backbone):
    (model, _), (fast, update) = pair(backbone, rule=None, clip=1.0)
    words = fast.backbone.embeddings.word_embeddings.weight
    before = words.detach().clone()
    for number in range(1, 11):
        step(fast, update, number, gradients(model, number), rows=True)
    assert torch.equal(words[70:], before[70:])  # put off
    update.settle()
    rate = next(rate for weight, (rate, _) in zip(update._weights, update._rates, strict=True) if weight is words)
    torch.testing.assert_close(words[70:], before[70:] * (1 - rate * 0.3) ** 10, rtol=1e-6, atol=0)
    assert not update._moments[-1][0][70:].any()


def test_the_thread_count_changes_no_bit(backbone):
    ends = []
    threads = torch.get_num_threads()
    for count in (1, 2):
        (model, _), (fast, update) = pair(backbone, rule="polynomial", clip=0.5)
        found = gradients(model, 1)
        torch.set_num_threads(count)
        for number in range(1, 20):
            step(fast, update, number, found, rows=True)
        update.settle()
        torch.set_num_threads(threads)
        ends.append([value.detach().clone() for value in fast.parameters()])
    assert all(map(torch.equal, *ends))


def test_a_dense_gradient_of_the_words_is_taken_as_well(backbone):
    (model, plain), (fast, update) = pair(backbone, rule="polynomial", clip=0.5)
    for number in range(1, 30):
        found = gradients(model, number)
        step(model, plain, number, found, rows=False)
        step(fast, update, number, found, rows=False)
    assert_close(model, fast)


def test_other_numbers_and_devices_are_left_to_torch():
    whole = torch.nn.Parameter(torch.zeros(4, 4))
    assert fits([{"params": [whole]}])
    assert not fits([{"params": [torch.nn.Parameter(torch.zeros(4, 4, dtype=torch.float64))]}])
    assert not fits([{"params": [whole, torch.nn.Parameter(torch.zeros(4, 4).T[1:])]}])
    assert not fits([{"params": [torch.nn.Parameter(torch.zeros(4, device="meta"))]}])


def test_what_begins_to_train_later_makes_the_steps_of_torch(backbone):
    (model, plain), (fast, update) = pair(backbone, rule="polynomial", clip=0.0)
    names = [name for name, _ in model.named_parameters()]
    for number in range(1, 9):
        held = [name for name in names if number < 5 and not name.startswith("head.")]
        for one in (model, fast):
            one.hold(held)
        found = {name: value for name, value in gradients(model, number).items()}
        model.zero_grad()
        for own, way, rows in ((model, plain, False), (fast, update, True)):
            step(own, way, number, found, rows=rows)
    with update.attached():
        update.settle()
    assert_close(model, fast)
