"""What an objective promises: one loss an example, finite and lower when right, with gradients and class weights."""

from __future__ import annotations

from typing import Any

from tunewright.testing.conformance import Subject

ROWS, LABELS = 4, 3


def each_example_has_its_own_loss(subject: Subject) -> None:
    """(batch,) losses, each that of its example alone: a step may be cut into parts."""
    import torch

    objective = subject.create()
    logits, gold = _logits(), _gold(subject)
    losses = objective.loss(logits, gold, None)
    assert losses.shape == (ROWS,), f"losses have the shape {tuple(losses.shape)}"
    alone = [objective.loss(logits[i : i + 1], gold[i : i + 1], None)[0] for i in range(ROWS)]
    torch.testing.assert_close(losses, torch.stack(alone))


def losses_and_gradients_are_finite(subject: Subject) -> None:
    """Even where the network is absurdly sure."""
    import torch

    for scale in (1.0, 1e4):
        logits = (_logits() * scale).requires_grad_(True)
        losses = subject.create().loss(logits, _gold(subject), None)
        losses.sum().backward()
        assert bool(torch.isfinite(losses).all()), f"losses at logits of {scale:g}: {losses}"
        assert bool(torch.isfinite(logits.grad).all())


def a_step_along_the_gradient_makes_it_smaller(subject: Subject) -> None:
    """It is what training makes small."""
    objective, gold = subject.create(), _gold(subject)
    logits = _logits().requires_grad_(True)
    before = objective.loss(logits, gold, None).sum()
    before.backward()
    after = objective.loss((logits - 0.1 * logits.grad).detach(), gold, None).sum()
    assert float(after) < float(before.detach())


def class_weights_count(subject: Subject) -> None:
    """Heavier labels weigh more; weights of one change nothing."""
    import torch

    objective, logits, gold = subject.create(), _logits(), _gold(subject)
    plain = objective.loss(logits, gold, None)
    torch.testing.assert_close(objective.loss(logits, gold, torch.ones(LABELS)), plain)
    weighed = objective.loss(logits, gold, torch.tensor([5.0, 1.0, 0.2]))
    assert not torch.allclose(weighed, plain)
    assert float(weighed[0]) > float(plain[0]), "the example of the heavy label weighs no more"


def _logits() -> Any:
    import torch

    return torch.randn(ROWS, LABELS, generator=torch.Generator().manual_seed(0))


def _gold(subject: Subject) -> Any:
    """Labels in the form the objective takes: an index an example, or zeros and ones for every label."""
    import torch

    indices = torch.tensor([0, 1, 2, 0])
    try:
        subject.create().loss(_logits(), indices, None)
    except (ValueError, RuntimeError, IndexError, TypeError):
        return torch.nn.functional.one_hot(indices, LABELS).float()
    return indices
