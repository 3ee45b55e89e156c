"""What a regulariser promises: a loss for every row, gradients for what trains, and a network left as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tunewright.core import catalog
from tunewright.testing import materials
from tunewright.testing.conformance import Subject

if TYPE_CHECKING:
    from tunewright.core.contracts import Pass
    from tunewright.models.model import Model


def every_row_has_a_finite_loss(subject: Subject) -> None:
    """Losses (batch,) and the first pass's logits, in the ordinary form of a backbone and in the one without padding."""
    import torch

    for packed in (False, True):
        batch = _batch()
        done = _passes(subject, _model(packed))(batch)
        assert done.losses.shape == batch["labels"].shape, f"losses have the shape {tuple(done.losses.shape)}"
        assert done.logits.shape == (len(batch["labels"]), len(materials.LABELS))
        assert bool(torch.isfinite(done.losses).all()), done.losses


def one_row_alone_has_a_loss(subject: Subject) -> None:
    """A step may be cut into parts of one row."""
    import torch

    batch = {name: value[:1] for name, value in _batch().items()}
    done = _passes(subject, _model())(batch)
    done.losses.sum().backward()
    assert done.losses.shape == (1,) and bool(torch.isfinite(done.losses).all())


def gradients_reach_what_trains(subject: Subject) -> None:
    """All parameters that have a gradient without it have one with it, and it is finite."""
    import torch

    model = _model()
    _passes(subject, model, regularised=False)(_batch()).losses.sum().backward()
    plain = {name for name, value in model.named_parameters() if value.grad is not None}
    model.zero_grad()
    _passes(subject, model)(_batch()).losses.sum().backward()
    for name, value in model.named_parameters():
        assert (value.grad is not None) == (name in plain), f"{name} has a gradient in one of both ways only"
        assert value.grad is None or bool(torch.isfinite(value.grad).all()), name


def it_changes_what_is_learned(subject: Subject) -> None:
    """Some gradients differ from those without it."""
    import torch

    found = []
    for regularised in (False, True):
        model = _model(dropout=0.1 if subject.create().needs_chance else 0.0)
        torch.manual_seed(0)
        _passes(subject, model, regularised=regularised)(_batch()).losses.sum().backward()
        found.append([value.grad for value in model.parameters() if value.grad is not None])
    assert not all(torch.allclose(*both) for both in zip(*found, strict=True))


def it_leaves_the_network_as_it_was(subject: Subject) -> None:
    """The same parameters with the same numbers, no gradients, no hooks; also when a pass breaks off."""
    import torch

    model = _model()
    own = dict(model.named_parameters())
    before = {name: value.detach().clone() for name, value in own.items()}
    compute = _passes(subject, model)
    for breaks in (False, True):
        batch = _batch()
        if breaks:
            batch["labels"] = batch["labels"] + len(materials.LABELS)  # cross-entropy refuses them
        try:
            compute(batch)
        except (IndexError, RuntimeError):
            assert breaks
        now = dict(model.named_parameters())
        assert list(now) == list(own) and all(now[name] is value for name, value in own.items())
        assert all(torch.equal(value, before[name]) and value.grad is None for name, value in now.items())
        hooks = [m for m in model.modules() if m._forward_hooks or m._forward_pre_hooks]
        assert not hooks, f"hooks stay on {hooks}"
        assert model.training


def one_seed_gives_the_same_losses(subject: Subject) -> None:
    """Chance is torch's alone, whose state a checkpoint holds; it remembers nothing of earlier batches."""
    import torch

    compute, found = _passes(subject, _model()), []
    for _ in range(2):
        torch.manual_seed(3)
        found.append(compute(_batch()).losses)
    assert torch.equal(*found)


def it_stands_around_others(subject: Subject) -> None:
    """Around itself, as around anything in the recipe's list: the outer one asks the inner one, and not the network."""
    import torch

    model, calls = _model(), []
    compute = _passes(subject, model, times=2)
    hook = model.register_forward_hook(lambda *_: calls.append(1))
    done = compute(_batch())
    twice = len(calls)
    calls.clear()
    _passes(subject, model)(_batch())
    hook.remove()
    done.losses.sum().backward()
    assert bool(torch.isfinite(done.losses).all())
    assert twice == len(calls) ** 2, f"{len(calls)} passes a time, and {twice} of two"


def _model(packed: bool = False, dropout: float = 0.1) -> Model:
    """A network in training; in the form without padding dropout lies in adapters' maps alone."""
    model = materials.model(dropout=0.0 if packed else dropout)
    if packed:
        model.pack()
    return model.train()


def _passes(subject: Subject, model: Model, *, regularised: bool = True, times: int = 1) -> Callable[[Any], Pass]:
    from tunewright.training.passes import attached, passes

    objective = catalog.create("objectives", "cross_entropy")
    listed = [subject.create()] * times if regularised else []
    return passes(objective, attached(model, objective, listed), forward=model, class_weights=None)  # type: ignore[arg-type]


def _batch() -> dict[str, Any]:
    import torch

    batch = materials.batch()
    return {**batch, "labels": torch.arange(len(batch["input_ids"])) % len(materials.LABELS)}
