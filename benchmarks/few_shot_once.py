"""A few rows of each label, one way of learning from them: what few_shot.py starts.

    python benchmarks/few_shot_once.py '{"task": "trec6", "variant": "setfit", "per_label": 8, "seed": 1, "data": "…"}'

Prints one JSON object: accuracy on the test rows, rows learned from, and cpu_seconds and wall_seconds from these rows to the
model, tokenizing included, opening libraries not. Each function that bears a variant's name is a plain use of its library.
"""

from __future__ import annotations

import csv
import json
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewright.models.locate import Located, locate

TASKS = {"trec6": "minilm-l6-en", "tnews_fewclue": "e5-small-multilingual"}  # data set → backbone
TEST_ROWS = 2000  # at most

Row = tuple[str, str]  # text, label


@dataclass(frozen=True)
class Job:
    """What is learned from, and what judges it."""

    located: Located
    train: list[Row]
    test: list[Row]
    seed: int


def job(asked: dict[str, Any]) -> Job:
    """Draw as many rows of each label as asked by the seed; the test rows are the same for all seeds."""
    folder = Path(asked["data"]) / asked["task"]

    def read(name: str) -> list[Row]:
        with open(folder / f"{name}.csv", encoding="utf-8", newline="") as file:
            return [(row["text"], row["label"]) for row in csv.DictReader(file)]

    of_label: dict[str, list[Row]] = defaultdict(list)
    pool = read("train")
    for row in random.Random(asked["seed"]).sample(pool, len(pool)):
        of_label[row[1]].append(row)
    train = [row for label in sorted(of_label) for row in of_label[label][: asked["per_label"]]]
    return Job(locate(TASKS[asked["task"]]), train, read("test")[:TEST_ROWS], asked["seed"])


def setfit(job: Job) -> dict[str, Any]:
    """`setfit.Trainer` as it comes: pairs of rows, every label as often as the others, one epoch, then a linear head."""
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules
    from setfit import SetFitModel, Trainer, TrainingArguments
    from sklearn.linear_model import LogisticRegression

    def texts(rows: Sequence[Row]) -> list[str]:
        return [job.located.facts.prefix + text for text, _ in rows]

    words = modules.Transformer(str(job.located.folder))
    body = SentenceTransformer(
        modules=[words, modules.Pooling(words.get_embedding_dimension(), "mean"), modules.Normalize()], device="cpu"
    )
    model = SetFitModel(model_body=body, model_head=LogisticRegression())
    started = time.process_time(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder, seed=job.seed, save_strategy="no", report_to="none", show_progress_bar=False
        )
        rows = Dataset.from_dict({"text": texts(job.train), "label": [label for _, label in job.train]})
        Trainer(model=model, args=arguments, train_dataset=rows).train()
    taken = _since(started)
    found = model.predict(texts(job.test), batch_size=32, show_progress_bar=False)
    right = [str(one) == label for one, (_, label) in zip(found, job.test, strict=True)]
    return {**taken, "accuracy": sum(right) / len(right)}


def few_shot(job: Job) -> dict[str, Any]:
    """Tunewright's head start for few rows, with the recipe's defaults."""
    return _by_recipe(job, {"start": "few_shot"})


def full(job: Job) -> dict[str, Any]:
    """Tunewright's plain fine-tuning with the recipe's defaults."""
    return _by_recipe(job, {})


def _by_recipe(job: Job, train: dict[str, Any]) -> dict[str, Any]:
    import tunewright
    from tunewright.core.recipe_file import from_mapping
    from tunewright.core.types import Example
    from tunewright.engine import local

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with open(folder / "train.csv", "w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([("text", "label"), *job.train])
        recipe = from_mapping(
            {
                "task": "text_classification",
                "data": {"train": str(folder / "train.csv"), "columns": {"text": "text", "label": "label"}},
                "model": {"backbone": job.located.name},
                "train": {"threads": 1, **train},
                "seed": job.seed,
            }
        )
        started = time.process_time(), time.perf_counter()
        bundle = local.fit(recipe, folder / "run")
        taken = _since(started)
        model = tunewright.load(bundle, "torch")
        rows = [Example(id=str(i), inputs={"text": text}, label=label) for i, (text, label) in enumerate(job.test)]
        right = [model.labels[int(one.logits.argmax())] == one.example.label for one in model.infer(rows)]
    return {**taken, "accuracy": sum(right) / len(right)}


def _since(started: tuple[float, float]) -> dict[str, float]:
    return {"cpu_seconds": time.process_time() - started[0], "wall_seconds": time.perf_counter() - started[1]}


VARIANTS: dict[str, Callable[[Job], dict[str, Any]]] = {
    variant.__name__: variant for variant in (setfit, few_shot, full)
}


def main() -> None:
    """Measure what the argument says."""
    asked = json.loads(sys.argv[1])
    given = job(asked)
    print(json.dumps({"rows": len(given.train), **VARIANTS[asked["variant"]](given)}))


if __name__ == "__main__":
    main()
