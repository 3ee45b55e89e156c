"""What a step is computed from: a batch's pass through the network, and what regularisers make of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from tunewright.core import catalog
from tunewright.core.contracts import Compute, Objective, Pass, Regulariser
from tunewright.core.errors import RecipeError
from tunewright.models.model import Model
from tunewright.training.encoded import EncodedSplit

BATCH = 32  # windows whose loss is computed at a time, where nothing else says

Batch = Mapping[str, Tensor]

Wrap = Callable[[Compute, Batch], Pass]


def attached(model: Model, objective: Objective, regularisers: Sequence[Regulariser]) -> list[Wrap]:
    """What each regulariser puts around a pass. Called while the model has its pretrained weights.

    Raises RecipeError where one cannot serve this model.
    """
    return [regulariser.attach(model, objective) for regulariser in regularisers]


def passes(
    objective: Objective,
    wraps: Sequence[Wrap] = (),
    *,
    forward: Callable[[Batch], Tensor],
    class_weights: Tensor | None,
) -> Callable[[Batch], Pass]:
    """A function from a batch to its Pass, each of `wraps` around those before it.

    forward: gives the model's logits, in the precision of training. class_weights: (labels,), of the objective's losses.
    """

    def once(batch: Batch) -> Pass:
        logits = forward(batch)
        return Pass(logits, objective.loss(logits, batch["labels"], class_weights))

    def whole(batch: Batch) -> Pass:
        compute = partial(once, batch)
        for wrap in wraps:
            compute = partial(wrap, compute, batch)
        return compute()

    return whole


def mean_loss(model: Model, objective: Objective, windows: EncodedSplit, device: str, rows: int | None = None) -> float:
    """Of the first `rows` windows, in batches as they come; None: of all."""
    total, rows = 0.0, len(windows) if rows is None else min(len(windows), rows)
    training = model.training
    model.eval()
    with torch.no_grad():
        for first in range(0, rows, BATCH):
            arrays = windows.batch(np.arange(first, min(first + BATCH, rows)))
            batch = {name: torch.from_numpy(value).to(device) for name, value in arrays.items()}
            total += float(objective.loss(model(batch), batch["labels"], None).sum())
    model.train(training)
    return total / rows


def check_regularisers(model: Model, objective: Objective, regularisers: Sequence[Regulariser], batch: Batch) -> None:
    """Raise RecipeError where one of them cannot do its work; computes `batch` and changes nothing."""
    training = model.training
    model.train()
    try:
        with torch.random.fork_rng(devices=[]):
            for count, regulariser in enumerate(regularisers, 1):
                wraps = attached(model, objective, regularisers[:count])
                inside = passes(objective, wraps[:-1], forward=model, class_weights=None)
                if regulariser.needs_chance and torch.equal(inside(batch).logits, inside(batch).logits):
                    raise RecipeError(
                        f"train.regularisers: {catalog.name_of(regulariser)} compares two passes, and here all passes are "
                        "the same. Set model.dropout: 0.1, where the backbone has places for dropout."
                    )
                passes(objective, wraps, forward=model, class_weights=None)(batch)
    finally:
        model.train(training)
