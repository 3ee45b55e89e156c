"""The complete typed declaration of a run. The sections below are the schema; the comments beside them are its help."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from tunewright.core import catalog
from tunewright.core.contracts import (
    Augmenter,
    Averaging,
    Baseline,
    Calibrator,
    Method,
    Objective,
    Optimizer,
    Reader,
    Regulariser,
    Runtime,
    Schedule,
    SemiSupervision,
    Start,
    Task,
    Tracker,
)

Auto = Literal["auto"]
Share = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(min_length=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
AtLeastZero = Annotated[float, Field(ge=0, allow_inf_nan=False)]
# What `check` can find in data, as data.refuse names it; data/checks.py says what each is.
FindingKind = Literal[
    "duplicates",
    "near_duplicates",
    "leakage",
    "conflicts",
    "empty",
    "garbled",
    "broken_rows",
    "label_spelling",
    "label_errors",
    "rare_classes",
    "imbalance",
    "truncation",
    "span_edges",
    "language",
]
VERSION = 1


def _component(kind: str, name: str) -> Any:
    return field(default_factory=lambda: catalog.create(kind, name))


@dataclass(frozen=True)
class Split:
    """How splits that are not given as files are cut from the training file."""

    by: Literal["stratified", "random", "grouped", "time"] = (
        "stratified"  # stratified keeps each label's share; grouped keeps a group on one side; time puts the latest rows into test
    )
    column: str | None = None  # the group's or the time's column, for grouped and time
    validation_share: Share = 0.1  # of the training rows, when no validation file is given; chooses settings and epochs
    test_share: Share = 0.2  # of the training rows, when no test file is given; sealed until the verdict


@dataclass(frozen=True)
class Data:
    """What is learned from."""

    train: Name  # a CSV, TSV, JSONL, JSON, Parquet or CoNLL file, a folder with one folder per label, a saved datasets folder, or a hub id
    validation: Name | None = None  # none: cut from train
    test: Name | None = None  # none: cut from train; nothing looks at it before the verdict
    unlabelled: Name | None = (
        None  # rows of which only what the task reads is known; train.unlabelled says what is made of them
    )
    reader: Reader | Auto = (
        "auto"  # auto chooses by ending and first bytes; or {name: csv, delimiter: ";", encoding: gb18030}
    )
    columns: dict[str, str] = field(
        default_factory=dict
    )  # role → column, as {text: content, label: tag}; empty: guessed and said
    labels: tuple[str, ...] = ()  # the allowed labels; empty: those of the training rows, sorted
    split: Split = field(default_factory=Split)  # how validation and test are cut when they are not given
    max_tokens: Annotated[int, Field(ge=4)] | Auto = "auto"  # longest window; auto: the backbone's limit, at most 512
    overflow: Literal["split", "truncate", "refuse"] = (
        "split"  # longer texts: split into windows that are joined again, cut off and counted, or refused
    )
    stride: Annotated[int, Field(ge=0)] | Auto = (
        "auto"  # tokens that neighbouring windows share when overflow is split; auto: 16, or as many as an answer may need to be whole in one
    )
    leakage: Literal["drop", "keep"] = (
        "drop"  # training rows whose text also stands in validation or test (normalised): drop them from train, or keep and report
    )
    augment: tuple[Augmenter, ...] = ()  # changed copies of training rows to learn from too, as [typo, synonym]
    refuse: tuple[FindingKind, ...] = ()  # findings of `check` that stop a run (exit 2), as [leakage, conflicts]
    limit: Count | None = None  # use only that many rows of each file, for a quick try


@dataclass(frozen=True)
class ModelSettings:
    """What is adapted."""

    backbone: Name = "auto"  # packaged name, folder or hub id; auto chooses by the data's language and says why
    dropout: Share = 0.0  # 0 is faster on a CPU and was as good on short texts; 0.1 is usual for large networks
    word_embeddings: Literal["auto", "train", "freeze"] = (
        "auto"  # auto freezes vocabularies over 100 000 pieces, whose update costs more than the rest
    )
    pickled_weights: bool = False  # allow weights that are no safetensors: unpickling can run code
    remote_code: bool = False  # allow a hub model to bring and run its own code


@dataclass(frozen=True)
class EarlyStopping:
    """Stop when validation no longer improves."""

    metric: str = "auto"  # any metric of the task, or loss; auto: the one that decides (evaluate.metric)
    patience: Count = 2  # evaluations without improvement before stopping


@dataclass(frozen=True)
class Ensemble:
    """Several models that differ by chance alone, as one."""

    size: Annotated[int, Field(ge=2, le=20)] = 3  # members, trained one after the other; the first is the run's own
    kind: Literal["soup", "vote"] = (
        "soup"  # soup: the mean of the weights of those that do validation good, which costs nothing more to answer; vote: the mean of all members' outputs, which costs each of them
    )


@dataclass(frozen=True)
class Train:
    """How it is adapted."""

    method: Method = _component(
        "methods", "full"
    )  # which parameters train, and what is inserted: `tunewright list methods`
    objective: Objective | Auto = "auto"  # auto: the task's own
    regularisers: tuple[
        Regulariser, ...
    ] = ()  # against overfitting, each around those before it, as [r_drop, {name: adversarial, kind: pgd}]
    start: Start | Auto = "auto"  # how the head begins; auto: from a linear probe where the task allows, else at random
    unlabelled: SemiSupervision | None = None  # what is made of the rows of data.unlabelled, as pseudo_label
    epochs: AtLeastZero | Auto = (
        "auto"  # at most; early stopping may end sooner; auto: 5, and up to 20 where rows are few; 0 keeps the start as it is
    )
    batch_size: Count = 32  # examples in one optimizer step
    micro_batch_tokens: Count | Auto = "auto"  # padded tokens in one forward pass; changes memory, not the result
    learning_rate: Positive | Auto = "auto"  # auto: by method, task and the backbone's width
    optimizer: Optimizer = _component("optimizers", "adamw")  # adamw, sgd, adafactor
    weight_decay: AtLeastZero = 0.01  # not on norms and biases
    schedule: Schedule = _component(
        "schedules", "constant"
    )  # constant, linear, cosine; each with a warmup share; constant goes well with weight_average
    layer_decay: Annotated[float, Field(gt=0, le=1)] = (
        1.0  # learning rate of each layer below the top one, as a factor; 1 treats all alike
    )
    class_weights: Literal["auto", "none", "balanced"] = (
        "auto"  # auto: balanced when the largest class is over 20 times the smallest
    )
    clip_norm: AtLeastZero = 1.0  # longest gradient; 0 leaves it as it is
    weight_average: Averaging | None = _component(
        "averages", "polynomial"
    )  # judge and keep an average of the steps' weights: polynomial, ema, swa; null: the last step's
    ensemble: Ensemble | None = None  # several models as one, as {size: 3, kind: soup}; null: one model
    early_stopping: EarlyStopping | None = field(
        default_factory=EarlyStopping
    )  # null trains all epochs; the best checkpoint is kept either way
    evaluate_every: Positive = 1.0  # epochs between evaluations on validation
    checkpoint_steps: Count | Auto = "auto"  # steps between checkpoints; auto: about every minute, and at the end
    engine: Literal["auto", "plain", "compiled"] = (
        "auto"  # auto: what is fastest here, with the same results; plain: the network of transformers, torch's optimizer, nothing else; compiled: plain by torch.compile, for a GPU
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"  # auto: bf16 where a measurement says it is faster
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"  # auto: a GPU where there is one
    threads: Annotated[int, Field(ge=1, le=1024)] | Auto = "auto"  # auto: the cores this process may use


@dataclass(frozen=True)
class Evaluate:
    """How it is judged."""

    metric: str = "auto"  # what the verdict compares; auto: the task's own (accuracy; macro_f1 when the largest class is over 20 times the smallest)
    baselines: tuple[Baseline, ...] | Auto = "auto"  # what the tuned model has to beat; auto: the task's own
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95  # of the paired interval
    resamples: Annotated[int, Field(ge=100, le=100_000)] = 2000  # bootstrap resamples
    slices: tuple[str, ...] = ("length",)  # "length", or any column: measured apart
    worst: Annotated[int, Field(ge=0)] = 50  # errors shown in the report


@dataclass(frozen=True)
class Decision:
    """When the model answers, and when it abstains."""

    calibration: Calibrator | None = _component(
        "calibrators", "temperature"
    )  # makes a score of 0.9 right nine times in ten
    max_error: Annotated[float, Field(gt=0, lt=1)] | None = (
        None  # answer only where the error stays below this (on validation, with 95% confidence); else abstain
    )
    threshold: Annotated[float, Field(gt=0, lt=1)] | Auto = (
        "auto"  # multi-label: least score of a yes; auto: per label, best F1 on validation
    )


@dataclass(frozen=True)
class Predict:
    """What the saved model answers with."""

    runtime: Runtime | Auto = (
        "auto"  # auto: the fastest on this machine, of all that lose no more than max_loss; or a name of `tunewright list runtimes`
    )
    max_loss: AtLeastZero = 0.002  # of the deciding metric on validation, against full precision; 0 allows none
    max_flips: Share | None = None  # share of rows whose answer may be another one than in full precision; null: any


@dataclass(frozen=True)
class Search:
    """What `tunewright search` tries."""

    space: dict[str, Any] = field(
        default_factory=dict
    )  # dotted key → choices, as [16, 32], or a range, as {low: 1e-5, high: 3e-4, log: true}; empty: what suits task and backbone
    trials: Count = 20  # at most; the first one has the recipe's own values
    time_limit: Positive | None = None  # minutes after which no trial begins; null: no limit
    pruning: bool = True  # end a trial early when it stands below the median of the others at the same point


@dataclass(frozen=True)
class ReportSettings:
    """What the report looks like."""

    language: Literal["auto", "en", "zh"] = "auto"  # auto: Chinese for Chinese data


TASKS = "tasks"  # in the place of data.train where each of several tasks has files of its own


@dataclass(frozen=True)
class Part:
    """One of several tasks that are learned at once."""

    name: Name  # of its labels' column, and of its answers
    task: Task  # what is predicted
    data: Data  # what it is learned from


@dataclass(frozen=True)
class Recipe:
    """A run, completely declared. Only `task` and `data` are needed, or `tasks`."""

    task: Task  # what is predicted, as text_classification or {name: text_classification, multi_label: true}
    data: Data  # what is learned from
    tasks: tuple[
        dict[str, Any], ...
    ] = ()  # several tasks at once with files of their own: a list of {name: …, task: …, data: {train: …}}; task and data follow from it
    version: Literal[1] = VERSION  # of this form
    model: ModelSettings = field(default_factory=ModelSettings)  # what is adapted
    train: Train = field(default_factory=Train)  # how it is adapted
    evaluate: Evaluate = field(default_factory=Evaluate)  # how it is judged
    decision: Decision = field(default_factory=Decision)  # when it answers, and when it abstains
    predict: Predict = field(default_factory=Predict)  # what it answers with
    report: ReportSettings = field(default_factory=ReportSettings)  # how it is told
    search: Search = field(default_factory=Search)  # what `tunewright search` tries
    trackers: tuple[Tracker, ...] = ()  # tensorboard, wandb (offline), mlflow, beside metrics.jsonl
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 13  # of every random choice: split, order, initialisation


def to_mapping(value: Any) -> Any:
    """A recipe, section or component as plain data, every default written out, as YAML and JSON hold it."""
    if isinstance(value, catalog.Component):
        return {key: to_mapping(item) for key, item in catalog.describe(value).items()}
    if dataclasses.is_dataclass(value):
        return {setting.name: to_mapping(getattr(value, setting.name)) for setting in catalog.settings(type(value))}
    if isinstance(value, (list, tuple)):
        return [to_mapping(item) for item in value]
    if isinstance(value, Mapping):
        return {key: to_mapping(item) for key, item in value.items()}
    return value


def flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of `to_mapping`'s data with its dotted path, as ("train.method.rank", 8)."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from flat(item, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def replace(recipe: Recipe, **changes: Any) -> Recipe:
    """A copy of `recipe` with dotted paths changed, as replace(recipe, **{"train.epochs": 3})."""
    for path, value in changes.items():
        recipe = _replaced(recipe, path.split("."), value)
    return recipe


def _replaced(section: Any, path: list[str], value: Any) -> Any:
    if len(path) > 1:
        value = _replaced(getattr(section, path[0]), path[1:], value)
    return dataclasses.replace(section, **{path[0]: value})
