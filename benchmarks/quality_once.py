"""One training run from its rows to its model, with the quality it has on the way: what time_to_quality.py starts.

    python benchmarks/quality_once.py '{"task": "trec6", "variant": "ours", "seed": 1, "data": "…", "rows": 3000, …}'

Prints one JSON object: cpu_seconds and wall_seconds of the whole run, accuracy of the model it gives on the test rows and on
the validation rows, validation_loss where the run chooses nothing by itself, and the curve: epoch, cpu_seconds,
wall_seconds and test accuracy of the model as it would be if training ended there. The clock stands still while this is
measured; it starts when libraries and the network are open, and before any row is tokenized.
"""

from __future__ import annotations

import csv
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
import torch._dynamo  # the optimizer's first step would import it while the clock runs
from train_once import BATCH, TASKS
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

import tunewright
from tunewright.core.recipe_file import from_mapping
from tunewright.core.types import Example
from tunewright.data import normalise
from tunewright.engine import local
from tunewright.models.inference import outputs
from tunewright.models.locate import Located, locate
from tunewright.models.model import Model
from tunewright.models.processor import token_limit
from tunewright.predict.infer import infer
from tunewright.stages import assemble, fit
from tunewright.training import loop
from tunewright.training.averaging import Average
from tunewright.training.encoded import open_encoded
from tunewright.training.update import Update

TEST_ROWS = 1000  # at most: with more, measuring would take longer than learning
LEFT_OUT = {"clinc150": "oos"}  # task → a label that is no class of its own
MEASURING = 16  # texts at a time when the peers' quality is measured

Row = tuple[str, str]  # text, label


@dataclass(frozen=True)
class Job:
    """What is learned from and measured on: the same rows for every variant and seed."""

    located: Located
    train: list[Row]
    validation: list[Row]
    test: list[Row]
    settings: dict[str, Any]  # seed, points (of the curve in an epoch), and for peers learning_rate and epochs

    @property
    def labels(self) -> list[str]:
        """Of the training rows, sorted."""
        return sorted({label for _, label in self.train})


def job(asked: dict[str, Any]) -> Job:
    """Draw the rows. No text of the training rows stands in validation or test, so that nobody has to drop any."""
    task = TASKS[asked["task"]]
    folder, left_out = Path(asked["data"]) / task.data, LEFT_OUT.get(asked["task"])

    def read(name: str) -> list[Row]:
        with open(folder / f"{name}.csv", encoding="utf-8", newline="") as file:
            rows = [(". ".join(row[column] for column in task.columns), row["label"]) for row in csv.DictReader(file)]
        kept = [row for row in rows if row[1] != left_out]
        return random.Random(0).sample(kept, len(kept))

    test = read("test")[:TEST_ROWS]
    known = {normalise.key([text]) for text, _ in test}
    pool = _fresh(read("train"), known)
    train = _first(pool, asked["rows"], folder)
    others = _fresh(read("validation"), known) if (folder / "validation.csv").exists() else pool
    return Job(locate(task.backbone), train, _first(others, asked["validation_rows"], folder), test, asked)


def _fresh(rows: Sequence[Row], known: set[int]) -> Iterator[Row]:
    """Rows whose text is not among the known; then it is."""
    for text, label in rows:
        if (key := normalise.key([text])) not in known:
            known.add(key)
            yield text, label


def _first(rows: Iterator[Row], count: int, folder: Path) -> list[Row]:
    found = [row for row, _ in zip(rows, range(count), strict=False)]
    if len(found) < count:
        raise SystemExit(
            f"{folder} has only {len(found)} distinct rows where {count} are asked for: give fewer --rows."
        )
    return found


class Watch:
    """CPU and wall time of this process since it was made, but for what happened in `paused`."""

    def __init__(self) -> None:
        self._started = self._now()

    def read(self) -> dict[str, float]:
        """Seconds so far."""
        cpu, wall = (now - start for now, start in zip(self._now(), self._started, strict=True))
        return {"cpu_seconds": cpu, "wall_seconds": wall}

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The time that passes inside is not counted."""
        before = self._now()
        yield
        self._started = tuple(
            start + now - then for start, now, then in zip(self._started, self._now(), before, strict=True)
        )

    @staticmethod
    def _now() -> tuple[float, ...]:
        return time.process_time(), time.perf_counter()


@dataclass
class Curve:
    """Test accuracy on the way."""

    per_epoch: int  # steps
    density: int  # points in an epoch
    watch: Watch = field(default_factory=Watch)
    points: list[dict[str, float]] = field(default_factory=list)

    def step_done(self, step: int, accuracy: Callable[[], float]) -> None:
        """Measure where a point is due after optimizer step `step`, 0 being the start."""
        if step and step * self.density // self.per_epoch == (step - 1) * self.density // self.per_epoch:
            return
        taken = self.watch.read()
        with self.watch.paused():
            self.points.append({"epoch": step / self.per_epoch, **taken, "accuracy": accuracy()})


# -------------------------------------------------------------------------------------------------------- the peers


def trainer(job: Job) -> dict[str, Any]:
    """`transformers.Trainer` as it comes: fp32, padded to the longest of a batch, batches of 16, linear decay."""
    return _by_trainer(job)


def trainer_bf16_grouped(job: Job) -> dict[str, Any]:
    """`Trainer` with its own switches for speed: bf16, and texts of like length together."""
    return _by_trainer(job, bf16=True, train_sampling_strategy="group_by_length")


def _by_trainer(job: Job, **settings: Any) -> dict[str, Any]:
    set_seed(job.settings["seed"])
    tokenizer = AutoTokenizer.from_pretrained(job.located.folder)
    model = AutoModelForSequenceClassification.from_pretrained(job.located.folder, num_labels=len(job.labels))
    longest = token_limit(job.located.folder)

    def encoded(rows: Sequence[Row]) -> list[dict[str, Any]]:
        inputs = tokenizer([job.located.facts.prefix + text for text, _ in rows], truncation=True, max_length=longest)
        return [
            {**{name: values[i] for name, values in inputs.items()}, "labels": job.labels.index(label)}
            for i, (_, label) in enumerate(rows)
        ]

    validation, test = encoded(job.validation), encoded(job.test)
    curve = Curve(per_epoch=-(-len(job.train) // BATCH), density=job.settings["points"])

    class Measuring(TrainerCallback):
        def on_step_end(self, _: Any, state: Any, __: Any, **___: Any) -> None:
            curve.step_done(state.global_step, lambda: _quality(model, tokenizer, test)[0])

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            seed=job.settings["seed"],
            num_train_epochs=job.settings["epochs"],
            per_device_train_batch_size=BATCH,
            learning_rate=job.settings["learning_rate"],
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
            **settings,
        )
        curve.watch = Watch()
        peer = Trainer(
            model, arguments, train_dataset=encoded(job.train), processing_class=tokenizer, callbacks=[Measuring()]
        )
        peer.train()
        peer.save_model()
        taken = curve.watch.read()
    accuracy, loss = _quality(model, tokenizer, validation)
    return {
        **taken,
        "accuracy": _quality(model, tokenizer, test)[0],
        "validation_accuracy": accuracy,
        "validation_loss": loss,
        "curve": curve.points,
    }


@torch.no_grad()
def _quality(model: torch.nn.Module, tokenizer: Any, rows: Sequence[dict[str, Any]]) -> tuple[float, float]:
    """(accuracy, mean loss) in full precision: the class's own forward, without the bf16 that `Trainer` wraps around it."""
    in_order, right, loss = sorted(rows, key=lambda row: len(row["input_ids"])), 0, 0.0
    training = model.training
    model.eval()
    for start in range(0, len(in_order), MEASURING):
        batch = tokenizer.pad(in_order[start : start + MEASURING], return_tensors="pt")
        found = type(model).forward(model, **batch)
        right += int((found.logits.argmax(dim=-1) == batch["labels"]).sum())
        loss += float(found.loss) * len(batch["labels"])
    model.train(training)
    return right / len(rows), loss / len(rows)


# ------------------------------------------------------------------------------------------------------------- ours


def ours(job: Job) -> dict[str, Any]:
    """Tunewright with the defaults of its recipe, to the sealed bundle: what a Python program that calls it waits for."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, rows in (("train.csv", job.train), ("validation.csv", job.validation)):
            with open(folder / file, "w", encoding="utf-8", newline="") as stream:
                csv.writer(stream).writerows([("text", "label"), *rows])
        recipe = from_mapping(
            {
                "task": "text_classification",
                "data": {
                    "train": str(folder / "train.csv"),
                    "validation": str(folder / "validation.csv"),
                    "columns": {"text": "text", "label": "label"},
                },
                "model": {"backbone": job.located.name},
                "train": {"threads": torch.get_num_threads()},
                "seed": job.settings["seed"],
            }
        )
        curve = Curve(per_epoch=-(-len(job.train) // recipe.train.batch_size), density=job.settings["points"])
        with _measuring(curve, job.test):
            curve.watch = Watch()
            bundle = local.fit(recipe, folder / "run")
            taken = curve.watch.read()
        learned = len(np.unique(open_encoded(folder / "run/encoded").examples))
        if learned != len(job.train) or not curve.points:
            raise RuntimeError(
                f"{learned} of {len(job.train)} rows were learned from, {len(curve.points)} points measured."
            )
        shipped = tunewright.load(bundle, "torch")
        correct = [_share_right(shipped.infer(_examples(rows)), shipped.labels) for rows in (job.test, job.validation)]
    return {**taken, "accuracy": correct[0], "validation_accuracy": correct[1], "curve": curve.points}


@contextmanager
def _measuring(curve: Curve, test: Sequence[Row]) -> Iterator[None]:
    """Inside, the network is opened off the clock, and after each step the averaged weights are measured where due."""
    opened: list[tuple[assemble.Plan, Model]] = []

    def build(*arguments: Any, **options: Any) -> Model:
        with curve.watch.paused():
            model = assemble.build(*arguments, **options)
        opened.append((arguments[0], model))
        return model

    def accuracy() -> float:
        plan, model = opened[-1]

        def run(windows: Sequence[Any]) -> list[Any]:
            return outputs(model, windows, pad_id=plan.processor.pad_id)

        items = infer(_examples(test), plan.recipe.task, plan.processor, model.labels, run)
        return _share_right(items, model.labels)

    def measured(update: Update, average: Average) -> float:
        update.settle()
        with average.applied():
            return accuracy()

    def make_update(*arguments: Any) -> Update:
        """The loop's own, which tells when a step is done. It is made when the head has had its start."""
        update, average = prepared(*arguments), arguments[-1]
        apply = update.apply
        curve.step_done(0, lambda: measured(update, average))

        def step(number: int, factor: float) -> None:
            apply(number, factor)
            curve.step_done(number, lambda: measured(update, average))

        update.apply = step
        return update

    prepared = loop._update
    with mock.patch.object(loop, "_update", make_update), mock.patch.object(fit, "assemble", _Instead(assemble, build)):
        yield


class _Instead:
    """A module with another `build`."""

    def __init__(self, module: Any, build: Callable) -> None:
        self._module, self.build = module, build

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def _examples(rows: Sequence[Row]) -> list[Example]:
    return [Example(id=str(i), inputs={"text": text}, label=label) for i, (text, label) in enumerate(rows)]


def _share_right(items: Any, labels: Sequence[str]) -> float:
    right = [labels[int(np.argmax(item.logits))] == item.example.label for item in items]
    return sum(right) / len(right)


VARIANTS: dict[str, Callable[[Job], dict[str, Any]]] = {
    variant.__name__: variant for variant in (trainer, trainer_bf16_grouped, ours)
}


def main() -> None:
    """Measure what the argument says."""
    asked = json.loads(sys.argv[1])
    print(json.dumps(VARIANTS[asked["variant"]](job(asked))))


if __name__ == "__main__":
    main()
