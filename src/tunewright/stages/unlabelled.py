"""Rows without labels: a trained and calibrated model answers them, and sure answers are learned from in a second training."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tunewright.core import catalog
from tunewright.core.contracts import Adopted, Scored
from tunewright.core.files import read_json, write_json
from tunewright.core.progress import Progress
from tunewright.core.types import Label, label_names
from tunewright.data.dataset import Dataset, Extended
from tunewright.predict.infer import infer, stepping
from tunewright.stages import judge
from tunewright.stages.assemble import Plan, label_counts
from tunewright.stages.fit import Trained, answering, chosen_by
from tunewright.training.loop import standing

AGAIN = (
    "again"  # folder of a run: the second training, and `adopted.json`, what it learns from beside the labelled rows
)

Models = Callable[[Dataset, Path], Trained]  # (rows, folder) → what training on them there gives


def train_with(plan: Plan, dataset: Dataset, folder: Path, models: Models, progress: Progress) -> Trained:
    """Train on the labelled rows, then from the start on these and adopted ones, and keep the better by validation.

    Where `train.unlabelled` adopts none, train once. Each training goes on where it was interrupted, since `models` does.
    """
    first = models(dataset, folder)
    use = plan.recipe.train.unlabelled
    if use is None or not use.adopts:
        return first
    adopted, labels = _adopted(first, dataset, folder / AGAIN, progress)
    metric = chosen_by(plan)
    about = {"rows": len(dataset.unlabelled), "taken": len(adopted.rows), **adopted.about, "metric": metric}
    about |= {"name": catalog.name_of(use), "before": first.values[metric]}
    if not len(adopted.rows):
        progress.say("No row without a label is taken: no score on validation is right often enough.")
        return dataclasses.replace(first, unlabelled={**about, "after": None, "kept": False})
    progress.say(
        f"{len(adopted.rows)} of {len(dataset.unlabelled)} rows without labels are taken, at scores from "
        f"{adopted.about['threshold']:.3f}; training begins anew with them."
    )
    more = Extended(dataset.splits["train"], dataset.unlabelled, adopted.rows, labels)
    second = models(dataset.with_train(more), folder / AGAIN)
    kept = standing(second.values, metric) > standing(first.values, metric)
    told = f"{metric} {first.values[metric]:.4f} without them, {second.values[metric]:.4f} with them"
    progress.say(f"Validation {told}: the model {'with' if kept else 'without'} them is kept.")
    chosen = second if kept else first
    fitted = dataclasses.replace(chosen.fitted, seconds=first.fitted.seconds + second.fitted.seconds)
    return dataclasses.replace(
        chosen, fitted=fitted, unlabelled={**about, "after": second.values[metric], "kept": kept}
    )


def _adopted(first: Trained, dataset: Dataset, folder: Path, progress: Progress) -> tuple[Adopted, list[Label]]:
    """The rows to learn from and their labels; a resumed run keeps to those it began with."""
    file = folder / "adopted.json"
    if not file.exists():
        scored, values = _scored(first, dataset, progress)
        adopted = first.plan.recipe.train.unlabelled.adopt(scored)
        folder.mkdir(exist_ok=True)
        labels = [values[row] for row in adopted.rows]
        write_json(file, {"rows": adopted.rows, "labels": labels, "about": adopted.about})
    stored = read_json(file)
    labels = [tuple(label) if isinstance(label, list) else label for label in stored["labels"]]
    return Adopted(np.array(stored["rows"], dtype=np.int64), stored["about"]), labels


def _scored(trained: Trained, dataset: Dataset, progress: Progress) -> tuple[Scored, list[Any]]:
    """What the model, calibrated on validation, says of validation and of the rows without labels, and its answers there."""
    recipe, labels = trained.plan.recipe, dataset.labels
    run = answering(trained.models, trained.plan, recipe.train.device)

    def items(split: Any) -> Any:
        return infer(split, recipe.task, trained.plan.processor, labels, run)

    validation = [item for item in items(dataset.splits["validation"]) if item.example.label is not None]
    calibrated = judge.calibrate(recipe, validation, labels)

    def said(item: Any) -> Any:
        logits = item.logits * calibrated.scale + calibrated.shift
        return recipe.task.decode(logits, item.windows, labels, calibrated.policy)

    with progress.task("Answering rows without labels", total=len(dataset.unlabelled)) as step:
        answers = [(p.score, p.value) for p in map(said, stepping(items(dataset.unlabelled), step))]
    known = [(item.example.label, said(item)) for item in validation]
    counts = label_counts(dataset.splits["train"])
    scored = Scored(
        validation=np.array([p.score for _, p in known]),
        right=np.array([recipe.task.measures.right(gold, p.value) for gold, p in known]),
        unlabelled=np.array([score for score, _ in answers]),
        names=[label_names(value) for _, value in answers],
        shares={label: count / sum(counts.values()) for label, count in counts.items()},
    )
    return scored, [value for _, value in answers]
