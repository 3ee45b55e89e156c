"""What a runtime promises: the numbers that were evaluated, in order, whatever stands beside a window."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tunewright.core.errors import MachineError
from tunewright.testing import materials
from tunewright.testing.conformance import Subject

TOLERANCE = 1e-4  # of a logit, where a runtime is exact
ROUNDED = 0.1  # of the largest logit, where it is not


def it_gives_what_was_evaluated(subject: Subject) -> None:
    """Its outputs are the network's own, in order and without padding, for answers per text and per token."""
    from tunewright.models.inference import outputs

    for head in ("pooled", "tokens"):
        network, folder = _bundle(subject, head)
        if subject.create().lacks(folder):
            continue
        expected = outputs(network.eval(), materials.windows(), pad_id=materials.processor().pad_id)
        found = subject.create().open(folder)(materials.windows())
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert one.shape == other.shape and one.dtype == np.float32
        assert _furthest(found, expected) <= _tolerance(subject, expected)


def a_window_alone_gets_the_same_answer(subject: Subject) -> None:
    """Batching changes nothing, or no more than rounding does; no windows give no outputs."""
    _, folder = _bundle(subject, "pooled")
    if subject.create().lacks(folder):
        return
    run = subject.create().open(folder)
    together = run(materials.windows())
    alone = [run([window])[0] for window in materials.windows()]
    assert _furthest(together, alone) <= _tolerance(subject, together)
    assert run([]) == []


def its_features_are_what_the_last_map_is_applied_to(subject: Subject) -> None:
    """A runtime that gives features gives those of which the network's own map makes its answers."""
    network, folder = _bundle(subject, "pooled")
    if subject.create().lacks(folder):
        return
    try:
        found = subject.create().features(folder)(materials.windows())
    except MachineError:
        return
    weight, bias = (part.detach().numpy() for part in (network.head.output.weight, network.head.output.bias))
    answers = subject.create().open(folder)(materials.windows())
    assert all(one.shape == weight.shape[1:] and one.dtype == np.float32 for one in found)
    assert _furthest([weight @ one + bias for one in found], answers) <= _tolerance(subject, answers)


def _furthest(found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> float:
    return max(float(np.abs(one - other).max()) for one, other in zip(found, expected, strict=True))


def _tolerance(subject: Subject, logits: Sequence[np.ndarray]) -> float:
    """What logits may differ by: for a runtime that rounds, a share of the largest of them."""
    return TOLERANCE if subject.create().exact else ROUNDED * max(float(np.abs(one).max()) for one in logits)


def _bundle(subject: Subject, head: str):
    from tunewright.models.layout import save_model

    folder: Path = subject.folder / head
    network = materials.model(head)
    save_model(network, folder / "model", multi_label=False)
    materials.processor().save(folder / "model")
    if not subject.create().lacks(folder):
        subject.create().prepare(folder)
    return network, folder
