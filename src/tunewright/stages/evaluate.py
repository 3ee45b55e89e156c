"""Measure a bundle on labelled rows: every metric with its interval, in slices, and what was left out."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewright.core import recipe as recipes
from tunewright.core.bundle import Bundle
from tunewright.core.contracts import Task
from tunewright.core.errors import DataError, listing, nearest
from tunewright.core.measures import COUNT_METRICS
from tunewright.core.progress import Progress, Silent
from tunewright.core.recipe import Recipe
from tunewright.core.types import Example, Prediction
from tunewright.data.dataset import Dataset, Split
from tunewright.data.prepare import prepare_source
from tunewright.predict.infer import Inferred, stepping
from tunewright.predict.predictor import Predictor
from tunewright.predict.source import choose_columns, open_file
from tunewright.stages import judge
from tunewright.stages.verdict import SEALED, count_use, was_sealed


@dataclass(frozen=True)
class Judged:
    """Labelled rows with one bundle's answers, in order; their windows are kept without the arrays."""

    items: Sequence[Inferred]
    predictions: Sequence[Prediction]

    @property
    def examples(self) -> list[Example]:
        """The rows."""
        return [item.example for item in self.items]

    @property
    def gold(self) -> list[Any]:
        """Their labels."""
        return [item.example.label for item in self.items]


@dataclass(frozen=True)
class Evaluation:
    """What was measured.

    metrics: all of the task's; metric: the one that decides; intervals: metric → {"value", "low", "high"};
    slices: slice → its parts with the deciding metric; dropped: kind of problem → rows that could not be judged;
    accepted: what the bundle's policy answers, and how often it errs there; None when it always answers;
    test_uses: how often this sealed test split has been judged on, None when it is none.
    """

    n: int
    metric: str
    metrics: Mapping[str, Any]
    intervals: Mapping[str, Mapping[str, float]]
    slices: Mapping[str, Sequence[Mapping[str, Any]]]
    dropped: Mapping[str, int]
    accepted: Mapping[str, float] | None
    test_uses: int | None

    def to_dict(self) -> dict[str, Any]:
        """As `evaluate --json` prints it."""
        return dataclasses.asdict(self)


def evaluate(
    predictor: Predictor,
    dataset: Dataset,
    *,
    slices: Sequence[str] = (),
    progress: Progress | None = None,
) -> tuple[Evaluation, Judged]:
    """Judge `predictor` on rows that `labelled` gave; `slices` are "length" or columns, beside those of its recipe.

    Raises DataError with the nearest name for a slice that the data has no column for.
    """
    bundle, split = predictor.bundle, dataset.splits["test"]
    recipe = bundle.recipe
    chosen = _slices(split, dataset.roles, slices, recipe.evaluate.slices)
    recipe = recipes.replace(recipe, **{"evaluate.slices": chosen})
    judged = answer(predictor, split, progress)
    metrics = bundle.task.measures.metrics(judged.gold, judged.predictions, bundle.labels)
    evaluation = Evaluation(
        n=len(judged.items),
        metric=recipe.evaluate.metric,
        metrics=metrics,
        intervals=_intervals(recipe, judged, metrics, bundle.labels),
        slices=judge.slice_tables(recipe, judged.items, judged.predictions, bundle.labels),
        dropped=dataset.ledger["rows"]["test"].get("reasons", {}),
        accepted=_accepted(predictor, judged),
        test_uses=sealed_uses(bundle, split.fingerprint),
    )
    return evaluation, judged


@contextmanager
def labelled(
    source: str | Path,
    task: Task,
    labels: Sequence[str],
    *,
    columns: Mapping[str, str] | None = None,
    trained: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Iterator[Dataset]:
    """Labelled rows of `source` as a Dataset with the single split "test", for as long as the context lasts.

    columns: role → column as the user says; trained: as they were in training, where the source has them.
    Raises DataError or LabelError with file, line and nearest match.
    """
    found = open_file(source, progress)
    roles, _ = choose_columns(found, task, columns, trained, with_target=True)
    with tempfile.TemporaryDirectory(prefix="tunewright-") as folder:
        yield prepare_source(
            source, task, Path(folder) / "data", labels=tuple(labels), columns=roles, progress=progress
        )


def trained_on(bundle: Bundle, source: str | Path, name: str = "it") -> str:
    """A warning when `source` is the very file that the bundle (`name` in the sentence) was trained on, else ""."""
    train = bundle.recipe.data.train
    same = os.path.exists(source) and os.path.exists(train) and os.path.samefile(source, train)
    if not same and str(source) != train:
        return ""
    return f"warning: These are rows {name} was trained on: {source}. Its report judges rows it had not seen."


def answer(predictor: Predictor, split: Split, progress: Progress | None = None, title: str = "Evaluating") -> Judged:
    """Answers for every row of a split. The model is not shown the labels, some of which it may not know."""
    items, predictions = [], []
    unlabelled = (dataclasses.replace(example, label=None) for example in split)
    with (progress or Silent()).task(title, total=len(split)) as step:
        answers = stepping(predictor.answers(unlabelled), step, predictor.chunk)
        for example, (item, prediction) in zip(split, answers, strict=True):
            predictions.append(prediction)
            light = [dataclasses.replace(window, features={}, offsets=None) for window in item.windows]
            items.append(dataclasses.replace(item, example=example, windows=light))
    return Judged(items, predictions)


def _slices(split: Split, roles: Mapping[str, str], asked: Sequence[str], trained: Sequence[str]) -> tuple[str, ...]:
    """What to slice by: all that was asked for, and of the recipe's what this data has."""
    there = ["length", *(column for column in split.columns if column not in roles.values())]
    for name in asked:
        if name not in there:
            raise DataError(
                f"The data cannot be sliced by {name!r}.{nearest(name, there)} Give --slice one of {listing(there)}."
            )
    return tuple(dict.fromkeys([*(name for name in trained if name in there), *asked]))


def _intervals(
    recipe: Recipe, judged: Judged, metrics: Mapping[str, Any], labels: Sequence[str]
) -> dict[str, dict[str, float]]:
    quick = [
        name
        for name, value in metrics.items()
        if isinstance(value, float) and recipe.task.measures.weighed(name, judged.gold, judged.predictions, labels)
    ]
    wanted = dict.fromkeys([recipe.evaluate.metric, *(name for name in COUNT_METRICS if name in metrics), *quick])
    found = {}
    for name in wanted:
        measured = judge.measured_interval(
            recipes.replace(recipe, **{"evaluate.metric": name}), judged.gold, judged.predictions, labels
        )
        found[name] = {key: measured[key] for key in ("value", "low", "high")}
    return found


def _accepted(predictor: Predictor, judged: Judged) -> dict[str, float] | None:
    accept = predictor.policy.accept
    if accept is None:
        return None
    found = judge.accepted(predictor.bundle.task, judged.gold, judged.predictions)
    return {"accept": accept, "coverage": found.pop("accepted"), **found}


def sealed_uses(bundle: Bundle, fingerprint: str) -> int | None:
    """Count one more use when these rows are a test split that was sealed beside the bundle's run."""
    registry = bundle.folder.absolute().parent.parent / SEALED
    return count_use(registry, fingerprint) if was_sealed(registry, fingerprint) else None
