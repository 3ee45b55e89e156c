"""Train the planned model: encode once, start the head from a linear probe, choose the precision, run the loop."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tunewright.core import catalog
from tunewright.core.errors import DataError, RecipeError, listing, nearest
from tunewright.core.linear import fit_for
from tunewright.core.progress import Progress
from tunewright.core.recipe import flat, replace, to_mapping
from tunewright.core.types import Example, Note, Window
from tunewright.data.dataset import Dataset, Split
from tunewright.data.ledger import Ledger
from tunewright.kernels import library as kernels
from tunewright.models.model import Model
from tunewright.models.processor import TooLong
from tunewright.predict.infer import CHUNK, Inferred, infer
from tunewright.stages import assemble
from tunewright.stages.assemble import Plan
from tunewright.stages.embed import Embedder
from tunewright.stages.verdict import NO_QUALITY
from tunewright.training import precision as precisions
from tunewright.training.encoded import EncodedSplit, open_encoded, write_encoded
from tunewright.training.loop import Fitted, Job, fit
from tunewright.training.memory import give_back
from tunewright.training.parameters import auto_learning_rate
from tunewright.training.record import recording

PROBE_ROWS = 10_000  # a linear probe is fitted on at most: it only starts the head, and their features stay in memory
TRIAL_TOKENS = 512  # of the step that bf16 and fp32 are tried on; more take time and memory and give the same ratio


@dataclass(frozen=True)
class Trained:
    """A trained model, how training went, and the plan with what was decided on the way."""

    model: Model
    plan: Plan
    fitted: Fitted
    trained_parameters: int
    parameters: int


def train_model(
    plan: Plan,
    dataset: Dataset,
    folder: Path,
    *,
    embedder: Embedder,
    device: str,
    resume: bool,
    decided: Mapping[str, Any],
    progress: Progress,
    on_plan: Callable[[Plan], None],
) -> Trained:
    """Train in the run's `folder`. `decided` holds what an interrupted run measured: key → (value, why); `on_plan` is
    called with the plan once nothing in it is open any more, before the first step."""
    precisions.check_engine(plan.recipe.train.engine, device)
    windows = encode_train(plan, dataset, folder, progress)
    model = assemble.build(plan, dataset.labels, attention="eager" if device == "cpu" else "sdpa").to(device)
    if plan.recipe.train.engine == "auto":
        if device == "cpu" and kernels.missing():
            progress.say("Compiling kernels for this processor: a few seconds, once.")
        model.pack()
    _check_objective(plan, model, windows, device)
    plan = _decide(plan, model, windows, device, decided)
    on_plan(plan)
    embedder.precision = plan.recipe.train.precision
    settings = plan.recipe.train
    judge = _Validation(plan, dataset, model, device)
    judge.check_metrics()
    give_back()  # what the trials of precision took
    flat_recipe = dict(flat(to_mapping(plan.recipe)))
    with recording(folder, plan.recipe.trackers, flat_recipe) as record:
        job = Job(
            model=model,
            windows=windows,
            settings=settings,
            objective=plan.objective,
            class_weights=assemble.class_weights(plan, dataset),
            learning_rate=float(settings.learning_rate),
            precision=settings.precision,
            device=device,
            seed=plan.recipe.seed,
            folder=folder / "checkpoints",
            record=record,
            progress=progress,
            evaluate=judge,
            metric=settings.early_stopping.metric if settings.early_stopping else plan.recipe.evaluate.metric,
            row=lambda index: dataset.splits["train"].examples(index, index + 1)[0].id,
            start=lambda: _start_head(plan, dataset, model, embedder, progress),
        )
        trained = sum(value.numel() for value in model.trained_parameters().values())
        fitted = fit(job, resume=resume)
    if not fitted.best_step:
        progress.say(
            f"No training step was better than the start by {job.metric} on validation, so the start is kept: the "
            "backbone as it was. More rows, another learning rate or another method may change that."
        )
    return Trained(model, plan, fitted, trained, sum(value.numel() for value in model.parameters()))


def encode_train(plan: Plan, dataset: Dataset, folder: Path, progress: Progress) -> EncodedSplit:
    """Encode the training split to disk, once; the token counts of all splits go into the run's ledger."""
    target = folder / "encoded"
    if (target / "encoded.json").exists():
        return open_encoded(target)
    ledger = Ledger.resume(dataset.folder / "ledger.jsonl", folder / "ledger.jsonl")
    for name, split in dataset.splits.items():
        if name != "train":
            for _ in _encoded(plan, dataset, split, ledger, progress):
                pass

    def windows() -> Iterator[Window]:
        yield from _encoded(plan, dataset, dataset.splits["train"], ledger, progress)
        ledger.close()  # before the folder takes its name: a resumed run that finds it needs a whole ledger

    return write_encoded(windows(), target, plan.processor.pad_id)


def _encoded(plan: Plan, dataset: Dataset, split: Split, ledger: Ledger, progress: Progress) -> Iterator[Window]:
    seen = used = truncated = count = split_rows = 0
    with progress.task(f"Tokenizing {split.name}", total=len(split)) as step:
        for start in range(0, len(split), CHUNK):
            examples = split.examples(start, start + CHUNK)
            try:
                windows = plan.recipe.task.encode(examples, plan.processor, dataset.labels)
            except TooLong as error:
                raise DataError(f"{examples[error.index].id}: {error}") from None
            for index, own in itertools.groupby(windows, key=lambda window: window.example):
                parts = list(own)
                lost = sum(part.truncated for part in parts)
                fresh = sum(part.tokens - part.shared for part in parts)
                seen, used, truncated = seen + fresh + lost, used + fresh, truncated + lost
                count, split_rows = count + len(parts), split_rows + (len(parts) > 1)
                if lost:
                    ledger.truncate(split.name, examples[index].id, lost)
                for part in parts:
                    yield Window(start + index, part.features, part.tokens)
            step(len(examples))
    ledger.tokens(split.name, seen=seen, used=used, truncated=truncated, windows=count, split_rows=split_rows)


def _decide(plan: Plan, model: Model, windows: EncodedSplit, device: str, decided: Mapping[str, Any]) -> Plan:
    """Fill in learning rate, precision and threads; measured ones are taken over from an interrupted run."""
    settings, whys = plan.recipe.train, dict(plan.whys)
    rate = settings.learning_rate
    if rate == "auto":
        from tunewright.models.surgery import hidden_size

        rate = auto_learning_rate(hidden_size(model.backbone), plan.located.facts.learning_rate, settings.method.rate)
        whys["train.learning_rate"] = Note("by the backbone's width and the method", "由骨干模型的宽度和微调方法决定")
    if "train.precision" in decided:
        chosen, said = decided["train.precision"]
        why = Note(**said)
    else:
        step = _one_step(plan, model, windows, device)
        chosen, why = precisions.choose_precision(settings.precision, device, step)
    whys["train.precision"] = why
    changes = {"train.learning_rate": rate, "train.precision": chosen, "train.device": device}
    return Plan(replace(plan.recipe, **changes), plan.located, plan.processor, whys)


def _check_objective(plan: Plan, model: Model, windows: EncodedSplit, device: str) -> None:
    """Raise RecipeError when the objective cannot take the task's labels; cheap, before any step."""
    import torch

    batch = {name: torch.from_numpy(value).to(device) for name, value in windows.batch(np.arange(1)).items()}
    with torch.no_grad():
        logits = model(batch)
    try:
        plan.objective.loss(logits, batch["labels"], None)
    except (ValueError, RuntimeError, IndexError, TypeError) as error:
        objective, task = catalog.name_of(plan.objective), catalog.name_of(plan.recipe.task)
        first = str(error).partition("\n")[0]
        raise RecipeError(
            f"train.objective: {objective} cannot take the labels of this {task} ({first}). Set it to auto."
        ) from error


def _one_step(plan: Plan, model: Model, windows: EncodedSplit, device: str) -> Callable[[], None]:
    """A forward and backward pass over some typical windows, leaving weights, gradients and random state as they were."""
    import torch

    order = np.argsort(windows.lengths, kind="stable")
    middle = order[len(order) // 2 :][: plan.recipe.train.batch_size]
    middle = middle[: max(1, TRIAL_TOKENS // int(windows.lengths[middle[0]]))]
    batch = {name: torch.from_numpy(value).to(device) for name, value in windows.batch(np.sort(middle)).items()}

    def step() -> None:
        random = torch.get_rng_state()
        plan.objective.loss(model(batch), batch["labels"], None).mean().backward()
        model.zero_grad()
        torch.set_rng_state(random)

    return step


def _start_head(plan: Plan, dataset: Dataset, model: Model, embedder: Embedder, progress: Progress) -> None:
    """Start the head from a linear probe on frozen features, where task and recipe want it."""
    if plan.recipe.train.start != "probe" or not plan.recipe.task.probe:
        return
    import torch

    if not plan.recipe.train.method.starts_plain:
        own = Embedder(plan, embedder.device, progress, model)
        own.precision, embedder = embedder.precision, own
    train, validation = (_for_probe(dataset.splits[name]) for name in ("train", "validation"))
    probe = fit_for(plan.recipe.task, embedder(train), train, embedder(validation), validation, dataset.labels)
    embedder.release()
    device = next(model.parameters()).device
    model.start_head(torch.from_numpy(probe.weight).to(device), torch.from_numpy(probe.bias).to(device))


def _for_probe(split: Split) -> list[Example]:
    """All rows, or PROBE_ROWS from all over the split."""
    if len(split) <= PROBE_ROWS:
        return split.examples()
    return split.take(np.linspace(0, len(split) - 1, PROBE_ROWS).astype(np.int64))


@dataclass
class _Validation:
    """Judges the model as it stands on the validation split: all of the task's numbers, and the mean loss."""

    plan: Plan
    dataset: Dataset
    model: Model
    device: str

    def __call__(self) -> dict[str, float]:
        task, labels = self.plan.recipe.task, self.dataset.labels
        items = list(self._infer())
        from tunewright.core.types import Policy

        predictions = [task.decode(item.logits, item.windows, labels, Policy()) for item in items]
        numbers = task.measures.metrics([item.example.label for item in items], predictions, labels)
        values = {k: float(v) for k, v in numbers.items() if isinstance(v, (int, float)) and k != "n"}
        return {**values, "loss": self._loss(items)}

    def check_metrics(self) -> None:
        """Raise RecipeError when the recipe names a metric that the task does not have; cheap, before any step."""
        known, recipe = _metric_names(self.plan, self.dataset), self.plan.recipe
        asked = [("evaluate.metric", recipe.evaluate.metric, known)]
        if recipe.train.early_stopping:
            asked.append(("train.early_stopping.metric", recipe.train.early_stopping.metric, [*known, "loss"]))
        for key, name, allowed in asked:
            if name not in allowed:
                near = nearest(name, allowed)
                raise RecipeError(f"{key}: there is no metric {name!r} to choose by.{near} Known: {listing(allowed)}.")

    def _infer(self) -> Iterator[Inferred]:
        from tunewright.models.inference import outputs

        def run(windows: list) -> list[np.ndarray]:
            with precisions.autocast(self.device, self.plan.recipe.train.precision):
                return outputs(self.model, windows, pad_id=self.plan.processor.pad_id, device=self.device)

        task = self.plan.recipe.task
        return infer(self.dataset.splits["validation"], task, self.plan.processor, self.dataset.labels, run)

    def _loss(self, items: list[Inferred]) -> float:
        import torch

        groups: dict[tuple[int, ...], tuple[list[np.ndarray], list[np.ndarray]]] = {}
        for item in items:
            labels = item.windows[0].features["labels"]
            if np.ndim(item.logits) > 1 and len(item.logits) != len(labels):
                continue  # a token-level example that was joined from several windows
            logits, gold = groups.setdefault(item.logits.shape, ([], []))
            logits.append(item.logits)
            gold.append(labels)
        total = sum(
            float(self.plan.objective.loss(torch.tensor(np.stack(a)), torch.tensor(np.stack(b)), None).sum())
            for a, b in groups.values()
        )
        return total / max(1, sum(len(a) for a, _ in groups.values()))


def _metric_names(plan: Plan, dataset: Dataset) -> list[str]:
    """The task's metrics, by asking it to measure one row against itself."""
    from tunewright.core.types import Policy

    task, labels = plan.recipe.task, dataset.labels
    example = dataset.splits["validation"].examples(0, 1)[0]
    windows = task.encode([example], plan.processor, labels)
    outputs = len(task.outputs(labels))
    shape = (len(windows[0].features["input_ids"]), outputs) if not task.probe else (outputs,)
    logits = task.join(windows, [np.zeros(shape, dtype=np.float32) for _ in windows])
    numbers = task.measures.metrics([example.label], [task.decode(logits, windows, labels, Policy())], labels)
    return [name for name, value in numbers.items() if isinstance(value, (int, float)) and name not in NO_QUALITY]
