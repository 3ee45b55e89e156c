"""What an optimizer promises: it goes downhill, keeps to its groups' settings, and resumes to the same bits."""

from __future__ import annotations

from typing import Any

from tunewright.testing import materials
from tunewright.testing.conformance import Subject


def it_goes_downhill(subject: Subject) -> None:
    """Twenty steps make a simple loss smaller."""
    import torch

    weight = torch.nn.Parameter(torch.tensor([[3.0, -2.0], [1.0, 4.0]]))
    optimizer = subject.create().build([{"params": [weight], "lr": 0.05, "weight_decay": 0.0}])
    losses = []
    for _ in range(20):
        loss = (weight**2).sum()
        losses.append(float(loss.detach()))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < losses[0], losses


def each_group_keeps_its_own_learning_rate(subject: Subject) -> None:
    """Layer-wise rates and schedules reach it: a group at rate 0 stays as it is."""
    import torch

    still, moving = (torch.nn.Parameter(torch.ones(2, 2)) for _ in range(2))
    groups = [{"params": [p], "lr": lr, "weight_decay": 0.0} for p, lr in ((still, 0.0), (moving, 0.1))]
    optimizer = subject.create().build(groups)
    (still.sum() + moving.sum()).backward()
    optimizer.step()
    assert torch.equal(still.data, torch.ones(2, 2))
    assert not torch.equal(moving.data, torch.ones(2, 2))
    assert [group["lr"] for group in optimizer.param_groups] == [0.0, 0.1]


def weight_decay_shrinks_weights(subject: Subject) -> None:
    """A group's `weight_decay` counts: with decay, weights end up smaller."""
    import torch

    ends = []
    for decay in (0.0, 0.5):
        weight = torch.nn.Parameter(torch.full((2, 2), 2.0))
        optimizer = subject.create().build([{"params": [weight], "lr": 0.1, "weight_decay": decay}])
        for _ in range(3):
            (weight.sum() * 0.01).backward()
            optimizer.step()
            optimizer.zero_grad()
        ends.append(float(weight.detach().abs().sum()))
    assert ends[1] < ends[0], ends


def constants_of_adam_are_those_it_steps_by(subject: Subject) -> None:
    """Where `adam` names constants, they and nothing else decide its steps: another way of computing relies on that."""
    import torch

    settings = subject.create().adam()
    if settings is None:
        return
    beta1, beta2, epsilon = settings
    ends = []
    for build in (subject.create().build, lambda groups: torch.optim.AdamW(groups, betas=(beta1, beta2), eps=epsilon)):
        weight = torch.nn.Parameter(torch.tensor([[3.0, -2.0], [1.0, 4.0]]))
        optimizer = build([{"params": [weight], "lr": 0.05, "weight_decay": 0.1}])
        for _ in range(5):
            (weight**3).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
        ends.append(weight.detach())
    assert torch.allclose(*ends), ends


def its_state_comes_back_from_a_checkpoint(subject: Subject) -> None:
    """Stopped after some steps and resumed from the checkpoint, it ends in the same bits as without a stop."""
    import torch

    from tunewright.training import checkpoint

    whole, optimizer = _started(subject)
    _steps(whole, optimizer, range(6))
    first, optimizer = _started(subject)
    _steps(first, optimizer, range(3))
    path = checkpoint.save(subject.folder, 3, first, *_around(first, optimizer), {"note": 1})
    second, optimizer = _started(subject, seed=1)
    assert checkpoint.load(path, second, *_around(second, optimizer)) == {"note": 1}
    _steps(second, optimizer, range(3, 6))
    for (name, expected), value in zip(whole.named_parameters(), second.parameters(), strict=True):
        if expected.requires_grad:
            assert torch.equal(expected, value), f"{name} differs after resuming"


def _started(subject: Subject, seed: int = 0) -> tuple[Any, Any]:
    """A small model of which the head and the top layer train, and its optimizer."""
    from tunewright.core import catalog

    model = catalog.create("methods", {"name": "freeze", "layers": 1}).apply(materials.model(seed=seed))
    groups = [{"params": list(model.trained_parameters().values()), "lr": 1e-3, "weight_decay": 0.01}]
    return model, subject.create().build(groups)


def _around(model: Any, optimizer: Any) -> tuple[Any, Any]:
    """What the loop has around an optimizer: the update, and no average."""
    from accelerate import Accelerator

    from tunewright.training.averaging import Average
    from tunewright.training.update import Update

    average = Average(model, None, 1)
    return Update(model, optimizer, average, accelerator=Accelerator(cpu=True), clip_norm=0.0), average


def _steps(model: Any, optimizer: Any, numbers: range) -> None:
    batch = materials.batch()
    for number in numbers:
        (model(batch).float() * (number + 1)).logsumexp(dim=1).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
