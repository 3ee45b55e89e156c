"""What a way to learn from rows without labels promises: it takes rows that are there, or adds a finite loss to steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from tunewright.core import catalog
from tunewright.core.contracts import Scored
from tunewright.testing import materials
from tunewright.testing.conformance import Subject


def it_does_one_of_both(subject: Subject) -> None:
    """It adopts rows between two trainings, or counts in steps; and what counts in steps names what changes the copies."""
    one = subject.create()
    assert one.adopts != bool(one.copies), "neither adopts rows nor counts in steps, or does both"
    assert not one.copies or one.copies[0] > 0
    assert not one.copies or one.copies[1] in catalog.names("augmenters"), f"no augmenter is named {one.copies[1]!r}"


def what_it_adopts_are_places_of_rows(subject: Subject) -> None:
    """Places in rising order, each once; none where no answer on validation is right; the same every time."""
    random = np.random.default_rng(0)
    scores, right = random.random(200), random.random(200) < 0.9
    names = [(materials.LABELS[row % len(materials.LABELS)],) for row in range(200)]
    shares = dict.fromkeys(materials.LABELS, 1 / len(materials.LABELS))
    for known in (right, np.zeros(200, dtype=bool)):
        scored = Scored(scores, known, scores, names, shares)
        adopted = subject.create().adopt(scored)
        assert np.array_equal(adopted.rows, np.unique(adopted.rows))
        assert not len(adopted.rows) or (adopted.rows.min() >= 0 and adopted.rows.max() < 200)
        assert np.array_equal(adopted.rows, subject.create().adopt(scored).rows)
        assert known.any() or not len(adopted.rows), "rows are adopted by answers that are all wrong"


def its_loss_is_finite_and_reaches_the_copies_alone(subject: Subject) -> None:
    """A loss (rows,), of one row too, that is not below zero, with a finite gradient; zero where both answers are sure and the same."""
    import torch

    for multi_label in (False, True):
        for rows in (1, 5):
            said, changed = _logits(rows), _logits(rows).flip(1).requires_grad_()
            losses = subject.create().consistency(said, changed, multi_label)
            assert losses.shape == (rows,) and bool(torch.isfinite(losses).all()) and bool((losses >= -1e-6).all())
            if subject.create().copies:
                losses.sum().backward()
                assert bool(torch.isfinite(changed.grad).all()) and bool((changed.grad != 0).any())
                same = subject.create().consistency(100 * said, 100 * said, multi_label)
                assert float(same.abs().max()) < 1e-3


def _logits(rows: int) -> Any:
    """Sure of one label each."""
    import torch

    places = torch.arange(rows) % len(materials.LABELS)
    return 12 * torch.nn.functional.one_hot(places, len(materials.LABELS)).float() - 6
