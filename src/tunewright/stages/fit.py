"""Train the planned model: encode once, choose the precision, run the loop."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tunewright.core import catalog
from tunewright.core.contracts import Outputs
from tunewright.core.errors import DataError, RecipeError, listing, nearest, plural
from tunewright.core.memory import give_back
from tunewright.core.progress import Progress
from tunewright.core.recipe import flat, replace, to_mapping
from tunewright.core.types import Label, Note, Policy, Prediction, Window
from tunewright.data.augment import SPLIT as AUGMENTED
from tunewright.data.augment import Augmentation, key_of
from tunewright.data.dataset import Dataset, Split
from tunewright.data.ledger import Ledger
from tunewright.kernels import library as kernels
from tunewright.models.members import together
from tunewright.models.model import Model
from tunewright.models.processor import TooLong
from tunewright.predict.infer import CHUNK, Inferred, infer
from tunewright.stages import assemble
from tunewright.stages.assemble import Plan
from tunewright.stages.embed import Embedder
from tunewright.stages.index import Index, pairs, refuse_untrained, write_documents
from tunewright.stages.start import start
from tunewright.stages.verdict import NO_QUALITY
from tunewright.training import joint
from tunewright.training import precision as precisions
from tunewright.training.encoded import EncodedSplit, open_encoded, write_encoded
from tunewright.training.loop import Fitted, Job, Told, fit
from tunewright.training.pairs import Pairs
from tunewright.training.parameters import auto_learning_rate
from tunewright.training.passes import check_regularisers
from tunewright.training.record import recording
from tunewright.training.twins import Twins

TRIAL_TOKENS = 512  # of the step that bf16 and fp32 are tried on; more take time and memory and give the same ratio


@dataclass(frozen=True)
class Trained:
    """What training gave, how it went, and the plan with what was decided on the way.

    models: one, or those whose outputs are averaged; folder: where the metrics of the training are that `fitted` tells
    of; values: the numbers of all models together on validation; ensemble: how its members did (see stages/ensemble.py);
    unlabelled: what was made of rows without labels (see stages/unlabelled.py).
    """

    models: tuple[Model, ...]
    plan: Plan
    fitted: Fitted
    trained_parameters: int
    parameters: int
    folder: Path
    values: Mapping[str, float]
    ensemble: Mapping[str, Any] | None = None
    unlabelled: Mapping[str, Any] | None = None


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
    told: Told | None = None,
    encoded: Path | None = None,
    seed: int | None = None,
) -> Trained:
    """Train one model in the run's `folder`. `decided` holds what an interrupted run measured: key → (value, why); `on_plan` is
    called with the plan once nothing in it is open any more, before the first step; `told` of each evaluation (see Job);
    `encoded` is the folder of encoded rows where several runs share them, None: this run's own; `seed` of the training's
    chance where that is not the recipe's, from the same start on."""
    precisions.check_engine(plan.recipe.train.engine, device)
    windows: EncodedSplit | Pairs = encode_train(plan, dataset, encoded or folder, progress)
    twins = encode_twins(plan, dataset, encoded or folder, progress)
    _check_form(plan)
    if plan.recipe.task.retrieves:
        windows = pairs(plan, dataset, windows, folder, embedder, progress)
    model = _built(plan, dataset.labels, device, progress)
    if plan.recipe.task.retrieves:
        refuse_untrained(plan, model)
    _check_objective(plan, model, windows, device)
    _check_regularisers(plan, model, windows, device)
    plan = _decide(plan, model, windows, device, decided)
    on_plan(plan)
    embedder.precision = plan.recipe.train.precision
    settings = plan.recipe.train
    index = Index(plan, dataset.labels, model, device) if plan.recipe.task.retrieves else None
    judge = Validation(plan, dataset, (model,), device, index)
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
            seed=plan.recipe.seed if seed is None else seed,
            folder=folder / "checkpoints",
            record=record,
            progress=progress,
            evaluate=judge,
            metric=chosen_by(plan),
            row=lambda index: dataset.splits["train"].examples(index, index + 1)[0].id,
            start=lambda: start(plan, dataset, model, embedder, job, folder / "start"),
            twins=twins,
            told=told,
        )
        trained = sum(value.numel() for value in model.trained_parameters().values())
        fitted = fit(job, resume=resume)
    if index:
        index.renew()  # of the weights that are kept
    if fitted.steps and not fitted.best_step:
        progress.say(
            f"No training step was better than the start by {job.metric} on validation, so the start is kept: the "
            "backbone as it was. More rows, another learning rate or another method may change that."
        )
    size = sum(value.numel() for value in model.parameters())
    pool = twins and {"rows": len(dataset.unlabelled), "pairs": len(twins)}
    beside = pool and {"name": catalog.name_of(settings.unlabelled), **pool}
    return Trained((model,), plan, fitted, trained, size, folder, fitted.best, unlabelled=beside)


def _built(plan: Plan, labels: tuple[str, ...], device: str, progress: Progress) -> Model:
    """The network that is to be trained, on its device, in the form that is fastest there."""
    model = assemble.build(plan, labels, attention="eager" if device == "cpu" else "sdpa").to(device)
    if plan.recipe.train.engine == "auto":
        if device == "cpu" and kernels.missing():
            progress.say("Compiling kernels for this processor: a few seconds, once.")
        model.pack()
    return model


def chosen_by(plan: Plan) -> str:
    """What the best weights of a training are chosen by: a metric of the task, or "loss"."""
    stopping = plan.recipe.train.early_stopping
    return stopping.metric if stopping else plan.recipe.evaluate.metric


def encode_train(plan: Plan, dataset: Dataset, folder: Path, progress: Progress) -> EncodedSplit:
    """Encode the training split and its copies to disk, once; the token counts of all splits go into the run's ledger."""
    target = folder / "encoded"
    if (target / "encoded.json").exists():
        return open_encoded(target)
    ledger = Ledger.resume(dataset.folder / "ledger.jsonl", folder / "ledger.jsonl")
    others = [split for name, split in dataset.splits.items() if name != "train"]
    for split in others:
        for _ in _encoded(plan, dataset, split, ledger, progress):
            pass
    if (use := plan.recipe.train.unlabelled) is not None:
        for _ in _encoded(plan, dataset, dataset.unlabelled, ledger, progress, most=1 if use.copies else None):
            pass

    augmenters = plan.recipe.data.augment
    copies = Augmentation(augmenters, plan.recipe.task, dataset.splits, plan.recipe.seed) if augmenters else None

    if plan.recipe.task.retrieves:
        write_documents(plan, dataset.labels, folder / "documents", ledger, progress)

    def windows() -> Iterator[Window]:
        yield from _encoded(plan, dataset, dataset.splits["train"], ledger, progress, copies)
        ledger.close()  # before the folder takes its name: a resumed run that finds it needs a whole ledger

    return write_encoded(windows(), target, plan.processor.pad_id)


def encode_twins(plan: Plan, dataset: Dataset, folder: Path, progress: Progress) -> Twins | None:
    """Encode rows without labels, each followed by a changed copy, to disk, once; None where steps see none.

    Of a long text the first window is taken. Rows that the augmenter finds nothing to change in are left out; raises
    DataError when that is all of them.
    """
    use, target = plan.recipe.train.unlabelled, folder / "twins"
    if use is None or use.copies is None:
        return None
    count, augmenter = use.copies
    if not (target / "encoded.json").exists():
        write_encoded(_twins(plan, dataset, augmenter, progress), target, plan.processor.pad_id)
    twins = Twins(open_encoded(target), partial(use.consistency, multi_label=plan.recipe.task.multi_label), count)
    if not len(twins):
        raise DataError(
            f"train.unlabelled: {augmenter} finds nothing to change in the {plural(len(dataset.unlabelled), 'row')} of "
            f"data.unlabelled. Take another augmenter: {listing(catalog.names('augmenters'))}."
        )
    progress.say(
        f"{len(twins)} of {len(dataset.unlabelled)} rows without labels have a changed copy; steps see them too."
    )
    return twins


def _twins(plan: Plan, dataset: Dataset, augmenter: str, progress: Progress) -> Iterator[Window]:
    """The first windows of every row and its copy, one behind the other."""
    rows, changing = dataset.unlabelled, catalog.create("augmenters", augmenter)
    copies = Augmentation([changing], plan.recipe.task, dataset.splits, plan.recipe.seed)
    with progress.task("Changing rows without labels", total=len(rows)) as step:
        for start in range(0, len(rows), CHUNK):
            own = rows.examples(start, start + CHUNK)
            changed = {
                copy.row: copy.example for copy in copies.copies(own, start) if copy.key != key_of(own[copy.row])
            }
            texts = [text for row, copy in changed.items() for text in (own[row], copy)]
            windows = plan.recipe.task.encode(texts, plan.processor, dataset.labels)
            for _, parts in itertools.groupby(windows, key=lambda window: window.example):
                yield next(parts)
            step(len(own))


def _encoded(
    plan: Plan,
    dataset: Dataset,
    split: Split,
    ledger: Ledger,
    progress: Progress,
    copies: Augmentation | None = None,
    most: int | None = None,
) -> Iterator[Window]:
    """The windows of a split's rows, each followed by those of its copies, which carry their row's index; at most so many
    of each."""
    counts: dict[str, Counter[str]] = {split.name: Counter()}
    with progress.task(f"Tokenizing {split.name}", total=len(split)) as step:
        for start in range(0, len(split), CHUNK):
            rows = split.examples(start, start + CHUNK)
            examples = list(copies.with_copies(rows, start, ledger) if copies else enumerate(rows))
            try:
                windows = plan.recipe.task.encode([one for _, one in examples], plan.processor, dataset.labels)
            except TooLong as error:
                raise DataError(f"{examples[error.index][1].id}: {error}") from None
            for index, own in itertools.groupby(windows, key=lambda window: window.example):
                parts = list(own)
                parts, rest = parts[:most], parts[len(parts[:most]) :]
                row, example = examples[index]
                name = split.name if example is rows[row] else AUGMENTED
                if lost := sum(part.truncated for part in parts) + sum(part.tokens - part.shared for part in rest):
                    ledger.truncate(name, example.id, lost)
                counts.setdefault(name, Counter()).update(_counted(parts, lost))
                for part in parts:
                    yield Window(start + row, part.features, part.tokens)
            step(len(rows))
    for name, counted in counts.items():
        ledger.tokens(name, **{key: counted[key] for key in ("seen", "used", "truncated", "windows", "split_rows")})


def _counted(parts: list[Window], lost: int) -> dict[str, int]:
    """What an example's windows add to the ledger's tokens."""
    fresh = sum(part.tokens - part.shared for part in parts)
    own = {"seen": fresh + lost, "used": fresh, "truncated": lost}
    again = sum(part.tokens > part.shared for part in parts) > 1  # a window of which all is in others splits nothing
    return {**own, "windows": len(parts), "split_rows": int(again)}


def _decide(plan: Plan, model: Model, windows: EncodedSplit | Pairs, device: str, decided: Mapping[str, Any]) -> Plan:
    """Fill in learning rate, precision and threads; measured ones are taken over from an interrupted run."""
    settings, whys = plan.recipe.train, dict(plan.whys)
    rate = settings.learning_rate
    if rate == "auto":
        from tunewright.models.surgery import hidden_size

        rate = automatic_rate(plan, hidden_size(model.backbone))
        whys["train.learning_rate"] = Note(
            "by the backbone's width, the method and the task", "由骨干模型的宽度、微调方法和任务决定"
        )
    if "train.precision" in decided:
        chosen, said = decided["train.precision"]
        why = Note(**said)
    else:
        step = _one_step(plan, model, windows, device)
        chosen, why = precisions.choose_precision(settings.precision, device, step)
    whys["train.precision"] = why
    changes = {"train.learning_rate": rate, "train.precision": chosen, "train.device": device}
    return Plan(replace(plan.recipe, **changes), plan.located, plan.processor, whys)


def automatic_rate(plan: Plan, width: int) -> float:
    """The learning rate that `auto` means for the planned method and task on a backbone of this width."""
    wanted = max(plan.recipe.train.method.rate, plan.recipe.task.rate)
    return auto_learning_rate(width, plan.located.facts.learning_rate, wanted)


def _check_form(plan: Plan) -> None:
    """Raise RecipeError for an objective of documents where labels are none, and the other way round; or with regularisers."""
    objective, task = catalog.name_of(plan.objective), catalog.name_of(plan.recipe.task)
    if plan.objective.joint != plan.recipe.task.retrieves:
        raise RecipeError(f"train.objective: {objective} cannot take the labels of {task}. Set it to auto.")
    if plan.objective.joint and plan.recipe.train.regularisers:
        raise RecipeError(
            f"train.regularisers change how a row is computed, and {objective} holds all rows of a step against one another. "
            "Leave them out."
        )


def _forward(plan: Plan, model: Model) -> Callable[[Any], Any]:
    """What the objective is given of a batch: logits, or the features of its texts."""
    return joint.together(model, model, lambda: TRIAL_TOKENS) if plan.objective.joint else model


def _check_objective(plan: Plan, model: Model, windows: EncodedSplit | Pairs, device: str) -> None:
    """Raise RecipeError when the objective cannot take the task's labels; cheap, before any step."""
    import torch

    batch = {name: torch.from_numpy(value).to(device) for name, value in windows.batch(np.arange(1)).items()}
    with torch.no_grad():
        logits = _forward(plan, model)(batch)
    try:
        plan.objective.loss(logits, batch["labels"], None)
    except (ValueError, RuntimeError, IndexError, TypeError) as error:
        objective, task = catalog.name_of(plan.objective), catalog.name_of(plan.recipe.task)
        first = str(error).partition("\n")[0]
        raise RecipeError(
            f"train.objective: {objective} cannot take the labels of this {task} ({first}). Set it to auto."
        ) from error


def _check_regularisers(plan: Plan, model: Model, windows: EncodedSplit | Pairs, device: str) -> None:
    """Raise RecipeError when something in train.regularisers cannot do its work here, before any step."""
    import torch

    settings = plan.recipe.train
    if not settings.regularisers:
        return
    if settings.engine == "compiled":
        raise RecipeError(
            "train.regularisers changes what a pass computes, and train.engine: compiled computes all alike. "
            "Set engine: auto, or leave out the regularisers."
        )
    few = np.arange(min(2, len(windows)))
    batch = {name: torch.from_numpy(value).to(device) for name, value in windows.batch(few).items()}
    check_regularisers(model, plan.objective, settings.regularisers, batch)


def _one_step(plan: Plan, model: Model, windows: EncodedSplit | Pairs, device: str) -> Callable[[], None]:
    """A forward and backward pass over some typical windows, leaving weights, gradients and random state as they were."""
    import torch

    order = np.argsort(windows.lengths, kind="stable")
    middle = order[len(order) // 2 :][: plan.recipe.train.batch_size]
    middle = middle[: max(1, TRIAL_TOKENS // int(windows.lengths[middle[0]]))]
    batch = {name: torch.from_numpy(value).to(device) for name, value in windows.batch(np.sort(middle)).items()}

    def step() -> None:
        random = torch.get_rng_state()
        plan.objective.loss(_forward(plan, model)(batch), batch["labels"], None).mean().backward()
        model.zero_grad()
        torch.set_rng_state(random)

    return step


@dataclass
class Validation:
    """Judges models as they stand on the validation split, by the mean of their outputs: all of the task's numbers, and
    the mean loss."""

    plan: Plan
    dataset: Dataset
    models: Sequence[Model]
    device: str
    index: Index | None = None  # made anew before each evaluation, where there is one

    def __call__(self) -> dict[str, float]:
        if self.index:
            self.index.renew()
        items = list(self._infer())
        gold, predictions = self._answers(items)
        numbers = self.plan.recipe.task.measures.metrics(gold, predictions, self.dataset.labels)
        values = {k: float(v) for k, v in numbers.items() if isinstance(v, (int, float)) and k != "n"}
        return {**values, "loss": self._loss(items)}

    def answers(self) -> tuple[list[Label], list[Prediction]]:
        """The labels of the labelled rows, and what the model says of them."""
        return self._answers([item for item in self._infer() if item.example.label is not None])

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

    def _answers(self, items: list[Inferred]) -> tuple[list[Label], list[Prediction]]:
        task, labels = self.plan.recipe.task, self.dataset.labels
        predictions = [task.decode(item.logits, item.windows, labels, Policy()) for item in items]
        return [item.example.label for item in items], predictions

    def _infer(self) -> Iterator[Inferred]:
        def run(windows: Sequence[Any]) -> list[np.ndarray]:
            with precisions.autocast(self.device, self.plan.recipe.train.precision):
                return answering(self.models, self.plan, self.device)(windows)

        task = self.plan.recipe.task
        return infer(self.dataset.splits["validation"], task, self.plan.processor, self.dataset.labels, run)

    def _loss(self, items: list[Inferred]) -> float:
        import torch

        from tunewright.models.losses import softmax_losses

        # Of a joint objective the like over all documents there are, whose logits these are.
        loss = softmax_losses if self.plan.objective.joint else self.plan.objective.loss
        groups: dict[tuple, tuple[list[np.ndarray], list[np.ndarray]]] = {}
        for item in items:
            for one, labels in _by_window(item):
                logits, gold = groups.setdefault((one.shape, labels.shape), ([], []))
                logits.append(one)
                gold.append(labels)
        total = sum(
            float(loss(torch.tensor(np.stack(a)), torch.tensor(np.stack(b)), None).sum()) for a, b in groups.values()
        )
        return total / max(1, sum(len(a) for a, _ in groups.values()))


def _by_window(item: Inferred) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Logits with the labels they are held against: those of a text's tokens window by window, any others as joined."""
    labels = [window.features["labels"] for window in item.windows]
    sizes = [len(window.features["input_ids"]) for window in item.windows]
    if np.ndim(item.logits) < 2:
        yield item.logits, labels[0]
    elif len(item.logits) == sum(sizes):
        yield from zip(np.split(item.logits, np.cumsum(sizes)[:-1]), labels, strict=True)


def answering(models: Sequence[Model], plan: Plan, device: str) -> Outputs:
    """A function from windows to the mean of the models' outputs, as the models stand when it is called."""
    from tunewright.models.inference import outputs

    def of(model: Model) -> Outputs:
        return lambda windows: outputs(model, windows, pad_id=plan.processor.pad_id, device=device)

    return together([of(model) for model in models])


def _metric_names(plan: Plan, dataset: Dataset) -> list[str]:
    """The task's metrics, by asking it to measure one row against itself."""
    task, labels = plan.recipe.task, dataset.labels
    example = dataset.splits["validation"].examples(0, 1)[0]
    windows = task.encode([example], plan.processor, labels)
    outputs = len(task.outputs(labels))
    shape = (len(windows[0].features["input_ids"]), outputs) if not plan.head.pools else (outputs,)
    logits = task.join(windows, [np.zeros(shape, dtype=np.float32) for _ in windows])
    numbers = task.measures.metrics([example.label], [task.decode(logits, windows, labels, Policy())], labels)
    return [name for name, value in numbers.items() if isinstance(value, (int, float)) and name not in NO_QUALITY]
