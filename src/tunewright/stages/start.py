"""What comes before the first step: the head begins as `train.start` says."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tunewright.core.contracts import Beginning
from tunewright.core.types import Example, Window
from tunewright.data.dataset import Dataset, Split
from tunewright.models.model import Model
from tunewright.stages.assemble import Plan
from tunewright.stages.embed import Embedder
from tunewright.training.encoded import open_encoded, write_encoded
from tunewright.training.likeness import Likeness
from tunewright.training.loop import Job, fit
from tunewright.training.record import recording

PROBE_ROWS = 10_000  # rows that a head's start is fitted on at most: their features stay in memory


def start(plan: Plan, dataset: Dataset, model: Model, embedder: Embedder, job: Job, folder: Path) -> None:
    """Give the head its start. `job` is the training that follows; `embedder` has the backbone as it was pretrained.

    A start that moves the backbone does so under `folder`, and goes on there when it was interrupted.
    """
    import torch

    train, validation = (_labelled(dataset.splits[name]) for name in ("train", "validation"))
    now = embedder
    if not plan.recipe.train.method.starts_plain:
        now = Embedder(plan, job.device, job.progress, model)
        now.precision = embedder.precision

    def gather(steps: int, more: Sequence[Example]) -> None:
        nonlocal now
        windows = plan.recipe.task.encode(more, plan.processor, dataset.labels) if more else []
        own = dataclasses.replace(job, folder=folder, seed=plan.recipe.seed)
        _gather(_with(own, windows, [one.id for one in more]), steps)
        torch.manual_seed(job.seed)
        now = Embedder(plan, job.device, job.progress, model)

    given = Beginning(
        plan.recipe.task,
        train,
        validation,
        dataset.labels,
        features=lambda examples: now(examples),
        gather=gather,
        progress=job.progress,
        device=job.device,
    )
    found = plan.recipe.train.start.head(given)  # type: ignore[union-attr]
    embedder.release()
    if found is not None:
        model.start_head(*(torch.from_numpy(part).to(job.device) for part in found))


def _with(job: Job, windows: Sequence[Window], names: Sequence[str]) -> Job:
    """The job with these windows too, whose examples are called `names`; they are on disk, behind the others, in its folder."""
    if not windows:
        return job
    rows, target = 1 + int(job.windows.examples.max()), job.folder / "encoded"
    behind = (dataclasses.replace(one, example=rows + one.example) for one in windows)
    if not target.exists():
        write_encoded(itertools.chain(job.windows, behind), target, job.windows.pad_id)
    known = job.row
    return dataclasses.replace(
        job,
        windows=open_encoded(target),
        row=lambda index: known(index) if index < rows else names[index - rows],
    )


def _gather(job: Job, steps: int) -> None:
    """Train for some steps by `Likeness` on the pooled features. Kept is what has the least loss on the training rows."""
    epochs = steps / math.ceil(len(job.windows) / job.settings.batch_size)
    plain: dict[str, Any] = {"epochs": epochs, "evaluate_every": epochs, "early_stopping": None, "regularisers": ()}
    settings = dataclasses.replace(job.settings, **plain)
    objective = Likeness()
    job.folder.mkdir(exist_ok=True)
    with recording(job.folder, (), {}) as record, job.model.pooling():
        fit(
            dataclasses.replace(
                job,
                settings=settings,
                objective=objective,
                class_weights=None,
                record=record,
                evaluate=lambda: {"loss": _loss(job, objective)},
                metric="loss",
                start=lambda: None,
                twins=None,
                told=None,
            ),
            resume=True,
        )


def _loss(job: Job, objective: Likeness) -> float:
    """Of the training rows, in batches as they come."""
    import torch

    total, size = 0.0, job.settings.batch_size
    job.model.eval()
    with torch.no_grad():
        for first in range(0, len(job.windows), size):
            arrays = job.windows.batch(np.arange(first, min(first + size, len(job.windows))))
            batch = {name: torch.from_numpy(value).to(job.device) for name, value in arrays.items()}
            total += float(objective.loss(job.model(batch), batch["labels"], None).sum())
    job.model.train()
    return total / len(job.windows)


def _labelled(split: Split) -> list[Example]:
    """All rows, or PROBE_ROWS from all over the split."""
    if len(split) <= PROBE_ROWS:
        return split.examples()
    return split.take(np.linspace(0, len(split) - 1, PROBE_ROWS).astype(np.int64))
