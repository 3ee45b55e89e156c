"""What a head promises: a linear map at its end, features before it, and no eye for padding."""

from __future__ import annotations

from tunewright.testing.conformance import Subject

BATCH, TOKENS, HIDDEN, OUTPUTS = 3, 5, 8, 4


def it_ends_in_a_linear_map_on_its_features(subject: Subject) -> None:
    """`output` is a linear map, and logits are what it makes of `features`: calibration and probes rely on it."""
    import torch

    head, hidden, mask = _built(subject)
    assert isinstance(head.output, torch.nn.Linear)
    assert head.output.out_features == OUTPUTS
    logits = head(hidden, mask)
    torch.testing.assert_close(head.output(head.features(hidden, mask)), logits)
    assert logits.shape[0] == BATCH and logits.shape[-1] == OUTPUTS
    assert logits.dtype == torch.float32


def padding_changes_nothing(subject: Subject) -> None:
    """What stands at padded places has no influence on the answer."""
    import torch

    head, hidden, mask = _built(subject)
    other = torch.where(mask.bool().unsqueeze(-1), hidden, torch.full_like(hidden, 7.0))
    real = head(hidden, mask), head(other, mask)
    if real[0].ndim == 3:  # an answer per token: those of padded places are cut off later
        real = tuple(logits[mask.bool()] for logits in real)
    torch.testing.assert_close(*real)


def it_answers_alike_without_torch(subject: Subject) -> None:
    """`answer` gives the module's logits from the real tokens alone: runtimes do without torch."""
    import numpy as np

    head, hidden, mask = _built(subject)
    expected, real = head(hidden, mask).detach().numpy(), mask.bool().numpy()
    offsets = np.concatenate([[0], real.sum(axis=1).cumsum()])
    parts = (head.output.weight.detach().numpy(), head.output.bias.detach().numpy())
    found = subject.create().answer(hidden.numpy()[real], offsets, *parts)
    assert len(found) == BATCH
    for row, logits in enumerate(found):
        wanted = expected[row] if expected.ndim == 2 else expected[row, real[row]]
        np.testing.assert_allclose(logits, wanted, rtol=1e-4, atol=1e-4)
    assert subject.create().answer(hidden.numpy()[real][:0], np.zeros(1, dtype=np.int64), *parts) == []


def gradients_reach_the_backbone(subject: Subject) -> None:
    """Training the whole network goes through it."""
    import torch

    head, hidden, mask = _built(subject)
    hidden.requires_grad_(True)
    (head(hidden, mask) * torch.arange(1.0, OUTPUTS + 1)).sum().backward()
    assert hidden.grad is not None and bool((hidden.grad != 0).any())


def its_transformers_class_exists(subject: Subject) -> None:
    """The saved form is one that plain `transformers` has."""
    import transformers

    assert hasattr(transformers, subject.cls.transformers_class), subject.cls.transformers_class


def _built(subject: Subject):
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        head = subject.create().build(HIDDEN, OUTPUTS)
        hidden = torch.randn(BATCH, TOKENS, HIDDEN)
    mask = torch.ones(BATCH, TOKENS, dtype=torch.int64)
    mask[0, 3:] = 0
    return head, hidden, mask
