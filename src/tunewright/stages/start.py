"""What comes before the first step: the head begins as `train.start` says."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tunewright.core.contracts import Beginning, Objective
from tunewright.core.errors import plural
from tunewright.core.linear import fit_ridge
from tunewright.core.numeric import spread
from tunewright.core.types import Example, Window
from tunewright.data.dataset import Dataset, Split
from tunewright.models.model import Model
from tunewright.stages.assemble import Plan
from tunewright.stages.embed import CHUNK, Embedder
from tunewright.training.encoded import open_encoded, write_encoded
from tunewright.training.likeness import Likeness
from tunewright.training.loop import Job, fit
from tunewright.training.passes import mean_loss
from tunewright.training.record import recording
from tunewright.training.taught import Taught

PROBE_ROWS = 10_000  # rows that a head's start is fitted on at most: their features stay in memory
MAPPED = 2000  # pairs that the map is fitted on whose answers are to be the cosines
JUDGED = 2000  # rows by whose loss it is told whether steps before the first one were of use


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
        _train(_with(own, windows, [one.id for one in more]), Likeness(), steps)
        torch.manual_seed(job.seed)
        now = Embedder(plan, job.device, job.progress, model)

    def teach(steps: int, examples: Sequence[Example], numbers: np.ndarray) -> None:
        nonlocal now
        if not _moves(model):
            return
        job.progress.say(f"Teaching the cosines of {len(examples)} pairs of texts first: {plural(steps, 'step')}.")
        spread = max(float(numbers.std()), 1e-12)
        numbers = (numbers - numbers.mean()) / spread  # so that the loss is the share that is not learned yet
        half = len(examples) // 2  # the map is fitted on the second one, so that the first says what was not known
        fitted = slice(half, half + MAPPED)
        objective = _map(now, examples[fitted], numbers[fitted], job.device)
        own = dataclasses.replace(job, folder=folder, seed=plan.recipe.seed, row=lambda index: examples[index].id)
        _train(_of(own, _numbered(plan, examples, numbers)), objective, steps, judged=min(half, JUDGED))
        torch.manual_seed(job.seed)
        now = Embedder(plan, job.device, job.progress, model)

    given = Beginning(
        plan.recipe.task,
        train,
        validation,
        dataset.labels,
        features=lambda examples: now(examples),
        gather=gather,
        teach=teach,
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
    rows, known = 1 + int(job.windows.examples.max()), job.row
    behind = (dataclasses.replace(one, example=rows + one.example) for one in windows)
    both = _of(job, itertools.chain(job.windows, behind))
    return dataclasses.replace(both, row=lambda index: known(index) if index < rows else names[index - rows])


def _of(job: Job, windows: Iterable[Window]) -> Job:
    """The job with these windows in place of its own; they are on disk, in its folder."""
    if not (target := job.folder / "encoded").exists():
        write_encoded(windows, target, job.windows.pad_id)
    return dataclasses.replace(job, windows=open_encoded(target))


def _moves(model: Model) -> bool:
    """Whether training changes what the head is applied to."""
    return any(not name.startswith("head.") for name in model.trained_parameters())


def _map(embedder: Embedder, examples: Sequence[Example], numbers: np.ndarray, device: str) -> Taught:
    """The linear map of the features as they are that comes nearest to the numbers."""
    import torch

    features = embedder(examples)
    fit = fit_ridge(features, numbers, features[:0], numbers[:0])
    return Taught(torch.from_numpy(fit.weight[0]).to(device), float(fit.bias[0]))


def _numbered(plan: Plan, examples: Sequence[Example], numbers: np.ndarray) -> Iterator[Window]:
    """The windows of examples without labels, with their example's number as "labels"."""
    for first in range(0, len(examples), CHUNK):
        for window in plan.recipe.task.encode(examples[first : first + CHUNK], plan.processor, ()):
            place = first + window.example
            labels = {"labels": np.asarray(numbers[place], dtype=np.float32)}
            yield dataclasses.replace(window, example=place, features={**window.features, **labels})


def _train(job: Job, objective: Objective, steps: int, judged: int = JUDGED) -> None:
    """Train for some steps on the pooled features. Kept is what has the least loss on the first `judged` training rows."""
    epochs = (steps - 0.25) / math.ceil(len(job.windows) / job.settings.batch_size)  # rounded up to whole steps there
    plain: dict[str, Any] = {"epochs": epochs, "evaluate_every": epochs, "early_stopping": None, "regularisers": ()}
    settings = dataclasses.replace(job.settings, **plain)
    job.folder.mkdir(exist_ok=True)
    with recording(job.folder, (), {}) as record, job.model.pooling():
        fit(
            dataclasses.replace(
                job,
                settings=settings,
                objective=objective,
                class_weights=None,
                record=record,
                evaluate=lambda: {"loss": mean_loss(job.model, objective, job.windows, job.device, judged)},
                metric="loss",
                start=lambda: None,
                twins=None,
                told=None,
            ),
            resume=True,
        )


def _labelled(split: Split) -> list[Example]:
    """All rows, or PROBE_ROWS from all over the split."""
    return split.examples() if len(split) <= PROBE_ROWS else split.take(spread(len(split), PROBE_ROWS))
