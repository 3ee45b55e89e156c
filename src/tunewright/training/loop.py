"""The one training loop. Everything that trains goes through `fit`, which reads top to bottom."""

from __future__ import annotations

import math
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from tunewright.core.contracts import Objective, Pass
from tunewright.core.errors import TrainingError, TunewrightError, listing
from tunewright.core.progress import Progress
from tunewright.core.recipe import Train
from tunewright.models.model import Model
from tunewright.training import checkpoint, one_pass
from tunewright.training.averaging import Average
from tunewright.training.batching import micro_batches, steps_of_epoch
from tunewright.training.encoded import EncodedSplit
from tunewright.training.joint import together
from tunewright.training.pairs import Pairs
from tunewright.training.parameters import parameter_groups
from tunewright.training.passes import Batch, attached, passes
from tunewright.training.record import Record
from tunewright.training.twins import Losses, Twins
from tunewright.training.update import Update

MICRO_BATCH_TOKENS = {"cpu": 8192, "mps": 16384, "cuda": 65536}  # what `micro_batch_tokens: auto` means, at most
THREAD_TOKENS = 1024  # of a CPU's thread at most: more take memory in step with them and are no faster
CHECKPOINT_SECONDS = 60.0  # what `checkpoint_steps: auto` means; the last step makes one in any case
LOG_STEPS = 10  # steps whose mean loss makes one line of metrics.jsonl

Told = Callable[[float, Mapping[str, float]], None]


class Interrupted(TunewrightError):
    """Ctrl-C or SIGTERM: the state is saved, and the message says how to go on."""

    exit_code = 130


@dataclass(frozen=True)
class Job:
    """What `fit` trains, on what, and how it is judged on the way."""

    model: Model
    windows: EncodedSplit | Pairs
    settings: Train
    objective: Objective
    class_weights: np.ndarray | None  # (labels,) or None
    learning_rate: float
    precision: str  # fp32, bf16, fp16
    device: str
    seed: int
    folder: Path  # where checkpoints go
    record: Record
    progress: Progress
    evaluate: Callable[[], Mapping[str, float]]  # the model as it stands, on validation; has `metric` and "loss"
    metric: str  # of `evaluate`, the best checkpoint is chosen by it; "loss" is the only one where less is better
    row: Callable[[int], str]  # example index → "file:line", for messages
    start: Callable[[], None]  # called first in a fresh run: starts the head
    twins: Twins | None = None  # rows without labels that each step sees beside those of `windows`
    told: Told | None = None  # of each evaluation, its epoch and values; may raise, to end the run


@dataclass
class State:
    """Where a run stands: all that a checkpoint holds beside tensors."""

    step: int = 0
    best_step: int = 0
    best: tuple[float, float] | None = None  # (metric, −loss): ties in the metric are broken by the loss
    without_gain: int = 0  # evaluations since the best one
    stopped_early: bool = False
    micro_tokens: int = 0
    seconds: float = 0.0
    tokens: int = 0
    loss_sum: float = 0.0  # since the last line in metrics.jsonl
    loss_count: int = 0
    mark: int = 0  # size of metrics.jsonl
    history: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Fitted:
    """What a training run was like. The model holds the best weights."""

    steps: int
    best_step: int
    stopped_early: bool
    seconds: float
    tokens_per_second: float  # real tokens, no padding counted
    peak_memory_mb: float
    history: list[dict[str, Any]]

    @property
    def best(self) -> Mapping[str, float]:
        """What validation said of the best weights."""
        return next(entry["validation"] for entry in self.history if entry["step"] == self.best_step)


def fit(job: Job, *, resume: bool = False) -> Fitted:
    """Train, keep the best weights by validation, and leave them in `job.model`.

    Raises TrainingError when the loss is no number or memory does not suffice, Interrupted on Ctrl-C.
    """
    settings, model = job.settings, job.model
    begun = time.monotonic()
    torch.manual_seed(job.seed)
    saved = _saved(job) if resume else None
    wraps = attached(model, job.objective, settings.regularisers)
    if saved is None:
        job.record.rewind(0)
        job.start()
    accelerator = _accelerator(job.device, job.precision)
    prepared = accelerator.prepare(torch.compile(model, dynamic=True) if settings.engine == "compiled" else model)
    per_epoch = math.ceil(len(job.windows) / settings.batch_size)
    steps = math.ceil(settings.epochs * per_epoch)
    average = Average(model, settings.weight_average, steps)
    update = _update(job, accelerator, average)
    class_weights = None if job.class_weights is None else torch.tensor(job.class_weights, device=job.device).float()
    beside = job.twins and job.twins.losses(prepared, seed=job.seed, device=job.device)
    forward = together(model, prepared, lambda: state.micro_tokens) if job.objective.joint else prepared
    compute = passes(job.objective, wraps, forward=forward, class_weights=class_weights)

    evaluate_every = max(1, round(settings.evaluate_every * per_epoch))
    state = _fresh(job, average, steps) if saved is None else _resumed(job, saved, update, average)
    model.train()
    settings.method.at(model, state.step, steps)
    clock = _Clock(state, begun)

    with _interrupts() as interrupted, update.attached(), job.progress.task("Training", total=steps) as tick:
        tick(state.step)
        while state.step < steps and not state.stopped_early:
            epoch, offset = divmod(state.step, per_epoch)
            plan = steps_of_epoch(job.windows.lengths, settings.batch_size, job.seed, epoch)
            for indices in plan[offset : offset + steps - state.step]:
                factor = settings.schedule.factor(state.step, steps)
                loss = _gradients(job, compute, beside, accelerator, update, indices, state)
                _check(job, state, indices, loss, update.gradient_norm())
                state.step += 1
                update.apply(state.step, factor)
                settings.method.at(model, state.step, steps)
                update.discard()

                state.tokens += int(job.windows.lengths[indices].sum())
                state.tokens += job.twins.tokens(job.seed, state.step - 1) if job.twins else 0
                state.loss_sum, state.loss_count = state.loss_sum + loss, state.loss_count + 1
                tick(1)
                last = state.step == steps
                if state.step % LOG_STEPS == 0 or last:
                    _log_loss(job, state, epoch=state.step / per_epoch, learning_rate=job.learning_rate * factor)
                due = state.step % evaluate_every == 0 or last
                if due:
                    update.settle()
                    _evaluate(job, state, average, steps, epoch=state.step / per_epoch)
                if last or state.stopped_early or interrupted() or clock.checkpoint_due(settings.checkpoint_steps):
                    clock.save(job, update, average)
                if interrupted() and not last:
                    raise Interrupted(f"Stopped at step {state.step} of {steps}; everything up to here is saved.")
                if state.stopped_early:
                    break

    accelerator.unwrap_model(prepared, keep_fp32_wrapper=False)
    model.__dict__.pop(
        "_is_accelerate_prepared", None
    )  # else the next training of this model computes in fp32, whatever is asked
    model.eval()
    checkpoint.load_weights(job.folder / "best", model)
    return Fitted(
        steps=state.step,
        best_step=state.best_step,
        stopped_early=state.stopped_early,
        seconds=clock.seconds(),
        tokens_per_second=state.tokens / max(clock.seconds(), 1e-9),
        peak_memory_mb=peak_memory_mb(),
        history=state.history,
    )


def standing(values: Mapping[str, float], metric: str) -> tuple[float, float]:
    """What models are compared by, larger is better: the metric, and where that is equal, the loss."""
    return -values["loss"] if metric == "loss" else values[metric], -values["loss"]


def peak_memory_mb() -> float:
    """The most memory this process has had, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


# ------------------------------------------------------------------------------------------------ parts, in order


def _accelerator(device: str, precision: str) -> Accelerator:
    AcceleratorState._reset_state(reset_partial_state=True)  # one process may train many times, each its own way
    return Accelerator(cpu=device == "cpu", mixed_precision="no" if precision == "fp32" else precision)


def _update(job: Job, accelerator: Accelerator, average: Average) -> Update:
    """In one pass where optimizer and machine allow that, and the recipe does not ask for the plain way."""
    settings, model = job.settings, job.model
    rates = {"learning_rate": job.learning_rate, "weight_decay": settings.weight_decay}
    groups = parameter_groups(model, **rates, layer_decay=settings.layer_decay)
    adam = settings.optimizer.adam()
    if settings.engine == "auto" and adam is not None and one_pass.fits(groups):
        return one_pass.OnePass(model, groups, average, adam=adam, clip_norm=settings.clip_norm)
    optimizer = accelerator.prepare(settings.optimizer.build(groups))
    return Update(model, optimizer, average, accelerator=accelerator, clip_norm=settings.clip_norm)


def _fresh(job: Job, average: Average, steps: int) -> State:
    state = State(micro_tokens=_micro_batch_tokens(job))
    _evaluate(job, state, average, steps, epoch=0.0)
    return state


def _micro_batch_tokens(job: Job) -> int:
    if job.settings.micro_batch_tokens != "auto":
        return int(job.settings.micro_batch_tokens)
    most = MICRO_BATCH_TOKENS[job.device]
    return min(most, THREAD_TOKENS * torch.get_num_threads()) if job.device == "cpu" else most


def _saved(job: Job) -> Path | None:
    """The newest whole checkpoint of an interrupted run, if it came to one."""
    path, problems = checkpoint.newest(job.folder)
    for problem in problems:
        job.progress.say(problem)
    return path


def _resumed(job: Job, path: Path, update: Update, average: Average) -> State:
    saved = checkpoint.load(path, job.model, update, average)
    state = State(**{**saved, "best": tuple(saved["best"])})
    checkpoint.prune(job.folder)
    job.record.rewind(state.mark)
    job.progress.say(f"Going on from step {state.step}.")
    return state


def _gradients(
    job: Job,
    compute: Callable[[Batch], Pass],
    beside: Losses | None,
    accelerator: Accelerator,
    update: Update,
    indices: np.ndarray,
    state: State,
) -> float:
    """Add up the gradients of one step in parts that fit the memory; halve the parts when they do not."""
    random = torch.get_rng_state()
    while True:
        try:
            total = 0.0
            whole = job.objective.joint  # whose forward pass cuts by itself
            for part in [indices] if whole else micro_batches(indices, job.windows.lengths, state.micro_tokens):
                arrays = job.windows.batch(part)
                batch = {name: torch.from_numpy(value).to(job.device) for name, value in arrays.items()}
                loss = compute(batch).losses.sum() / len(indices)
                if job.model.penalty is not None:
                    loss = loss + job.model.penalty() * (len(part) / len(indices))
                accelerator.backward(loss)
                total += loss.item()
            for loss in beside(state.step, state.micro_tokens) if beside else ():
                accelerator.backward(loss)
                total += loss.item()
            return total
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            update.discard()
            torch.set_rng_state(random)
            _halve(job, state, indices)


def _is_out_of_memory(error: BaseException) -> bool:
    text = str(error).lower()
    memory = isinstance(error, (torch.OutOfMemoryError, MemoryError))
    return memory or "out of memory" in text or "can't allocate memory" in text


def _halve(job: Job, state: State, indices: np.ndarray) -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    longest = int(job.windows.lengths[indices].max())
    if state.micro_tokens <= longest:
        raise TrainingError(
            f"Memory does not suffice for one window of {longest} tokens. Choose a smaller backbone, "
            "data.max_tokens, or train.method: lora."
        )
    state.micro_tokens = max(longest, state.micro_tokens // 2)
    job.progress.say(f"Out of memory: going on with {state.micro_tokens} tokens at a time; the step stays the same.")


def _check(job: Job, state: State, indices: np.ndarray, loss: float, norm: float | None) -> None:
    """A loss or gradient that is no number ends the run, naming the batch."""
    if math.isfinite(loss) and (norm is None or math.isfinite(norm)):
        return
    rows = [job.row(example) for example in job.windows.ids(indices)]
    raise TrainingError(
        f"Step {state.step + 1}: the loss or its gradient is not a number (loss {loss}), on the batch of rows "
        f"{listing(rows, 40)}. Lower train.learning_rate (it was {job.learning_rate:.2g}), set train.precision: fp32, "
        "or look at these rows."
    )


def _log_loss(job: Job, state: State, *, epoch: float, learning_rate: float) -> None:
    mean = state.loss_sum / state.loss_count
    state.loss_sum, state.loss_count = 0.0, 0
    job.record.log(state.step, "train", {"loss": mean, "learning_rate": learning_rate}, epoch=round(epoch, 4))


def _evaluate(job: Job, state: State, average: Average, steps: int, *, epoch: float) -> None:
    """Judge the averaged weights on validation, and keep them when they are the best so far."""
    with average.applied():
        job.settings.method.at(job.model, state.step, steps)
        values = dict(job.evaluate())
        candidate = standing(values, job.metric)
        if improved := state.best is None or candidate > state.best:
            state.best, state.best_step, state.without_gain = candidate, state.step, 0
            checkpoint.save_weights(job.folder / "best", job.model)
    state.without_gain += not improved
    state.history.append({"step": state.step, "epoch": round(epoch, 4), "validation": values})
    job.record.log(state.step, "validation", values, epoch=round(epoch, 4))
    stopping = job.settings.early_stopping
    state.stopped_early = bool(stopping and state.step and state.without_gain >= stopping.patience)
    shown = ", ".join(f"{name} {value:.4f}" for name, value in values.items())
    job.progress.say(f"Step {state.step} (epoch {epoch:.1f}): validation {shown}")
    if job.told:
        job.told(epoch, values)


class _Clock:
    """Time that counts across resumed parts of a run, and when the next checkpoint is due."""

    def __init__(self, state: State, begun: float) -> None:
        self.state = state
        self.before = state.seconds
        self.started, self.saved = begun, time.monotonic()

    def seconds(self) -> float:
        return self.before + time.monotonic() - self.started

    def checkpoint_due(self, steps: int | str) -> bool:
        if steps == "auto":
            return time.monotonic() - self.saved >= CHECKPOINT_SECONDS
        return self.state.step % int(steps) == 0

    def save(self, job: Job, update: Update, average: Average) -> None:
        self.state.seconds, self.state.mark = self.seconds(), job.record.mark()
        checkpoint.save(job.folder, self.state.step, job.model, update, average, asdict(self.state))
        self.saved = time.monotonic()


@contextmanager
def _interrupts() -> Iterator[Callable[[], bool]]:
    """Turn Ctrl-C and SIGTERM into a flag that the loop reads between steps; a second Ctrl-C stops at once."""
    caught: list[int] = []

    def handler(number: int, frame: Any) -> None:
        if caught:
            raise KeyboardInterrupt
        caught.append(number)
        print("\nStopping after this step, and saving …", file=sys.stderr, flush=True)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(caught)
    finally:
        for number, old in before.items():
            signal.signal(number, old)
