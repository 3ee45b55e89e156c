"""From recipe and data to a model that is ready to train: backbone, processor, head, method; every `auto` decided."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunewright.core import catalog
from tunewright.core.contracts import Head, Objective
from tunewright.core.errors import RecipeError, listing, nearest
from tunewright.core.recipe import Recipe, replace
from tunewright.core.types import label_names
from tunewright.data.dataset import Dataset, Split
from tunewright.models.locate import Located, choose, locate
from tunewright.models.model import Model, build_model
from tunewright.models.processor import Processor, token_limit

IMBALANCE = 20  # largest over smallest class: beyond it classes are weighed, and macro F1 decides
SAMPLE = 20_000  # texts looked at to choose the window


@dataclass(frozen=True)
class Plan:
    """The recipe with every `auto` decided, what was decided on, and why."""

    recipe: Recipe
    located: Located
    processor: Processor
    whys: Mapping[str, str]  # recipe key → why this was chosen

    @property
    def head(self) -> Head:
        """The head the task asks for."""
        return catalog.create("heads", self.recipe.task.head)  # type: ignore[return-value]

    @property
    def objective(self) -> Objective:
        """What training makes small."""
        chosen = self.recipe.train.objective
        name = self.recipe.task.objective if chosen == "auto" else chosen
        return catalog.create("objectives", name) if isinstance(name, str) else name  # type: ignore[return-value]


def plan(recipe: Recipe, dataset: Dataset) -> Plan:
    """Decide everything that does not need the network itself in memory. Deterministic."""
    whys: dict[str, str] = {}
    name = recipe.model.backbone
    if name == "auto":
        name, whys["model.backbone"] = choose(dataset.language)
    located = locate(name, pickled_weights=recipe.model.pickled_weights, remote_code=recipe.model.remote_code)
    processor = _processor(recipe, dataset, located, whys)
    counts = label_counts(dataset.splits["train"])
    ratio = max(counts.values(), default=1) / max(1, min(counts.values(), default=1))
    metric = recipe.evaluate.metric
    if metric == "auto":
        metric = "macro_f1" if ratio > IMBALANCE and recipe.task.metric == "accuracy" else recipe.task.metric
        whys["evaluate.metric"] = (
            f"the largest class has {ratio:.1f} times the rows of the smallest; over {IMBALANCE} times, macro_f1 decides"
        )
    weights = recipe.train.class_weights
    if weights == "auto":
        weights = "balanced" if ratio > IMBALANCE else "none"
    stopping = recipe.train.early_stopping
    if stopping and stopping.metric == "auto":
        stopping = dataclasses.replace(stopping, metric=metric)
    baselines = tuple(baseline for baseline in recipe.evaluate.baselines if baseline.suits(recipe.task))
    if left_out := [catalog.name_of(one) for one in recipe.evaluate.baselines if one not in baselines]:
        whys["evaluate.baselines"] = f"{', '.join(left_out)} cannot do {catalog.name_of(recipe.task)}"
    _check_slices(recipe, dataset)
    resolved = replace(
        recipe,
        **{
            "evaluate.baselines": baselines,
            "model.backbone": name,
            "data.max_tokens": processor.max_tokens,
            "data.columns": dict(dataset.roles),
            "evaluate.metric": metric,
            "train.class_weights": weights,
            "train.early_stopping": stopping,
        },
    )
    return Plan(resolved, located, processor, whys)


def _check_slices(recipe: Recipe, dataset: Dataset) -> None:
    """Raise RecipeError for a slice that is no column beside the task's own."""
    known = ["length", *(name for name in dataset.splits["train"].columns if name not in dataset.roles.values())]
    for name in recipe.evaluate.slices:
        if name not in known:
            raise RecipeError(
                f"evaluate.slices: {name!r} is neither length nor a further column of the data.{nearest(name, known)} "
                f"Known: {listing(known)}."
            )


def build(plan: Plan, labels: tuple[str, ...], *, attention: str) -> Model:
    """The network with a fresh head, and the method applied: only what the method says has `requires_grad`."""
    import torch

    torch.manual_seed(plan.recipe.seed)
    settings = plan.recipe.model
    model = open_model(plan, labels, dropout=settings.dropout, attention=attention)
    model = plan.recipe.train.method.apply(model)
    if _freeze_words(settings.word_embeddings, model):
        from tunewright.models import surgery

        surgery.word_embeddings(model.backbone).requires_grad_(False)
    return model


def open_model(plan: Plan, labels: tuple[str, ...], *, dropout: float = 0.0, attention: str = "eager") -> Model:
    """The planned backbone as it was pretrained, with a fresh head."""
    trust = {name: getattr(plan.recipe.model, name) for name in ("pickled_weights", "remote_code")}
    return build_model(plan.located.folder, plan.head, labels, dropout=dropout, attention=attention, **trust)


def class_weights(plan: Plan, dataset: Dataset) -> np.ndarray | None:
    """(labels,) weights whose mean over the training rows is 1, or None."""
    if plan.recipe.train.class_weights == "none":
        return None
    counts = label_counts(dataset.splits["train"])
    numbers = np.array([max(1, counts.get(label, 0)) for label in dataset.labels], dtype=np.float64)
    return (numbers.sum() / (len(numbers) * numbers)).astype(np.float32)


def label_counts(split: Split) -> dict[str, int]:
    """Label → rows of the split that have it."""
    counts: dict[str, int] = {}
    for example in split:
        for name in label_names(example.label):
            counts[name] = counts.get(name, 0) + 1
    return counts


LARGE_VOCABULARY = 100_000  # pieces; beyond, updating their vectors costs more than the rest of a step


def _freeze_words(wanted: str, model: Model) -> bool:
    from tunewright.models import surgery

    if wanted == "auto":
        return surgery.word_embeddings(model.backbone).num_embeddings > LARGE_VOCABULARY
    return wanted == "freeze"


def _processor(recipe: Recipe, dataset: Dataset, located: Located, whys: dict[str, str]) -> Processor:
    data = recipe.data
    settings: dict[str, Any] = {"overflow": data.overflow, "stride": data.stride, "prefix": located.facts.prefix}
    if data.max_tokens != "auto":
        return Processor.load(located.folder, max_tokens=data.max_tokens, **settings)
    processor = Processor.load(located.folder, max_tokens=token_limit(located.folder), **settings)
    longest = _longest(processor, dataset, recipe.task.inputs)
    chosen = min(processor.max_tokens, -(-longest // 8) * 8)  # multiples of 8 suit the matrix units
    whys["data.max_tokens"] = f"the longest of the texts looked at has {longest} tokens"
    return Processor.load(located.folder, max_tokens=max(chosen, 16), **settings)


def _longest(processor: Processor, dataset: Dataset, roles: tuple[str, ...]) -> int:
    longest = 0
    for name in ("train", "validation"):
        examples = dataset.splits[name].examples(0, SAMPLE)
        texts = [" ".join(_text(example.inputs[role]) for role in roles) for example in examples]
        if texts:
            longest = max(longest, int(processor.lengths(texts).max()))
    return longest


def _text(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
