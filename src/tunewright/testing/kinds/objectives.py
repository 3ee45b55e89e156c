"""What an objective promises: one loss an example, finite and lower when right, with gradients and class weights."""

from __future__ import annotations

from typing import Any

from tunewright.core import graphs
from tunewright.testing.conformance import Subject

ROWS, TOKENS, LABELS = 4, 5, 3


def each_example_has_its_own_loss(subject: Subject) -> None:
    """(batch,) losses, each that of its example alone: a step may be cut into parts."""
    import torch

    objective, (logits, gold) = subject.create(), _made(subject)
    losses = objective.loss(logits, gold, None)
    assert losses.shape == (ROWS,), f"losses have the shape {tuple(losses.shape)}"
    if objective.joint:
        return
    alone = [objective.loss(logits[i : i + 1], gold[i : i + 1], None)[0] for i in range(ROWS)]
    torch.testing.assert_close(losses, torch.stack(alone))


def a_joint_one_sees_the_whole_step(subject: Subject) -> None:
    """Another wrong document makes no query's loss smaller, and some larger; one that is right too changes nothing."""
    import torch

    objective, (features, gold) = subject.create(), _made(subject)
    if not objective.joint:
        return
    plain = objective.loss(features, gold, None)
    more = torch.cat([features, features[:1]])
    wrong, right = (torch.cat([gold, torch.full((ROWS, 1), value)], dim=1) for value in (0, -100))
    harder = objective.loss(more, wrong, None)
    assert bool((harder >= plain).all()) and bool((harder > plain).any())
    torch.testing.assert_close(objective.loss(more, right, None), plain)


def losses_and_gradients_are_finite(subject: Subject) -> None:
    """Even where the network is absurdly sure."""
    import torch

    for scale in (1.0, 1e4):
        logits = (_logits(subject) * scale).requires_grad_(True)
        losses = subject.create().loss(logits, _gold(subject), None)
        losses.sum().backward()
        assert bool(torch.isfinite(losses).all()), f"losses at logits of {scale:g}: {losses}"
        assert bool(torch.isfinite(logits.grad).all())


def a_step_along_the_gradient_makes_it_smaller(subject: Subject) -> None:
    """It is what training makes small."""
    objective, gold = subject.create(), _gold(subject)
    logits = _logits(subject).requires_grad_(True)
    before = objective.loss(logits, gold, None).sum()
    before.backward()
    after = objective.loss((logits - 0.1 * logits.grad).detach(), gold, None).sum()
    assert float(after) < float(before.detach())


def class_weights_count(subject: Subject) -> None:
    """Heavier labels weigh more; weights of one change nothing. One for numbers or places refuses them."""
    import torch

    if _logits(subject).shape[-1] != LABELS or subject.create().joint:
        try:
            subject.create().loss(_logits(subject), _gold(subject), torch.ones(1))
        except ValueError:
            return
        raise AssertionError("class weights were taken where there are no classes")

    objective, (logits, gold) = subject.create(), _made(subject)
    plain = objective.loss(logits, gold, None)
    torch.testing.assert_close(objective.loss(logits, gold, torch.ones(LABELS)), plain)
    weighed = objective.loss(logits, gold, torch.tensor([5.0, 1.0, 0.2]))
    assert not torch.allclose(weighed, plain)
    assert float(weighed[0]) > float(plain[0]), "the example of the heavy label weighs no more"


def two_answers_are_apart_the_same_both_ways(subject: Subject) -> None:
    """`divergence` is one number an example, 0 for equal answers and more for others; an objective may refuse it."""
    import torch

    from tunewright.core.errors import RecipeError

    objective, (logits, gold) = subject.create(), _made(subject)
    other = logits.flip(0) * 2
    try:
        apart = objective.divergence(logits, other, gold)
    except RecipeError:
        return
    assert apart.shape == (ROWS,) and bool((apart > 0).all()), apart
    torch.testing.assert_close(apart, objective.divergence(other, logits, gold))
    torch.testing.assert_close(objective.divergence(logits, logits, gold), torch.zeros(ROWS))


def _logits(subject: Subject) -> Any:
    return _made(subject)[0]


def _gold(subject: Subject) -> Any:
    return _made(subject)[1]


def _made(subject: Subject) -> tuple[Any, Any]:
    """Outputs and labels in the form the objective takes: features of queries and documents, an index an example, zeros and
    ones for every label, a number, an index a token (alone, or with the outputs it is among; or that of a pair of tags), zeros
    and ones for both outputs of every token, below zero where a token is none; tags, entities and relations as
    core/graphs.py has them."""
    import torch

    outputs = torch.randn(ROWS, LABELS, generator=torch.Generator().manual_seed(0))
    indices = torch.tensor([0, 1, 2, 0])
    hot = torch.nn.functional.one_hot(indices, LABELS).float()
    marks = torch.stack([hot, hot.roll(1, dims=1)], dim=-1)
    marks[3, 2] = -100.0
    if subject.create().joint:
        return torch.cat([outputs, outputs.roll(1, dims=1)]), torch.eye(ROWS, dtype=torch.int64)
    tokens, of_tokens = outputs[:, None].repeat(1, TOKENS, 1), indices[:, None].repeat(1, TOKENS)
    forms = (
        (outputs, indices),
        (outputs, hot),
        (outputs[:, :1], indices.float()),
        (tokens, of_tokens),
        (outputs.unsqueeze(-1) * torch.tensor([1.0, -1.0]), marks),
        (tokens, torch.stack([of_tokens, torch.zeros_like(of_tokens), torch.full_like(of_tokens, LABELS)], dim=-1)),
        (_of_pairs(), _related(of_tokens)),
    )
    steps = torch.tensor(
        [[2, 3, 5, 4, 2], [3, 4, 2, 2, 2], [-100, 2, 3, 4, -100], [2, 2, 3, 5, 5]]
    )  # pairs of two tags
    chained = torch.randn(ROWS, TOKENS, 6, generator=torch.Generator().manual_seed(1))
    for logits, gold in (*forms, (chained, steps)):
        try:
            subject.create().loss(logits, gold, None)
        except (ValueError, RuntimeError, IndexError, TypeError):
            continue
        return logits, gold
    raise AssertionError("The objective takes no labels that the suite knows.")


def _of_pairs() -> Any:
    """Outputs of tokens that hold LABELS tags and the numbers of two relations."""
    import torch

    outputs = LABELS + 4 * graphs.width(rank=1)
    return torch.randn(ROWS, TOKENS, outputs, generator=torch.Generator().manual_seed(0))


def _related(tags: Any) -> Any:
    """Labels of entities and relations: LABELS tags, two entities of which the first is the head of the second of two
    relations; in the last example one entity alone."""
    import torch

    found = torch.full((ROWS, TOKENS, graphs.COLUMNS), -100)
    found[..., graphs.TAG] = tags
    found[:, 0, [graphs.FIRST, graphs.LAST]] = torch.tensor([0, 1])
    found[:-1, 1, [graphs.FIRST, graphs.LAST]] = torch.tensor([3, 3])
    found[:-1, 0, [graphs.HEAD, graphs.TAIL, graphs.NAME]] = torch.tensor([0, 1, 1])
    found[..., [graphs.TAGS, graphs.RELATIONS]] = torch.tensor([LABELS, 2])
    return found
