"""Estimate what a run will take: train a few typical steps on this machine, and reckon from them."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import math
import shutil
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tunewright.core import catalog
from tunewright.core.contracts import Beginning, Given, Start
from tunewright.core.files import sha256, writing_folder
from tunewright.core.numeric import spread
from tunewright.core.progress import Silent, Step
from tunewright.core.recipe import replace
from tunewright.core.types import Example, label_names
from tunewright.data.augment import copies_a_row
from tunewright.data.dataset import Dataset, Split
from tunewright.stages.assemble import Plan
from tunewright.stages.embed import Embedder
from tunewright.stages.fit import train_model
from tunewright.stages.judge import BASELINE_ROWS
from tunewright.stages.start import PROBE_ROWS
from tunewright.training.batching import steps_of_epoch
from tunewright.training.checkpoint import KEEP
from tunewright.training.encoded import EncodedSplit, open_encoded, write_encoded
from tunewright.training.loop import CHECKPOINT_SECONDS, peak_memory_mb
from tunewright.training.precision import choose_device, choose_threads, threads

ROWS = 4096  # training rows that are tokenized to know the lengths
STEPS = 8  # steps that are trained, twice: from the shortest over all lengths to the longest
SECONDS, FEWEST = 40.0, 6  # spent on training steps at most, unless fewer steps than that are done
STARTED = 128  # training rows that the head's start is timed on
EMBEDDED_TOKENS, EMBEDDED_ROWS = 40_000, 1000  # what the frozen backbone is timed on, at most
MIB = 1 << 20
# What `train` does around the loop: the network is opened for training, embedding (before training and after), judging
# validation and test, and by transformers; validation and test go through it for calibration, judgement, certificate.
OPENED, VALIDATION_PASSES, TEST_PASSES = 6, 3, 2
CHECKPOINT_WEIGHTS = 4  # a checkpoint's size in weights: the best, the present, and the optimizer's two for each


@dataclass(frozen=True)
class Estimate:
    """What a run is expected to take on this machine, as it is loaded now.

    seconds: to the verdict, when no early stop ends training sooner; parts: what they are made of; memory_mb: the
    process's largest, in MiB; disk_mb: the run's folder, in MiB; steps: optimizer steps.
    """

    seconds: float
    memory_mb: float
    disk_mb: float
    steps: int
    precision: str
    device: str
    parts: dict[str, float]


def estimate(
    plan: Plan, dataset: Dataset, folder: Path, *, preparing: float = 0.0, augmenting: float = 0.0
) -> Estimate:
    """Measure in `folder`, and reckon. preparing: seconds that reading and checking the data took; augmenting: seconds
    that copies of all training rows will take.

    The random state is as before afterwards, and nothing outside `folder` is written.
    """
    device = choose_device(plan.recipe.train.device)
    with threads(choose_threads(plan.recipe.train.threads)), _random_state():
        lengths = _lengths(plan, dataset, folder)
        trained = _train(plan, dataset, lengths, folder, device)
        frozen = _embed(trained.plan, dataset, lengths, plan.recipe.train.start)
    steps, training = _training(plan, dataset, lengths, trained)
    parts = {"data": preparing, "augmenting": augmenting, "starting": trained.starting}
    copies = copies_a_row(plan.recipe.data.augment) * len(dataset.splits["train"])
    texts = copies + _unlabelled(plan, dataset) + sum(map(len, dataset.splits.values()))
    parts["tokenizing"] = lengths.seconds * texts / lengths.rows
    parts |= {"training": training, **_around(plan, dataset, lengths, frozen)}
    times = _times(plan, dataset)
    parts |= {name: parts[name] * times for name in ("starting", "head", "training", "evaluation")}
    evaluations = steps / _steps_an_evaluation(plan, dataset, lengths)
    checkpoints = training / CHECKPOINT_SECONDS + 1
    kept = checkpoints + evaluations / CHECKPOINT_WEIGHTS  # these keep the weights alone
    parts["saving"] = times * trained.saving * kept
    memory = peak_memory_mb() + _growth(plan, dataset, lengths, frozen) / MIB
    disk = times * trained.disk + sum(file.stat().st_size for file in dataset.folder.rglob("*") if file.is_file())
    return Estimate(
        seconds=sum(parts.values()), memory_mb=memory, disk_mb=disk / MIB, steps=round(times * steps),
        precision=trained.plan.recipe.train.precision, device=device, parts=parts,
    )  # fmt: skip


# --------------------------------------------------------------------------------------------------- measuring


@dataclass(frozen=True)
class _Lengths:
    """Windows of rows from all over the training split. seconds: to tokenize them; bytes: that a row's windows hold."""

    windows: EncodedSplit
    places: np.ndarray  # (rows,) their numbers in the split
    seconds: float
    bytes: float

    @property
    def rows(self) -> int:
        return len(self.places)

    @property
    def tokens_a_row(self) -> float:
        return float(self.windows.lengths.sum()) / self.rows


@dataclass(frozen=True)
class _Trained:
    """What training a few steps showed."""

    plan: Plan  # with the measured precision
    watch: _Stopwatch
    steps: list[np.ndarray]  # of an epoch over the sample: window indices
    lengths: np.ndarray  # of the sample's windows
    starting: float  # seconds until the first step: libraries, network, choice of precision
    saving: float  # seconds that a checkpoint takes
    disk: int  # bytes that checkpoints and the bundle take


@dataclass(frozen=True)
class _Frozen:
    """What the frozen backbone and the baselines cost."""

    opening: float  # seconds to open the network
    token: float  # seconds a token takes through it in training's precision
    exact: float  # and in fp32, in which a finished model is judged
    start: tuple[float, float]  # seconds, and seconds a training row, for the head's start beside embedding
    baselines: dict[str, float]  # name → seconds beside embedding, for `rows` training rows
    embedding: bool  # whether a baseline asked for features
    rows: int
    width: int


def _lengths(plan: Plan, dataset: Dataset, folder: Path) -> _Lengths:
    split = dataset.splits["train"]
    places = spread(len(split), ROWS)
    examples = split.take(places)
    started = time.perf_counter()
    windows = plan.recipe.task.encode(examples, plan.processor, dataset.labels)
    seconds = time.perf_counter() - started
    tracemalloc.start()
    kept = plan.recipe.task.encode(examples[:64], plan.processor, dataset.labels)
    held = tracemalloc.get_traced_memory()[0] / min(64, len(examples))
    tracemalloc.stop()
    del kept
    encoded = write_encoded(windows, folder / "lengths", plan.processor.pad_id)
    return _Lengths(encoded, places, seconds, held)


def _train(plan: Plan, dataset: Dataset, lengths: _Lengths, folder: Path, device: str) -> _Trained:
    """Train on the rows of a few typical steps by the very code that trains in earnest, with a stopwatch on it."""
    batch, seed = plan.recipe.train.batch_size, plan.recipe.seed
    steps = sorted(steps_of_epoch(lengths.windows.lengths, batch, seed, 0), key=lambda step: _size(step, lengths))
    chosen = [steps[place] for place in spread(len(steps), STEPS)]
    rows = lengths.places[np.unique(lengths.windows.examples[np.concatenate(chosen)])]
    sample = _sample(dataset, {"train": rows, "validation": spread(len(dataset.splits["validation"]), len(rows)),
                               "test": np.zeros(1, dtype=np.int64)})  # fmt: skip
    short = {
        "data.augment": (),
        "train.start": catalog.create("starts", "random"),
        "train.epochs": 2.0,
        "train.evaluate_every": 2.0,
        "train.early_stopping": None,
        "trackers": (),
    }
    short_plan = dataclasses.replace(plan, recipe=replace(plan.recipe, **short))
    watch, decided = _Stopwatch(), [(time.perf_counter(), short_plan)]
    with contextlib.suppress(_Enough):
        train_model(
            short_plan, sample, folder / "run", embedder=Embedder(short_plan, device, Silent()), device=device,
            resume=False, decided={}, progress=watch, on_plan=lambda plan: decided.append((time.perf_counter(), plan)),
        )  # fmt: skip
    windows = open_encoded(folder / "run" / "encoded")
    epochs = [steps_of_epoch(windows.lengths, batch, seed, epoch) for epoch in (0, 1)]
    best, disk = folder / "run" / "checkpoints" / "best", _disk(folder / "run" / "checkpoints")
    saving = _seconds(lambda: _copy(best, folder / "copy")) * CHECKPOINT_WEIGHTS
    return _Trained(
        decided[-1][1], watch, [step for epoch in epochs for step in epoch], windows.lengths,
        starting=decided[-1][0] - decided[0][0], saving=saving, disk=disk,
    )  # fmt: skip


def _embed(plan: Plan, dataset: Dataset, lengths: _Lengths, start: Start) -> _Frozen:
    """Time the frozen backbone, then every baseline and the head's start on the features."""
    device = choose_device(plan.recipe.train.device)
    rows = int(np.clip(EMBEDDED_TOKENS / lengths.tokens_a_row, 32, EMBEDDED_ROWS))
    splits = [dataset.splits[name] for name in ("train", "validation")]
    train, validation = (split.take(spread(len(split), rows)) for split in splits)
    embedder = Embedder(plan, device, Silent())
    embedder.precision = plan.recipe.train.precision
    opening = _seconds(lambda: embedder(train[:1]))
    token = exact = _seconds(lambda: embedder(train)) / (len(train) * lengths.tokens_a_row)
    if embedder.precision != "fp32":
        exactly = Embedder(plan, device, Silent())
        exactly(train[:1])
        exact = _seconds(lambda: exactly(train)) / (len(train) * lengths.tokens_a_row)
    width = embedder(train[:1]).shape[1]
    embedder(validation)
    asked: list[int] = []

    def embed(examples: Sequence[Example]) -> np.ndarray:
        asked.append(len(examples))
        return embedder(examples)

    unlabelled = [dataclasses.replace(example, label=None) for example in validation]
    labels = dataset.labels
    if dataset.task.retrieves:
        labels = tuple(labels[place] for place in spread(len(labels), rows))
    given = Given(plan.recipe.task, train, validation, unlabelled, labels, embed, plan.recipe.seed)
    baselines = {
        catalog.name_of(baseline): _seconds(lambda baseline=baseline: baseline.predict(given))
        for baseline in plan.recipe.evaluate.baselines
    }
    began = _start(start, plan, train[:STARTED], validation, labels, embedder)
    return _Frozen(opening, token, exact, began, baselines, bool(asked), len(train), width)


def _no_steps(*_: object) -> None:
    """In place of steps that a start makes: they are reckoned with those of training."""


def _start(
    start: Start,
    plan: Plan,
    train: Sequence[Example],
    validation: Sequence[Example],
    labels: Sequence[str],
    embedder: Embedder,
) -> tuple[float, float]:
    """Time the head's start on few rows and on more; steps that it makes are reckoned with the others, see _training."""

    def head(rows: Sequence[Example]) -> float:
        given = Beginning(
            plan.recipe.task, rows, validation, labels, embedder, _no_steps, _no_steps, device=embedder.device
        )
        return _seconds(lambda: start.head(given))

    few = max(1, len(train) // 8)
    fixed, more = head(train[:few]), head(train)
    return fixed, max(0.0, more - fixed) / max(1, len(train) - few)


# --------------------------------------------------------------------------------------------------- reckoning


def _training(plan: Plan, dataset: Dataset, lengths: _Lengths, trained: _Trained) -> tuple[int, float]:
    """Steps of the whole training, and their seconds: those measured, at the lengths of all rows."""
    times = np.array(trained.watch.steps)
    sizes = np.array([_padded(step, trained.lengths) for step in trained.steps[: len(times)]])
    warm = min(2, len(times) - 1)  # the first steps also make room for gradients and the optimizer's state
    settings, windows = plan.recipe.train, lengths.windows
    all_windows = _all_windows(plan, dataset, lengths)
    steps = settings.start.steps + math.ceil(settings.epochs * math.ceil(all_windows / settings.batch_size))
    population = steps_of_epoch(windows.lengths, settings.batch_size, plan.recipe.seed, 0)
    typical = float(np.mean([_padded(step, windows.lengths) for step in population]))
    fixed, token = _line(sizes[warm:], times[warm:])
    return steps, steps * (fixed + token * typical)


def _times(plan: Plan, dataset: Dataset) -> float:
    """How many times one training on the labelled rows the recipe asks for, where every row without a label is adopted."""
    ensemble, use = plan.recipe.train.ensemble, plan.recipe.train.unlabelled
    again = 1 + len(dataset.unlabelled) / len(dataset.splits["train"]) if use and use.adopts else 0.0
    return (1 + again) * (ensemble.size if ensemble else 1)


def _unlabelled(plan: Plan, dataset: Dataset) -> int:
    """Texts without labels that are tokenized."""
    use = plan.recipe.train.unlabelled
    return 0 if use is None else len(dataset.unlabelled) * (3 if use.copies else 1)


def _line(sizes: np.ndarray, seconds: np.ndarray) -> tuple[float, float]:
    """(seconds a step, seconds a token) through the measurements; through zero where noise would turn one negative."""
    if len(np.unique(sizes)) > 2:
        token, fixed = np.polyfit(sizes, seconds, 1)
        if token > 0 and fixed > 0:
            return float(fixed), float(token)
    return 0.0, float(seconds.sum() / sizes.sum())


def _around(plan: Plan, dataset: Dataset, lengths: _Lengths, frozen: _Frozen) -> dict[str, float]:
    """Seconds of everything that the network does without learning, and of the baselines."""
    rows = {name: len(split) for name, split in dataset.splits.items()}
    forward, exactly = frozen.token * lengths.tokens_a_row, frozen.exact * lengths.tokens_a_row
    settings = plan.recipe.train
    fitted = min(rows["train"], BASELINE_ROWS)
    embedded = max(min(rows["train"], PROBE_ROWS) * plan.recipe.task.probe, fitted * frozen.embedding)
    embedded += rows["validation"] + rows["test"] * frozen.embedding
    evaluations = 1 + settings.epochs / settings.evaluate_every
    indexed = frozen.token * _document_tokens(plan, dataset)  # seconds to read all documents, at each evaluation
    searched = indexed * (frozen.embedding + (plan.objective.mined > 0))
    fixed, a_row = frozen.start
    return {
        "head": fixed + a_row * min(rows["train"], PROBE_ROWS),
        "embedding": forward * embedded + frozen.opening * OPENED + searched,
        "evaluation": (forward * rows["validation"] + indexed) * evaluations
        + exactly * (rows["validation"] * VALIDATION_PASSES + rows["test"] * TEST_PASSES),
        "baselines": sum(frozen.baselines.values()) * fitted / frozen.rows,
    }


def _growth(plan: Plan, dataset: Dataset, lengths: _Lengths, frozen: _Frozen) -> float:
    """Bytes that grow with the rows, and so were smaller while measuring: features, and windows being judged."""
    rows = {name: len(split) for name, split in dataset.splits.items()}
    judged, documents = rows["validation"] + rows["test"], _searched(dataset)
    embedded = min(rows["train"], BASELINE_ROWS) + judged + documents
    return embedded * frozen.width * 4 * 2 + judged * (lengths.bytes + documents * 4)


def _searched(dataset: Dataset) -> int:
    """Documents that are searched."""
    return len(dataset.labels) if dataset.task.retrieves else 0


def _document_tokens(plan: Plan, dataset: Dataset) -> float:
    """Tokens of all documents that are searched."""
    if not (count := _searched(dataset)):
        return 0.0
    looked = [dataset.labels[place] for place in spread(count, ROWS)]
    return count * float(np.mean(plan.processor.documents.lengths(looked)))


def _steps_an_evaluation(plan: Plan, dataset: Dataset, lengths: _Lengths) -> float:
    windows = _all_windows(plan, dataset, lengths)
    return max(1.0, plan.recipe.train.evaluate_every * windows / plan.recipe.train.batch_size)


def _all_windows(plan: Plan, dataset: Dataset, lengths: _Lengths) -> float:
    """Windows that training goes over in an epoch: of the rows, and of their copies, which are about as long."""
    rows = len(dataset.splits["train"]) * (1 + copies_a_row(plan.recipe.data.augment))
    labels = lengths.windows.values["labels"]
    learned = int((np.asarray(labels) >= 0).sum()) if dataset.task.retrieves else len(lengths.windows)
    return learned * rows / lengths.rows


def _disk(checkpoints: Path) -> int:
    """Bytes of the best weights twice (they go into the bundle too) and of the checkpoints that are kept at once."""
    sizes = {entry.name: sum(file.stat().st_size for file in entry.rglob("*")) for entry in checkpoints.iterdir()}
    best = sizes.pop("best", 0)
    return 2 * best + (KEEP + 1) * max(sizes.values(), default=(CHECKPOINT_WEIGHTS - 1) * best)


def _copy(source: Path, target: Path) -> None:
    """Write what `source` holds as a checkpoint is written: flushed to disk, with hashes."""
    with writing_folder(target) as temporary:
        for file in source.iterdir():
            shutil.copyfile(file, temporary / file.name)
            sha256(file)


def _padded(step: np.ndarray, lengths: np.ndarray) -> int:
    return len(step) * int(lengths[step].max())


def _size(step: np.ndarray, lengths: _Lengths) -> int:
    return _padded(step, lengths.windows.lengths)


# -------------------------------------------------------------------------------------------------------- tools


class _Enough(Exception):
    """The steps measured so far must do."""


@dataclass
class _Stopwatch:
    """Progress that notes how long each training step takes."""

    steps: list[float] = field(default_factory=list)  # seconds

    @contextmanager
    def task(self, title: str, total: int | None = None) -> Iterator[Step]:
        """See Progress.task."""
        if title != "Training":
            yield lambda count: None
            return
        started = last = time.perf_counter()

        def step(count: int) -> None:
            nonlocal last
            now = time.perf_counter()
            if count:
                self.steps.append(now - last)
            last = now
            if now - started > SECONDS and len(self.steps) >= FEWEST:
                raise _Enough

        yield step

    def say(self, message: str) -> None:
        """See Progress.say."""


class _Sample:
    """Some rows of a split, as a split."""

    def __init__(self, split: Split, places: np.ndarray) -> None:
        self.name, self._split, self._places = split.name, split, places

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Example]:
        return iter(self.examples())

    def examples(self, start: int = 0, stop: int | None = None) -> list[Example]:
        """See Split.examples."""
        return self._split.take(self._places[start:stop])

    def column(self, name: str) -> Any:
        """See Split.column."""
        return self._split.column(name).take(self._places)


def _sample(dataset: Dataset, places: dict[str, np.ndarray]) -> Any:
    """The data set with these rows only, and with their documents; labels, roles and folder stay."""
    sample = copy.copy(dataset)
    sample.splits = {name: _Sample(dataset.splits[name], rows) for name, rows in places.items()}
    if (pool := dataset.unlabelled) is not None:
        sample.unlabelled = _Sample(pool, spread(len(pool), len(places["train"])))
    if dataset.task.retrieves:  # reading all documents is reckoned, see _around
        found = {name for split in sample.splits.values() for one in split for name in label_names(one.label)}
        sample.labels = tuple(sorted(found))
    return sample


@contextmanager
def _random_state() -> Iterator[None]:
    import torch

    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        yield


def _seconds(action: Any) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started
