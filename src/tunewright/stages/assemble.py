"""From recipe and data to a model that is ready to train: backbone, processor, head, method; every `auto` decided."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunewright.core import catalog
from tunewright.core.contracts import Baseline, Head, Objective, Start
from tunewright.core.errors import RecipeError, listing, nearest
from tunewright.core.recipe import Decision, Recipe, replace
from tunewright.core.types import Note, label_names
from tunewright.data import augment
from tunewright.data.checks import IMBALANCE
from tunewright.data.dataset import Dataset, Split
from tunewright.models.locate import Located, choose, locate
from tunewright.models.model import Model, build_model
from tunewright.models.processor import Processor, token_limit

EPOCHS, MOST_EPOCHS = 5, 20  # what `train.epochs: auto` lies between
STEPS = 600  # that it makes where rows are few: entities of 1183 sentences (wikigold) still get better up to there
LEAST = 4  # tokens of a window; with fewer there is hardly a word between the special ones
WINDOW = 512  # tokens; an automatic window is no longer, as the cost of attention grows with its square


@dataclass(frozen=True)
class Plan:
    """The recipe with every `auto` decided, what was decided on, and why."""

    recipe: Recipe
    located: Located
    processor: Processor
    whys: Mapping[str, Note]  # recipe key → why this was chosen

    @property
    def head(self) -> Head:
        """The head the task asks for."""
        return catalog.create("heads", self.recipe.task.head)  # type: ignore[return-value]

    @property
    def objective(self) -> Objective:
        """What training makes small."""
        return objective_of(self.recipe)


def objective_of(recipe: Recipe) -> Objective:
    """What training makes small: what the recipe names, or the task's own."""
    chosen = recipe.train.objective
    name = recipe.task.objective if chosen == "auto" else chosen
    return catalog.create("objectives", name) if isinstance(name, str) else name  # type: ignore[return-value]


def plan(recipe: Recipe, dataset: Dataset) -> Plan:
    """Decide everything that does not need the network itself in memory. Deterministic."""
    whys: dict[str, Note] = {}
    name = recipe.model.backbone
    if name == "auto":
        name, whys["model.backbone"] = choose(dataset.language)
    augment.check(recipe.data.augment, recipe.task)
    _check_ensemble(recipe)
    _check_unlabelled(recipe)
    located = locate(name, pickled_weights=recipe.model.pickled_weights, remote_code=recipe.model.remote_code)
    processor = _processor(recipe, located, whys)
    if recipe.task.beside.columns and not recipe.task.beside.known:
        known = recipe.task.beside.seen_in(example.columns for example in dataset.splits["train"])
        recipe = replace(recipe, **{"task.known": known})
    counts = label_counts(dataset.splits["train"])
    ratio = max(counts.values(), default=1) / max(1, min(counts.values(), default=1))
    metric, weights = _metric(recipe, ratio, whys), _weights(recipe, ratio)
    start = _start(recipe, dataset.labels, whys)
    epochs = recipe.train.epochs
    if epochs == "auto":
        epochs = _epochs(start, len(dataset.splits["train"]), recipe.train.batch_size, whys)
    stopping = recipe.train.early_stopping
    if stopping and stopping.metric == "auto":
        stopping = dataclasses.replace(stopping, metric=metric)
    baselines = _baselines(recipe, whys)
    decision = _decision(recipe, whys)
    _check_slices(recipe, dataset)
    resolved = replace(
        recipe,
        **{
            "evaluate.baselines": baselines,
            "model.backbone": name,
            "data.max_tokens": processor.max_tokens,
            "data.stride": processor.stride,
            "data.columns": dict(dataset.roles),
            "evaluate.metric": metric,
            "decision": decision,
            "train.start": start,
            "train.epochs": epochs,
            "train.class_weights": weights,
            "train.early_stopping": stopping,
        },
    )
    return Plan(resolved, located, processor, whys)


def _metric(recipe: Recipe, ratio: float, whys: dict[str, Note]) -> str:
    """What decides. ratio: rows of the largest class to those of the smallest."""
    own = recipe.task.metric
    if recipe.evaluate.metric != "auto":
        return recipe.evaluate.metric
    if own != "accuracy" or not recipe.task.scored:
        return own
    whys["evaluate.metric"] = Note(
        f"the largest class has {ratio:.1f} times the rows of the smallest; over {IMBALANCE} times, macro_f1 decides",
        f"最大类别的数据量是最小类别的 {ratio:.1f} 倍；超过 {IMBALANCE} 倍时以宏平均 F1 为准",
    )
    return "macro_f1" if ratio > IMBALANCE else own


def _weights(recipe: Recipe, ratio: float) -> str:
    """Whether classes are weighed, "balanced" or "none". Raises RecipeError where there are none to weigh."""
    weights = recipe.train.class_weights
    if weights == "auto":
        return "balanced" if ratio > IMBALANCE and recipe.task.scored else "none"
    if weights == "balanced" and not recipe.task.scored:
        raise RecipeError(
            f"train.class_weights: the answers of {catalog.name_of(recipe.task)} are no labels of a row here, and have no "
            "classes to weigh. Set it to none."
        )
    return weights


def _baselines(recipe: Recipe, whys: dict[str, Note]) -> tuple[Baseline, ...]:
    """Those asked for, or the task's own, as far as they can do the task."""
    wanted = recipe.evaluate.baselines
    if wanted == "auto":
        wanted = tuple(catalog.create("baselines", name) for name in recipe.task.baselines)
    baselines = tuple(baseline for baseline in wanted if baseline.suits(recipe.task))
    if left_out := [catalog.name_of(one) for one in wanted if one not in baselines]:
        task = catalog.name_of(recipe.task)
        whys["evaluate.baselines"] = Note(
            f"{', '.join(left_out)} cannot do {task}", f"{'、'.join(left_out)} 不能用于 {task}"
        )
    return baselines


def _start(recipe: Recipe, labels: Sequence[str], whys: dict[str, Note]) -> Start:
    chosen, task = recipe.train.start, recipe.task
    if chosen == "auto":
        start: Start = catalog.create("starts", task.start)  # type: ignore[assignment]
        documents = Note("the head is made of the documents' features", "输出层由文档的特征构成")
        whys["train.start"] = documents if task.retrieves else start.why  # type: ignore[assignment]
        return start
    if not chosen.suits(task):
        suiting = [name for name in catalog.names("starts") if catalog.create("starts", name).suits(task)]  # type: ignore[attr-defined]
        raise RecipeError(
            f"train.start: {catalog.name_of(chosen)} cannot begin {catalog.name_of(task)} as it is set here. Known to suit: "
            f"{listing(suiting)}."
        )
    chosen.check(labels)
    return chosen


def _epochs(start: Start, rows: int, batch_size: int, whys: dict[str, Note]) -> float:
    if not start.goes_on:
        name = catalog.name_of(start)
        whys["train.epochs"] = Note(f"{name} is all the training there is", f"{name} 即全部训练")
        return 0.0
    chosen = min(MOST_EPOCHS, max(EPOCHS, math.ceil(STEPS * batch_size / max(rows, 1))))
    whys["train.epochs"] = Note(
        f"{EPOCHS}, or as many as make {STEPS} steps where rows are few, at most {MOST_EPOCHS}",
        f"通常 {EPOCHS} 轮；数据较少时以 {STEPS} 步为准，至多 {MOST_EPOCHS} 轮",
    )
    return float(chosen)


def _decision(recipe: Recipe, whys: dict[str, Note]) -> Decision:
    """The decision settings that this task can keep. Raises RecipeError for one that it cannot."""
    decision, task = recipe.decision, catalog.name_of(recipe.task)
    if decision.threshold != "auto" and not recipe.task.multi_label:
        raise RecipeError(
            "decision.threshold is the least score of a yes where a row may have several labels; here each has one. "
            "Leave it at auto, or set task to {name: text_classification, multi_label: true}; "
            "decision.max_error makes a model of single labels abstain."
        )
    if recipe.task.scored:
        return decision
    if decision.max_error is not None:
        raise RecipeError(
            f"decision.max_error: {task} cannot abstain here, its answers are no single label. Set it to null."
        )
    if decision.calibration is not None:
        whys["decision.calibration"] = Note(
            f"the answers of {task} are no single label here; their scores are not calibrated",
            f"这里 {task} 的答案不是单个标签，其分数不作校准",
        )
    return dataclasses.replace(decision, calibration=None)


def _check_ensemble(recipe: Recipe) -> None:
    """Raise RecipeError for an ensemble that cannot be made."""
    ensemble, method = recipe.train.ensemble, recipe.train.method
    if ensemble and recipe.task.retrieves:
        raise RecipeError(
            f"train.ensemble: {catalog.name_of(recipe.task)} searches by one encoder and its index; members cannot share an "
            "index. Set it to null."
        )
    if ensemble and ensemble.kind == "soup" and not method.blends:
        raise RecipeError(
            f"train.ensemble.kind: soup takes the mean of the members' weights, and {catalog.name_of(method)} keeps other "
            "parts in each of them, which have no mean. Set kind: vote, or take another train.method."
        )


def _check_unlabelled(recipe: Recipe) -> None:
    """Raise RecipeError where rows without labels, and what is made of them, do not go together."""
    use, task = recipe.train.unlabelled, recipe.task
    if recipe.data.unlabelled and use is None:
        raise RecipeError(
            "data.unlabelled names rows without labels, and train.unlabelled does not say what is made of them. Set it to one "
            f"of {listing(catalog.names('semi_supervision'))}, or leave data.unlabelled out."
        )
    if use is not None and not recipe.data.unlabelled:
        raise RecipeError(
            f"train.unlabelled: {catalog.name_of(use)} learns from rows without labels. Name their file under data.unlabelled."
        )
    if use is not None and not use.suits(task):
        raise RecipeError(
            f"train.unlabelled: {catalog.name_of(use)} goes by the probability of every label of a row, and the answers of "
            f"{catalog.name_of(task)} have none here. Leave it and data.unlabelled out."
        )
    if use is not None and use.copies:
        augment.check([catalog.create("augmenters", use.copies[1])], task)  # type: ignore[list-item]


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
    if plan.recipe.task.retrieves:
        model.head.requires_grad_(False)  # it is made of the documents, see stages/index.py
    if _freeze_words(settings.word_embeddings, model):
        from tunewright.models import surgery

        surgery.word_embeddings(model.backbone).requires_grad_(False)
    return model


def open_model(plan: Plan, labels: tuple[str, ...], *, dropout: float = 0.0, attention: str = "eager") -> Model:
    """The planned backbone as it was pretrained, with a fresh head."""
    trust = {name: getattr(plan.recipe.model, name) for name in ("pickled_weights", "remote_code")}
    outputs = plan.recipe.task.outputs(labels)
    settings = {"dropout": dropout, "attention": attention, "beside": plan.recipe.task.beside.width}
    return build_model(plan.located.folder, plan.head, outputs, **settings, **trust)


def class_weights(plan: Plan, dataset: Dataset) -> np.ndarray | None:
    """(labels,) weights whose mean over the training rows is about 1, or None; none is over IMBALANCE times another."""
    if plan.recipe.train.class_weights == "none":
        return None
    counts = label_counts(dataset.splits["train"])
    numbers = np.array([counts.get(label, 0) for label in dataset.labels], dtype=np.float64)
    numbers = np.maximum(numbers, max(1.0, numbers.max(initial=0) / IMBALANCE))  # else a single row outweighs a batch
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


def _processor(recipe: Recipe, located: Located, whys: dict[str, Note]) -> Processor:
    data = recipe.data
    chosen, limit = data.max_tokens, _limit(recipe, located)
    if chosen == "auto":
        chosen = min(limit, WINDOW)
        whys["data.max_tokens"] = (
            Note("the backbone reads no more at a time", "骨干模型一次最多读这么多")
            if chosen == limit
            else Note(
                f"longer windows cost more; {located.name} could read {limit}",
                f"窗口越长越费时；{located.name} 最多能读 {limit}",
            )
        )
    stride = recipe.task.stride if data.stride == "auto" else data.stride
    facts = located.facts
    settings: dict[str, Any] = {"overflow": data.overflow, "stride": stride, "prefix": facts.prefix}
    if recipe.task.retrieves:
        settings["document_prefix"] = facts.document_prefix
    return Processor.load(located.folder, max_tokens=chosen, **settings)


def _limit(recipe: Recipe, located: Located) -> int:
    """Tokens of a text that the backbone can read, beside what the method takes. Raises RecipeError where that is too few."""
    whole, room, chosen = token_limit(located.folder), recipe.train.method.room, recipe.data.max_tokens
    least = LEAST if chosen == "auto" else chosen
    if room and whole - room < least:
        raise RecipeError(
            f"train.method takes {room} of the {whole} places that {located.name} can read, which leaves {whole - room} for "
            f"a text, and {least} are needed (data.max_tokens is {chosen}). Give the method or the text fewer."
        )
    return whole - room
