"""Every key of the recipe changes something one can observe; a key without an entry below fails.

Each entry says how to change its key and where the change must be seen. Runs are real: `train` from a file to a verdict,
on a tiny backbone, and what they show is compared with a run in which only that key differs.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import math
import random
import sys
import tempfile
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch

from tunewright.core import catalog, files
from tunewright.core.contracts import Given
from tunewright.core.errors import TunewrightError
from tunewright.core.recipe import FindingKind, Recipe
from tunewright.core.recipe_file import from_mapping
from tunewright.core.types import Answer, Example, Policy, Prediction
from tunewright.data import sources
from tunewright.kernels.library import library

# ----------------------------------------------------------------------------------------------- the keys there are


def keys(cls: type = Recipe, path: str = "") -> Iterator[str]:
    """Every leaf of the schema: "train.epochs", "train.method" (which one), "train.method=lora.rank" (its setting)."""
    for setting in catalog.settings(cls):
        key = f"{path}{setting.name}"
        hints = [setting.type, *getattr(setting.type, "__args__", ())]
        hints += [inner for hint in hints[1:] for inner in getattr(hint, "__args__", ())]
        kind = next((catalog.kind_of(hint) for hint in hints if catalog.kind_of(hint)), None)
        section = next((hint for hint in hints if dataclasses.is_dataclass(hint)), None)
        if kind is not None:
            yield key
            for name in catalog.names(kind):
                yield from (f"{key}={name}.{inner.name}" for inner in catalog.settings(catalog.find(kind, name)))
        elif section is not None:
            if type(None) in hints:
                yield key  # a section that can be turned off
            yield from keys(section, f"{key}.")
        else:
            yield key


# -------------------------------------------------------------------------------------------------- a run to look at

WORDS = {"a": "good great best love nice", "b": "bad poor worst hate awful", "c": "好 美 喜欢 快 便宜"}
SHARES = {"a": 46, "b": 26, "c": 14}
FILLERS = ["the", "movie", "book", "music", "was", "really", "very", "food", "phone", "电影", "书", "音乐", "很", "店"]


@pytest.fixture(scope="module")
def world(tmp_path_factory, tiny_backbone):
    """Runs recipes and remembers what they showed."""
    folder = tmp_path_factory.mktemp("keys")
    patch = pytest.MonkeyPatch()
    patch.setattr(files, "_flush", lambda path: None)  # nobody pulls the plug here
    yield World(folder, tiny_backbone, write_data(folder))
    patch.undo()


def write_data(folder: Path) -> dict[str, Path]:
    """The training table, other tables of the same columns, and the same rows with several labels each."""
    draw = random.Random(3)
    rows = [made_row(draw, label, number) for label, count in SHARES.items() for number in range(count)]
    draw.shuffle(rows)
    rows += [dict(row, group="twin") for row in rows[:6]]  # texts that stand twice: leakage, when they are parted
    pool = [made_row(draw, label, number) for label in SHARES for number in range(16)]
    tables = {
        "train": rows,
        "validation": [made_row(draw, label, number) for label in SHARES for number in range(4)],
        "test": [made_row(draw, label, number) for label in SHARES for number in range(5)],
        **{name: [{"text": one["text"]} for one in pool[::step]] for name, step in (("pool", 1), ("half", 2))},
        "several": [dict(row, label=f"{row['label']}|{draw.choice('xyz')}") for row in rows],
        "alike": [
            dict(row, other=rows[place - place % 2]["other"], label="ab"[place % 2])
            for place, row in enumerate(rows[:-1], start=1)
        ],
    }
    paths = {name: folder / f"{name}.csv" for name in tables}
    for name, table in tables.items():
        with open(paths[name], "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, table[0])
            writer.writeheader()
            writer.writerows(table)
    return paths


def made_row(draw: random.Random, label: str, number: int) -> dict[str, str]:
    """A row whose words mostly show its label; every eighth is long, and one in six has another label's word."""
    shown = draw.choice(list(SHARES)) if draw.random() < 1 / 6 else label
    length = 40 if number % 8 == 0 else draw.randint(3, 9)
    words = [
        draw.choice(WORDS[shown].split()),
        *(draw.choice(FILLERS) for _ in range(length)),
        str(draw.randint(0, 99)),
    ]
    draw.shuffle(words)
    day = f"2024-{draw.randint(1, 12):02}-{draw.randint(1, 28):02}"
    return {
        "text": " ".join(words), "label": label, "other": " ".join(reversed(words)), "group": f"g{draw.randint(0, 9)}",
        "day": day, "language": "zh" if label == "c" else "en", "number": str(len(words)),
    }  # fmt: skip


class Witness:
    """Progress that remembers what was said, and with how many threads the work was done."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.threads: set[int] = set()

    @contextmanager
    def task(self, title: str, total: int | None = None):
        """See Progress.task."""
        import torch

        if title == "Training":
            self.threads.add(torch.get_num_threads())
        yield lambda count: None

    def say(self, message: str) -> None:
        """See Progress.say."""
        self.said.append(message)


@dataclass
class World:
    """Where runs are made: `observe(changes)` trains once for every set of changes."""

    folder: Path
    backbone: Path
    data: Mapping[str, Path]
    known: dict[str, dict[str, Any]] = field(default_factory=dict)

    def recipe(self, changes: Mapping[str, Any]) -> Recipe:
        """The base recipe with dotted keys changed; {train} and {folder} in texts stand for paths."""
        data: dict[str, Any] = {
            "task": "text_classification",
            "data": {"train": str(self.data["train"]), "columns": {"text": "text", "label": "label"}},
            "model": {"backbone": str(self.backbone)},
            "train": {"epochs": 2, "learning_rate": 5e-4, "precision": "fp32", "threads": 1, "device": "cpu"},
            "evaluate": {"baselines": ["majority"], "resamples": 100},
            "predict": {"runtime": "torch"},
        }
        for key, value in changes.items():
            *path, last = key.split(".")
            section = data
            for part in path:
                section = section.setdefault(part, {})
            section[last] = value(self) if callable(value) else value
        return from_mapping(data)

    def observe(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """What a run of the changed recipe shows: name → value; {"error": message} when it is refused."""
        told = repr(sorted((key, repr(value)) for key, value in changes.items()))
        if told not in self.known:
            self.known[told] = self.run(changes, Path(tempfile.mkdtemp(dir=self.folder)) / "run")
        return self.known[told]

    def run(self, changes: Mapping[str, Any], out: Path) -> dict[str, Any]:
        """Train into `out` and look."""
        from tunewright.engine.local import train

        witness = Witness()
        try:
            with largest_part() as parts:
                train(self.recipe(changes), out=out, progress=witness)
        except TunewrightError as error:
            return {"error": str(error)}
        return {"error": None, "threads": witness.threads, "parts": parts, "said": witness.said, **shown(out)}


@contextmanager
def largest_part() -> Iterator[dict[str, int]]:
    """Watch into what parts the loop cuts its steps."""
    from tunewright.training import loop

    found, cut = {"parts": 0}, loop.micro_batches

    def watched(indices, lengths, most):
        for part in cut(indices, lengths, most):
            found["parts"] += 1
            yield part

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "micro_batches", watched)
        yield found


def shown(run: Path) -> dict[str, Any]:
    """Everything a run shows that does not depend on the clock, and is not the recipe itself."""
    report = json.loads((run / "report.json").read_text("utf-8"))
    from tunewright.data.dataset import Dataset

    dataset = Dataset.open(run / "data")
    training = {
        name: value
        for name, value in report["training"].items()
        if name not in ("seconds", "tokens_per_second", "peak_memory_mb", "history", "losses")
    }
    return {
        "rows": {name: [example.id for example in split] for name, split in dataset.splits.items()},
        "texts": {name: [dict(example.inputs) for example in split] for name, split in dataset.splits.items()},
        "labels": dataset.labels,
        "windows": digest(*sorted((run / "encoded").glob("*"))),
        "tokens": report["data"]["ledger"]["tokens"],
        "findings": report["data"]["findings"],
        "history": report["training"]["history"],
        "losses": report["training"]["losses"],
        "training": training,
        "trained": report["model"]["trained_parameters"],
        "weights": digest(*sorted(run.rglob("best/weights.safetensors"))),
        "model": digest(run / "bundle" / "model" / "model.safetensors"),
        "decision": json.loads((run / "bundle" / "decision.json").read_text("utf-8")),
        "results": report["results"],
        "baselines": report["results"]["baselines"],
        "intervals": [report["results"]["intervals"], report["results"]["differences"]],
        "metric": report["verdict"]["metric"],
        "slices": report["slices"],
        "errors": report["errors"],
        "page": 'lang="zh' in (run / "report.html").read_text("utf-8"),
        "files": sorted(str(path.relative_to(run)) for path in run.rglob("*") if "events.out" not in path.name),
        "checkpoints": sorted(path.name for path in (run / "checkpoints").glob("step-*")),
    }


def digest(*paths: Path) -> str:
    """SHA-256 of files, one after the other."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


# ------------------------------------------------------------------------------------------- how each key is changed


@dataclass(frozen=True)
class Change:
    """Set the key `to` another value; then `seen` differs from the run without. `base`: changes that both runs have."""

    to: Any
    seen: str
    base: Mapping[str, Any] = field(default_factory=dict)


def path(name: str) -> Callable[[World], str]:
    """The path of one of the world's tables."""
    return lambda world: str(world.data[name])


def backbone(make: Callable[[Path, Path], None]) -> Callable[[World], str]:
    """A copy of the tiny backbone that `make(copy, original)` has changed."""

    def made(world: World) -> str:
        import shutil

        copy = world.folder / make.__name__
        if not copy.exists():
            shutil.copytree(world.backbone, copy)
            make(copy, world.backbone)
        return str(copy)

    return made


def another_seed(copy: Path, original: Path) -> None:
    """Other weights."""
    from tunewright.testing.tiny import tiny_backbone

    tiny_backbone(copy, seed=5)


def pickled(copy: Path, original: Path) -> None:
    """Weights in a form that can run code."""
    import torch
    from safetensors.torch import load_file

    torch.save(load_file(original / "model.safetensors"), copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()


def brings_code(copy: Path, original: Path) -> None:
    """A model that asks for code of its own."""
    config = json.loads((copy / "config.json").read_text())
    config["auto_map"] = {"AutoModel": "own.OwnModel", "AutoConfig": "own.OwnConfig"}
    (copy / "config.json").write_text(json.dumps(config))


SEVERAL = {"task": {"name": "text_classification", "multi_label": True}, "data.train": path("several")}
PAIRS = {"task": "sentence_pair", "data.columns": {"text_a": "text", "text_b": "other", "label": "label"}}
ALIKE = {**PAIRS, "data.train": path("alike"), "data.test": None, "train.start": {"name": "bi_encoder", "steps": 3}}
SHORT = {"data.max_tokens": 16}
FREEZE = {"train.method": {"name": "freeze", "layers": 2}}
LORA = {"train.method": {"name": "lora"}}
DORA = {"train.method": {"name": "dora"}}
ADALORA = {"train.method": {"name": "adalora"}}
ADAPTER = {"train.method": {"name": "adapter"}}
STOPPING = {
    "train.start": "random", "train.epochs": 8, "train.batch_size": 8, "train.evaluate_every": 0.5,
    "train.learning_rate": 2e-3, "train.weight_average": None, "train.schedule": {"name": "linear"},
}  # fmt: skip
PATIENT = {**STOPPING, "train.early_stopping.patience": 50}
FEW_SHOT, ZERO_SHOT = {"train.start": {"name": "few_shot", "steps": 8}}, {"train.start": {"name": "zero_shot"}}


def verbalizer(seed: int = 0, **settings: Any) -> Callable[[World], dict[str, Any]]:
    """A start that asks a masked language model made from a seed."""

    def made(world: World) -> dict[str, Any]:
        from tunewright.testing.tiny import tiny_masked_lm

        model = world.folder / f"masked-lm-{seed}"
        return {
            "name": "verbalizer",
            "model": str(model if model.exists() else tiny_masked_lm(model, seed)),
            **settings,
        }

    return made


VERBALIZER = {"train.start": verbalizer()}
SGD = {"train.optimizer": {"name": "sgd"}, "train.learning_rate": 0.1}
ADAFACTOR = {"train.optimizer": {"name": "adafactor"}}
COSINE, LINEAR = {"train.schedule": {"name": "cosine"}}, {"train.schedule": {"name": "linear"}}
SMOOTH = {"train.objective": {"name": "cross_entropy"}}
PSEUDO = {"data.unlabelled": path("pool"), "train.unlabelled": {"name": "pseudo_label", "accuracy": 0.5}}
UDA = {"data.unlabelled": path("pool"), "train.unlabelled": {"name": "uda", "confidence": 0.3}}
FGM = {"train.regularisers": ["adversarial"]}
CONTRASTIVE = {"train.regularisers": ["contrastive"]}
TFIDF = {"evaluate.baselines": [{"name": "tfidf"}]}
MATCHING = {"task": "matching", "data.columns": {"query": "text", "document": "other"}, "evaluate.baselines": []}
COSINE_TFIDF = {**MATCHING, "evaluate.baselines": ["tfidf_cosine"]}
REFUSED = "error"

KEYS: dict[str, Change | Callable[..., None]] = {
    "task": Change("token_classification", REFUSED),
    "task=text_classification.multi_label": Change({"name": "text_classification", "multi_label": True}, "decision"),
    "task=text_classification.separator": Change(
        {"name": "text_classification", "multi_label": True, "separator": ";"}, "labels", SEVERAL
    ),
    "task=text_classification.texts": Change({"name": "text_classification", "texts": ["text", "other"]}, "texts"),
    "task=text_classification.levels": Change({"name": "text_classification", "levels": "/"}, "results"),
    "task=text_classification.ordinal": Change(
        {"name": "text_classification", "ordinal": True}, "metric", {"data.labels": ["a", "b", "c"]}
    ),
    "task=text_classification.categorical": Change(
        {"name": "text_classification", "categorical": ["language"]}, "results"
    ),
    "task=text_classification.numeric": Change({"name": "text_classification", "numeric": ["number"]}, "files"),
    "task=text_classification.known": Change(
        {"name": "text_classification", "categorical": ["language"], "known": {"language": ["zh"]}},
        "weights",
        {"task": {"name": "text_classification", "categorical": ["language"]}},
    ),
    "predict.runtime": Change("onnx", "files"),
    "predict.runtime=onnx.precision": Change(
        {"name": "onnx", "precision": "fp32"}, "errors", {"predict.runtime": {"name": "onnx"}}
    ),
    "predict.runtime=onnx.static": Change(
        {"name": "onnx", "static": True}, "files", {"predict.runtime": {"name": "onnx"}}
    ),
    "predict.runtime=onnx.full": Change(
        {"name": "onnx", "full": 0.5}, "files", {"predict.runtime": {"name": "onnx", "static": True}}
    ),
    "version": Change(2, REFUSED),
    "seed": Change(14, "rows"),
    # data
    "data.train": Change(path("test"), "rows"),
    "data.validation": Change(path("validation"), "rows"),
    "data.test": Change(path("test"), "rows"),
    "data.unlabelled": Change(path("half"), "training", PSEUDO),
    "data.reader": Change("text", REFUSED),
    "data.columns": Change({"text": "other", "label": "label"}, "texts"),
    "data.labels": Change(["c", "b", "a"], "labels"),
    "data.split.by": Change("random", "rows"),
    "data.split.column": Change("group", "rows", {"data.split.by": "grouped", "data.split.column": "day"}),
    "data.split.validation_share": Change(0.3, "rows"),
    "data.split.test_share": Change(0.4, "rows"),
    "data.max_tokens": Change(12, "windows"),
    "data.overflow": Change("truncate", "tokens", SHORT),
    "data.stride": Change(2, "windows", SHORT),
    "data.leakage": Change("keep", "rows"),
    "data.augment": Change(["typo"], "windows"),
    "data.refuse": Change(["duplicates"], REFUSED),
    "data.limit": Change(50, "rows"),
    # model
    "model.backbone": Change(backbone(another_seed), "model"),
    "model.dropout": Change(0.3, "losses"),
    "model.word_embeddings": Change("freeze", "trained"),
    "model.pickled_weights": Change(True, REFUSED, {"model.backbone": backbone(pickled)}),
    "model.remote_code": Change(True, REFUSED, {"model.backbone": backbone(brings_code)}),
    # train
    "train.method": Change("linear_probe", "trained"),
    "train.method=freeze.layers": Change({"name": "freeze", "layers": 1}, "trained", FREEZE),
    "train.method=freeze.embeddings": Change({"name": "freeze", "layers": 2, "embeddings": True}, "trained", FREEZE),
    "train.method=adalora.rank": Change({"name": "adalora", "rank": 2}, "losses", ADALORA),
    "train.method=adalora.start_rank": Change({"name": "adalora", "start_rank": 16}, "trained", ADALORA),
    "train.method=adalora.alpha": Change({"name": "adalora", "alpha": 64}, "losses", ADALORA),
    "train.method=adalora.warm_up": Change({"name": "adalora", "warm_up": 0.5}, "losses", ADALORA),
    "train.method=adalora.settle": Change({"name": "adalora", "settle": 0.6}, "losses", ADALORA),
    "train.method=adalora.orthogonality": Change({"name": "adalora", "orthogonality": 0.5}, "losses", ADALORA),
    "train.method=adalora.targets": Change({"name": "adalora", "targets": ["query"]}, "trained", ADALORA),
    "train.method=adapter.size": Change({"name": "adapter", "size": 4}, "trained", ADAPTER),
    "train.method=adapter.places": Change({"name": "adapter", "places": "pfeiffer"}, "trained", ADAPTER),
    "train.method=prefix.tokens": Change({"name": "prefix", "tokens": 3}, "trained", {"train.method": "prefix"}),
    "train.method=prompt.tokens": Change({"name": "prompt", "tokens": 3}, "trained", {"train.method": "prompt"}),
    "train.method=unfreeze.over": Change({"name": "unfreeze", "over": 1.0}, "weights", {"train.method": "unfreeze"}),
    "train.method=dora.rank": Change({"name": "dora", "rank": 2}, "trained", DORA),
    "train.method=dora.alpha": Change({"name": "dora", "alpha": 64}, "losses", DORA),
    "train.method=dora.targets": Change({"name": "dora", "targets": ["query"]}, "trained", DORA),
    "train.method=lora.rank": Change({"name": "lora", "rank": 2}, "trained", LORA),
    "train.method=lora.alpha": Change({"name": "lora", "alpha": 64}, "losses", LORA),
    "train.method=lora.dropout": Change({"name": "lora", "dropout": 0.5}, "losses", LORA),
    "train.method=lora.targets": Change({"name": "lora", "targets": ["query"]}, "trained", LORA),
    "train.objective": Change({"name": "cross_entropy", "label_smoothing": 0.3}, "losses"),
    "train.objective=cross_entropy.label_smoothing": Change(
        {"name": "cross_entropy", "label_smoothing": 0.2}, "losses", SMOOTH
    ),
    "train.objective=binary_cross_entropy.label_smoothing": Change(
        {"name": "binary_cross_entropy", "label_smoothing": 0.3}, "losses", SEVERAL
    ),
    "train.objective=info_nce.temperature": Change({"name": "info_nce", "temperature": 0.5}, "losses", MATCHING),
    "train.objective=info_nce.hard_negatives": Change({"name": "info_nce", "hard_negatives": 3}, "losses", MATCHING),
    "train.objective=info_nce.symmetric": Change({"name": "info_nce", "symmetric": True}, "losses", MATCHING),
    "evaluate.baselines=tfidf_cosine.shortest": Change(
        [{"name": "tfidf_cosine", "shortest": 4}], "baselines", COSINE_TFIDF
    ),
    "evaluate.baselines=tfidf_cosine.longest": Change(
        [{"name": "tfidf_cosine", "longest": 1}], "baselines", COSINE_TFIDF
    ),
    "train.objective=focal.gamma": Change({"name": "focal", "gamma": 1.0}, "losses", {"train.objective": "focal"}),
    "train.regularisers": Change(["adversarial"], "losses"),
    "train.regularisers=adversarial.kind": Change([{"name": "adversarial", "kind": "pgd"}], "losses", FGM),
    "train.regularisers=adversarial.epsilon": Change([{"name": "adversarial", "epsilon": 0.5}], "losses", FGM),
    "train.regularisers=adversarial.steps": Change(
        [{"name": "adversarial", "kind": "pgd", "steps": 2}],
        "losses",
        {"train.regularisers": [{"name": "adversarial", "kind": "pgd"}]},
    ),
    "train.regularisers=contrastive.positives": Change(
        [{"name": "contrastive", "positives": "dropout"}], "losses", {**CONTRASTIVE, "model.dropout": 0.1}
    ),
    "train.regularisers=contrastive.weight": Change([{"name": "contrastive", "weight": 0.5}], "losses", CONTRASTIVE),
    "train.regularisers=contrastive.temperature": Change(
        [{"name": "contrastive", "temperature": 1.0}], "losses", CONTRASTIVE
    ),
    "train.regularisers=mixout.probability": Change(
        [{"name": "mixout", "probability": 0.2}], "losses", {"train.regularisers": ["mixout"]}
    ),
    "train.regularisers=r_drop.alpha": Change(
        [{"name": "r_drop", "alpha": 5.0}], "losses", {"train.regularisers": ["r_drop"], "model.dropout": 0.1}
    ),
    "train.unlabelled": Change("uda", "training", PSEUDO),
    "train.unlabelled=pseudo_label.threshold": Change({"name": "pseudo_label", "threshold": 0.8}, "training", PSEUDO),
    "train.unlabelled=pseudo_label.accuracy": Change({"name": "pseudo_label", "accuracy": 1.0}, "training", PSEUDO),
    "train.unlabelled=pseudo_label.balance": Change(
        {"name": "pseudo_label", "accuracy": 0.5, "balance": 1.0}, "training", PSEUDO
    ),
    "train.unlabelled=uda.rows": Change({"name": "uda", "confidence": 0.3, "rows": 8}, "losses", UDA),
    "train.unlabelled=uda.augmenter": Change({"name": "uda", "confidence": 0.3, "augmenter": "typo"}, "losses", UDA),
    "train.unlabelled=uda.weight": Change({"name": "uda", "confidence": 0.3, "weight": 3.0}, "losses", UDA),
    "train.unlabelled=uda.temperature": Change({"name": "uda", "confidence": 0.3, "temperature": 1.0}, "losses", UDA),
    "train.unlabelled=uda.confidence": Change({"name": "uda", "confidence": 0.7}, "losses", UDA),
    "train.start": Change("random", "history"),
    "train.start=bi_encoder.steps": Change({"name": "bi_encoder", "steps": 200}, "history", ALIKE),
    "train.start=few_shot.steps": Change({"name": "few_shot", "steps": 3}, "history", FEW_SHOT),
    "train.start=few_shot.names": Change({"name": "few_shot", "steps": 8, "names": False}, "history", FEW_SHOT),
    "train.start=few_shot.descriptions": Change(
        {"name": "few_shot", "steps": 8, "descriptions": [["a", "good great best"], ["b", "bad poor worst"]]},
        "history",
        FEW_SHOT,
    ),
    "train.start=few_shot.nearest_mean": Change(
        {"name": "few_shot", "steps": 8, "nearest_mean": True}, "history", FEW_SHOT
    ),
    "train.start=zero_shot.descriptions": Change(
        {"name": "zero_shot", "descriptions": [["a", "good great best"], ["b", "bad poor worst"]]}, "history", ZERO_SHOT
    ),
    "train.start=zero_shot.template": Change(
        {"name": "zero_shot", "template": "the food was {}"}, "history", ZERO_SHOT
    ),
    "train.start=verbalizer.model": Change(verbalizer(seed=1), "history", VERBALIZER),
    "train.start=verbalizer.template": Change(verbalizer(template="{} was {mask}"), "history", VERBALIZER),
    "train.start=verbalizer.words": Change(verbalizer(words=[["a", "good"], ["b", "bad"]]), "history", VERBALIZER),
    "train.epochs": Change(1, "history"),
    "train.batch_size": Change(8, "history"),
    "train.micro_batch_tokens": Change(64, "parts"),
    "train.learning_rate": Change(1e-4, "losses"),
    "train.optimizer": Change("sgd", "losses"),
    "train.optimizer=adamw.beta1": Change({"name": "adamw", "beta1": 0.5}, "losses"),
    "train.optimizer=adamw.beta2": Change({"name": "adamw", "beta2": 0.9}, "losses"),
    "train.optimizer=adamw.epsilon": Change({"name": "adamw", "epsilon": 1e-2}, "losses"),
    "train.optimizer=sgd.momentum": Change({"name": "sgd", "momentum": 0.5}, "losses", SGD),
    "train.optimizer=adafactor.beta2_decay": Change({"name": "adafactor", "beta2_decay": -0.2}, "losses", ADAFACTOR),
    "train.optimizer=adafactor.clip_update": Change({"name": "adafactor", "clip_update": 3.0}, "losses", ADAFACTOR),
    "train.weight_decay": Change(5.0, "losses"),
    "train.schedule": Change("linear", "losses"),
    "train.schedule=linear.warmup": Change({"name": "linear", "warmup": 0.9}, "losses", LINEAR),
    "train.schedule=cosine.warmup": Change({"name": "cosine", "warmup": 0.9}, "losses", COSINE),
    "train.schedule=constant.warmup": Change({"name": "constant", "warmup": 0.9}, "losses"),
    "train.layer_decay": Change(0.3, "losses"),
    "train.class_weights": Change("balanced", "losses"),
    "train.weight_average": Change(None, "history"),
    "train.weight_average=polynomial.power": Change({"name": "polynomial", "power": 0.0}, "history"),
    "train.weight_average=ema.decay": Change(
        {"name": "ema", "decay": 0.1}, "history", {"train.weight_average": {"name": "ema", "decay": 0.9}}
    ),
    "train.weight_average=swa.begin": Change(
        {"name": "swa", "begin": 0.0}, "history", {"train.weight_average": {"name": "swa"}}
    ),
    "train.ensemble": Change({"size": 2}, "training"),
    "train.ensemble.size": Change(3, "training", {"train.ensemble.size": 2}),
    "train.ensemble.kind": Change("vote", "files", {"train.ensemble.size": 2}),
    "train.clip_norm": Change(0.001, "losses"),
    "train.early_stopping": Change(None, "history", STOPPING),
    "train.early_stopping.metric": Change("loss", "training", PATIENT),
    "train.early_stopping.patience": Change(1, "history", STOPPING),
    "train.evaluate_every": Change(0.5, "history"),
    "train.checkpoint_steps": Change(1, "checkpoints"),
    "train.precision": Change("bf16", "losses"),
    "train.device": Change("mps", REFUSED),
    "train.threads": Change(2, "threads"),
    # evaluate
    "evaluate.metric": Change("macro_f1", "metric"),
    "evaluate.baselines": Change(["majority", "linear_probe"], "baselines"),
    "task=sentence_pair.regression": Change({"name": "sentence_pair", "regression": True}, REFUSED, PAIRS),
    "task=sentence_pair.symmetric": Change({"name": "sentence_pair", "symmetric": True}, "windows", PAIRS),
    "evaluate.baselines=overlap.characters": Change(
        [{"name": "overlap", "characters": 1}], "baselines", {**PAIRS, "evaluate.baselines": ["overlap"]}
    ),
    "evaluate.baselines=tfidf.words": Change([{"name": "tfidf", "words": 1}], "baselines", TFIDF),
    "evaluate.baselines=tfidf.characters": Change([{"name": "tfidf", "characters": 2}], "baselines", TFIDF),
    "evaluate.baselines=tfidf.features": Change([{"name": "tfidf", "features": 10}], "baselines", TFIDF),
    "evaluate.confidence": Change(0.6, "intervals"),
    "evaluate.resamples": Change(300, "intervals"),
    "evaluate.slices": Change(["language"], "slices"),
    "evaluate.worst": Change(1, "errors"),
    # decision
    "decision.calibration": Change(None, "model"),
    "decision.calibration=temperature.prior": Change({"name": "temperature", "prior": 500.0}, "model"),
    "decision.max_error": Change(0.6, "decision"),
    "decision.threshold": Change(0.9, "decision", SEVERAL),
    # report and trackers
    "report.language": Change("zh", "page"),
    "trackers": Change(["tensorboard"], "files"),
}


def entry(function: Callable[..., None]) -> Callable[..., None]:
    """Add a function as the entry of the keys that its docstring's first line names."""
    for key in (function.__doc__ or "").partition("\n")[0].split():
        KEYS[key] = function
    return function


def rows(reader: str, source: Path, **settings: Any) -> Any:
    """What a reader with these settings makes of a source: its rows, or the message that refuses them."""
    try:
        made = catalog.create("readers", {"name": reader, **settings})
        return [(row.values, row.problem) for row in sources.rows(str(source), made)]
    except TunewrightError as error:
        return str(error)


@pytest.mark.slow
@pytest.mark.parametrize("key", sorted(keys()))
def test_every_key_changes_something_one_can_observe(world, key, tmp_path, monkeypatch):
    assert key in KEYS, f"{key} has no entry: say in KEYS how to change it and where the change is seen"
    change = KEYS[key]
    if not isinstance(change, Change):
        change(tmp_path, monkeypatch)
        return
    place = key.partition("=")[0]
    before = world.observe(change.base)
    after = observed(world, {**change.base, place: change.to})
    differs = sorted(name for name in after if before.get(name) != after.get(name))
    assert change.seen in differs, f"{key} changes {', '.join(differs) or 'nothing'}; {after.get('error')}"
    assert change.seen == REFUSED or (before["error"] is None and after["error"] is None), (
        before["error"],
        after["error"],
    )


def observed(world: World, changes: Mapping[str, Any]) -> dict[str, Any]:
    """What the changed recipe shows; a value that is no recipe's shows the message that refuses it."""
    try:
        return world.observe(changes)
    except TunewrightError as error:
        return {"error": str(error)}


# Values that a recipe's types allow, and that cannot be: each ends in a message, before any training.
IMPOSSIBLE = (
    (
        {"train.objective": "binary_cross_entropy"},
        "train.objective: binary_cross_entropy cannot take the labels of this",
    ),
    ({**SEVERAL, "train.objective": "cross_entropy"}, "train.objective: cross_entropy cannot take the labels of this"),
    (
        {"train.regularisers": ["r_drop"]},
        "train.regularisers: r_drop compares two passes, and here all passes are the same",
    ),
    (
        {"train.regularisers": ["mixout"], "train.method": "lora"},
        "train.regularisers: mixout puts the matrices of the backbone's layers back to the pretrained ones, and train.method",
    ),
    (
        {**SEVERAL, "train.regularisers": ["contrastive"]},
        "train.regularisers: contrastive draws rows of one label together, and the answers of this task are no single",
    ),
    (
        {"train.regularisers": ["adversarial"], "train.engine": "compiled"},
        "train.regularisers changes what a pass computes, and train.engine: compiled computes all alike.",
    ),
    ({"train.regularisers": [{"name": "adversarial", "steps": 2}]}, "fgm makes one step, and steps is 2"),
    (
        {"train.objective": "squared_error", "train.precision": "auto"},  # before precisions are tried
        "train.objective: squared_error cannot take the labels of this",
    ),
    (
        {**PAIRS, "task": {"name": "token_classification"}, "data.columns": {"spans": "label"}},
        "words have 1 tags. Give each word one tag",
    ),
    (
        {"evaluate.slices": ["langauge"]},
        "evaluate.slices: 'langauge' is neither length nor a further column of the data.",
    ),
    (
        {**MATCHING, "train.objective": "cross_entropy"},
        "train.objective: cross_entropy cannot take the labels of matching. Set it to auto.",
    ),
    ({"train.objective": "info_nce"}, "train.objective: info_nce cannot take the labels of text_classification."),
    ({**MATCHING, "train.method": "linear_probe"}, "train.method: the one chosen trains the head alone, at first or"),
    ({**MATCHING, "train.method": "unfreeze"}, "train.method: the one chosen trains the head alone, at first or"),
    (
        {**MATCHING, "train.regularisers": ["adversarial"]},
        "train.regularisers change how a row is computed, and info_nce holds all rows of a step against one another.",
    ),
    (
        {**MATCHING, "evaluate.baselines": [{"name": "tfidf_cosine", "shortest": 5}]},
        "shortest (5) is more than longest (4).",
    ),
    ({"evaluate.slices": ["langauge"]}, "Did you mean 'language'? Known: length, other, group, day, language, number."),
    ({"evaluate.metric": "loss"}, "evaluate.metric: there is no metric 'loss' to choose by. Known: accuracy,"),
    (
        {"evaluate.metric": "acuracy"},
        "evaluate.metric: there is no metric 'acuracy' to choose by. Did you mean 'accuracy'?",
    ),
    (
        {"train.early_stopping.metric": "ece"},
        "train.early_stopping.metric: there is no metric 'ece' to choose by. Known: accuracy, macro_f1, micro_f1, mcc, loss",
    ),
    ({"data.max_tokens": 129}, "data.max_tokens is 129, and "),
    (
        {"data.max_tokens": 16, "data.overflow": "refuse"},
        "tokens, and a window holds 14. data.overflow is refuse: shorten",
    ),
    ({"data.split.by": "time"}, "data.split.by is time, and data.split.column does not say which column to use."),
    ({"data.split.by": "grouped", "data.split.column": "gruop"}, "has no column 'gruop'. Did you mean 'group'?"),
    ({"data.labels": ["a", "b"]}, "1 label that data.labels does not list: 'c' (14 rows, first at train.csv:"),
    ({"data.columns": {"foo": "text"}}, "data.columns names the role 'foo', and the task's roles are text, label."),
    ({"data.train": ""}, "data.train is '': String should have at least 1 character."),
    ({"model.backbone": ""}, "model.backbone is '': String should have at least 1 character."),
    ({"train.learning_rate": 1e30}, "the loss or its gradient is not a number"),
    ({"train.method": {"name": "freeze", "layers": 9}}, "train.method.layers is 9, but the backbone has 2 layers."),
    (
        {"train.method": {"name": "adalora", "start_rank": 8}},
        "train.method.start_rank is 8, and must be larger than rank (8): adalora gives up what lies between.",
    ),
    (
        {"train.method": {"name": "adalora", "warm_up": 0.5, "settle": 0.5}},
        "train.method: warm_up (0.5) and settle (0.5) are shares of the run, and adalora needs time between them.",
    ),
    (
        {"train.method": {"name": "prompt", "tokens": 10}, "data.max_tokens": 119},
        "which leaves 118 for a text, and 119 are needed (data.max_tokens is 119). Give the method or the text fewer.",
    ),
    (
        {"train.method": {"name": "prompt", "tokens": 126}},
        "train.method takes 126 of the 128 places that ",
    ),
    (
        {"train.method": {"name": "lora", "targets": []}},
        "train.method.targets is []: Tuple should have at least 1 item",
    ),
    (
        {"evaluate.baselines": [{"name": "tfidf", "words": 0}]},
        "evaluate.baselines.0.words is 0: Input should be greater",
    ),
    ({"task": {"name": "text_classification", "separator": ""}}, "task.separator is '': String should have at least 1"),
    ({"trackers": ["wandb"]}, "The tracker wandb needs a package: pip install 'tunewright[wandb]'."),
)


@pytest.mark.slow
@pytest.mark.parametrize(("changes", "said"), IMPOSSIBLE)
def test_a_value_that_cannot_be_ends_in_a_message(world, monkeypatch, changes, said):
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert said in (observed(world, changes)["error"] or "nothing was said")


@pytest.mark.slow
def test_the_validation_loss_is_the_objectives_alone(world):
    starts = [world.observe(changes)["history"][0] for changes in ({}, {"train.regularisers": ["adversarial"]})]
    assert starts[0] == starts[1]


@pytest.mark.slow
def test_texts_that_all_need_several_windows_are_trained_and_judged(world):
    assert world.observe({"data.max_tokens": 5})["results"]["tuned"]["n"] > 0


@pytest.mark.slow
def test_two_baselines_of_a_kind_are_both_shown(world):
    baselines = [{"name": "tfidf"}, "majority", {"name": "tfidf", "words": 1}]
    assert list(world.observe({"evaluate.baselines": baselines})["baselines"]) == ["tfidf", "majority", "tfidf-2"]


@pytest.mark.slow
def test_baselines_that_cannot_do_a_task_are_left_out_aloud(world):
    tagged = world.folder / "tagged.conll"
    tagged.write_text("\n\n".join(f"john B-PER\nlikes O\n{number} O" for number in range(40)) + "\n")
    changes = {"task": "token_classification", "data.train": str(tagged), "data.columns": {}}
    found = world.observe({**changes, "evaluate.baselines": ["majority", "tfidf"]})
    assert found["error"] is None and found["baselines"] == {}
    assert any("majority, tfidf cannot do token_classification" in line for line in found["said"])


@pytest.mark.slow
@pytest.mark.parametrize("kind", get_args(FindingKind))
def test_every_finding_that_a_recipe_can_refuse_stops_a_run(world, kind):
    changes = {
        "data.train": spoilt(world.folder),
        "data.columns": {},
        "data.overflow": "truncate",
        "data.max_tokens": 12,
    }
    if kind == "span_edges":
        changes = {"task": "token_classification", "data.train": cut_words(world.folder), "data.columns": {}}
    said = world.observe({**changes, "data.refuse": [kind]})["error"]
    assert said is not None, f"{kind} was not found, or did not stop the run"
    assert said.startswith("The recipe refuses this data (data.refuse): ") and f"{kind}: " in said


def cut_words(folder: Path) -> str:
    """Entities that end inside a word."""
    path = folder / "cut.jsonl"
    rows = [{"text": f"we met Annas {number}", "spans": [[7, 11, "NAME"]]} for number in range(40)]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return str(path)


def spoilt(folder: Path) -> str:
    """Data with everything wrong that can be found in data."""
    path = folder / "spoilt.csv"
    if not path.exists():
        draw = random.Random(0)
        rows = [made_row(draw, label, number) for label in "abc" for number in range(40)]
        lines = [f"{row['text']},{row['label']}" for row in rows]
        lines += lines[:6]  # duplicates
        lines += [f"{row['text']},c" for row in rows[6:12]]  # conflicts
        # Near one another, and labelled wrongly.
        lines += [f"{row['text']} again,{'b' if row['label'] == 'a' else 'a'}" for row in rows[:8]]
        lines += [",a", "  ,b", "NUL \0 sign,a", "three,cells,here", "a rare one,zebra", "another form,A", "spaced, a "]
        lines += [f"слово привет номер {number},a" for number in range(40)]  # no language of the backbone
        lines += [f"good {number} best the movie,a" for number in range(900)]  # imbalance
        path.write_text("text,label\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def test_no_entry_is_left_over():
    assert set(KEYS) <= set(keys()), f"no key: {sorted(set(KEYS) - set(keys()))}"


def test_the_same_recipe_shows_the_same_twice(world, tmp_path):
    """Without this, a difference would show nothing."""
    again = world.run({}, tmp_path / "again" / "run")
    once = world.observe({})
    assert {name: value for name, value in again.items() if name != "said"} == {
        name: value for name, value in once.items() if name != "said"
    }


@entry
def documents(folder: Path, patch: Any) -> None:
    """task=matching.match task=matching.corpus"""
    from tunewright.data.prepare import prepare

    rows = "".join(f"how is {n},it is {n} {n},{n % 3 and 1}\n" for n in range(30))
    (folder / "rows.csv").write_text(f"query,document,match\n{rows}")
    (folder / "more.txt").write_text("an answer to nothing\n")

    def prepared(**settings: Any) -> Any:
        task = {"name": "matching", **settings}
        return prepare(
            from_mapping({"task": task, "data": {"train": str(folder / "rows.csv")}}), folder / str(settings)
        )

    plain, judged, more = prepared(), prepared(match=True), prepared(corpus=str(folder / "more.txt"))
    assert [one.label for one in judged.splits["train"]] != [one.label for one in plain.splits["train"]]
    assert set(more.labels) - set(plain.labels) == {"an answer to nothing"}


# ------------------------------------------------------------------------------------------- keys of augmenters


def copies(
    name: str, texts: tuple[str, ...] = ("the best film in town", "这个手机很便宜"), **settings: Any
) -> list[str]:
    """The copies that an augmenter with these settings makes of some rows."""
    import pyarrow as pa

    from tunewright.data.augment import Augmentation

    split = types.SimpleNamespace(column=lambda name: pa.chunked_array([pa.array([0], pa.uint64())]))
    made = catalog.create("augmenters", {"name": name, "copies": 20, **settings})
    opened = Augmentation([made], catalog.create("tasks", "text_classification"), {"train": split, "test": split}, 13)
    rows = [Example(f"rows.csv:{place}", {"text": text}, "a") for place, text in enumerate(texts)]
    return [copy.example.inputs["text"] for copy in opened.copies(rows, 0)]


@entry
def slips(folder: Path, patch: Any) -> None:
    """data.augment=typo.copies data.augment=typo.share data.augment=typo.slips"""
    assert len(copies("typo", copies=3)) == 6
    assert copies("typo", share=1.0) != copies("typo")
    assert copies("typo", slips=("swap",)) != copies("typo")


@entry
def words_moved(folder: Path, patch: Any) -> None:
    """data.augment=swap_delete_insert.copies data.augment=swap_delete_insert.share data.augment=swap_delete_insert.operations"""
    name = "swap_delete_insert"
    assert len(copies(name, copies=3)) == 6
    assert copies(name, share=1.0) != copies(name)
    assert copies(name, operations=("delete",)) != copies(name)


@entry
def sounds(folder: Path, patch: Any) -> None:
    """data.augment=homophone.copies data.augment=homophone.share data.augment=homophone.tones"""
    assert len(copies("homophone", copies=3)) == 6
    assert copies("homophone", share=1.0) != copies("homophone")
    assert copies("homophone", tones=True) != copies("homophone")


@entry
def synonyms(folder: Path, patch: Any) -> None:
    """data.augment=synonym.copies data.augment=synonym.share data.augment=synonym.table data.augment=synonym.wordnet data.augment=synonym.vectors data.augment=synonym.likeness"""
    tables = [folder / "one.txt", folder / "two.txt"]
    for table, other in zip(tables, ("fine", "great"), strict=True):
        table.write_text(f"best {other}\nfilm movie\n")
    own = {"table": str(tables[0])}
    assert len(copies("synonym", copies=3, **own)) == 6
    assert copies("synonym", share=1.0, **own) != copies("synonym", **own) != copies("synonym", table=str(tables[1]))
    asked: list[Any] = []
    source = types.SimpleNamespace(synonyms=lambda word: ())
    patch.setattr("tunewright.components.augmenters.synonym.WordNet", lambda place: asked.append(place) or source)
    patch.setattr("tunewright.models.neighbours.Neighbours", lambda *given: asked.append(given) or source)
    copies("synonym", wordnet="here", vectors="some-backbone", likeness=0.7)
    assert asked == ["here", ("some-backbone", 0.7)]


@entry
def covered_words(folder: Path, patch: Any) -> None:
    """data.augment=masked_lm.copies data.augment=masked_lm.share data.augment=masked_lm.model data.augment=masked_lm.top"""
    from tunewright.testing.tiny import tiny_masked_lm

    model, other = (str(tiny_masked_lm(folder / str(seed), seed=seed)) for seed in (0, 1))
    plain = copies("masked_lm", model=model)
    assert len(copies("masked_lm", copies=3, model=model)) == 6
    assert copies("masked_lm", model=model, share=1.0) != plain
    assert copies("masked_lm", model=other) != plain
    assert len(set(copies("masked_lm", model=model, top=1))) < len(set(plain))


@entry
def there_and_back(folder: Path, patch: Any) -> None:
    """data.augment=back_translation.copies data.augment=back_translation.there data.augment=back_translation.back data.augment=back_translation.prompts data.augment=back_translation.texts data.augment=back_translation.beams"""
    from tunewright.testing.tiny import tiny_seq2seq

    one, two, three = (str(tiny_seq2seq(folder / str(seed), seed=seed)) for seed in (0, 1, 2))
    models = {"there": one, "back": two}
    plain = copies("back_translation", **models)
    assert len(copies("back_translation", copies=3, **models)) == 6
    for change in ({"there": three}, {"back": three}, {"prompts": ("bad ", "")}, {"texts": "zh"}, {"beams": 1}):
        assert copies("back_translation", **{**models, **change}) != plain, change


# ------------------------------------------------------------------------------- keys of readers and trackers


@entry
def pairs_without_a_relation(folder: Path, patch: Any) -> None:
    """task=relation_extraction.negative"""
    found = []
    for negative in ("Other", "none"):
        task = catalog.create("tasks", {"name": "relation_extraction", "negative": negative})
        said = [Prediction(name, 1.0, {name: 1.0}) for name in ("cause", "cause", "cause")]
        found.append(task.measures.metrics(["Other", "cause", "cause"], said, ("Other", "cause"))["relation_f1"])
    assert found[0] != found[1]


def asked(context: str, answer: Any = None, **settings: Any) -> tuple[Any, Example]:
    """The task with these settings, and a question on the context."""
    task = catalog.create("tasks", {"name": "question_answering", **settings})
    cells = {"question": "who wrote it", "context": context, "answer": answer}
    return task, Example("rows.jsonl:1", *task.read(cells))


@entry
def what_answers_there_may_be(folder: Path, patch: Any) -> None:
    """task=question_answering.no_answer task=question_answering.longest"""
    from tunewright.testing import materials

    answers = []
    for settings in ({}, {"no_answer": True}, {"longest": 1}):
        task, example = asked("the movie was good", **settings)
        [window] = task.encode([example], materials.processor(), ())
        logits = np.zeros((len(window.offsets), 2))
        logits[0], logits[window.inside[0], 0], logits[window.inside[-1], 1] = 6.0, 3.0, 3.0
        said = task.decode(logits, [window], (), Policy()).value
        answers.append(said and said.text)
    assert answers == ["the movie was good", None, "the"]


@entry
def whose_counting(folder: Path, patch: Any) -> None:
    """task=question_answering.counting"""
    found = []
    for counting in ("squad", "cmrc"):
        task, example = asked("the 3 rings", "the 3 rings", counting=counting)
        said = [Prediction(Answer("3 rings", 4, 11), 1.0)]
        found.append(task.measures.metrics([example.label], said, ())["exact_match"])
    assert found == [1.0, 0.0]


@entry
def how_far_words_act(folder: Path, patch: Any) -> None:
    """evaluate.baselines=near_words.fading"""
    task, example = asked("who Anna . : . : wrote , Bob , it", "Anna")
    given = Given(task, [example], [], [example], (), None, 0)
    said = [
        catalog.create("baselines", {"name": "near_words", "fading": fading}).predict(given)[0].value.text
        for fading in (0.1, 0.8)
    ]
    assert said == ["Anna", "Bob"]


@entry
def tags_in_a_chain(folder: Path, patch: Any) -> None:
    """task=token_classification.crf"""
    from tunewright.testing import materials

    losses = []
    for crf in (False, True):
        task = catalog.create("tasks", {"name": "token_classification", "crf": crf})
        example = Example("rows.jsonl:1", *task.read({"text": "in paris", "spans": [[3, 8, "LOC"]]}))
        [window] = task.encode([example], materials.processor(), ("LOC",))
        outputs, gold = len(task.outputs(("LOC",))), torch.tensor(window.features["labels"])
        logits = torch.zeros(1, len(gold), outputs)
        losses.append(float(catalog.create("objectives", task.objective).loss(logits, gold[None], None)[0]))
    assert losses[0] == pytest.approx(math.log(3)) and losses[1] == pytest.approx((2 * math.log(3) + math.log(3)) / 2)


@entry
def dictionary_entries(folder: Path, patch: Any) -> None:
    """evaluate.baselines=dictionary.least_share"""
    task = catalog.create("tasks", "token_classification")
    cells = [{"text": f"in paris {n}", "spans": [[3, 8, "LOC"]] if n % 2 else []} for n in range(10)]
    train = [Example(f"rows.jsonl:{n}", *task.read(row)) for n, row in enumerate(cells)]

    def found(**settings):
        made = catalog.create("baselines", {"name": "dictionary", **settings})
        [said] = made.predict(Given(task, train, [], [Example("new", {"text": "to paris"})], ("LOC",), None, 0))
        return [(span.start, span.end, span.label, span.score) for span in said.value]

    assert found(least_share=0.4) == [(3, 8, "LOC", 0.5)]
    assert found(least_share=0.6) == []


@entry
def searching(folder: Path, patch: Any) -> None:
    """search.space search.trials search.time_limit search.pruning
    Trials whose value falls from one to the next, each with three evaluations."""
    from tunewright.engine import search, trials
    from tunewright.testing.tiny import tiny_backbone

    def falling(self: Any, recipe: Recipe, told: Callable[[float, float], bool]) -> trials.Measured:
        tried.append(1)
        for epoch in (0, 1, 2):
            if told(epoch, 1 / len(tried)):
                raise trials.Pruned
        return trials.Measured(1 / len(tried), {"model.dropout": 0.0}, 2, None)

    def found(**settings: Any) -> list[dict[str, Any]]:
        tried.clear()
        made = from_mapping({**recipe, "search": {"trials": 8, "space": space, **settings}})
        return search.search(made, out=Path(tempfile.mkdtemp(dir=folder))).trials

    tried: list[int] = []
    patch.setattr(trials.Workshop, "train", falling)
    space = {"model.dropout": {"low": 0.0, "high": 0.5}}
    recipe = {
        "task": "text_classification",
        "data": {"train": str(write_data(folder)["train"]), "columns": {"text": "text", "label": "label"}},
        "model": {"backbone": str(tiny_backbone(folder / "backbone"))},
    }
    plain = found()
    assert len(plain) == 8 and len(found(trials=3)) == 3 and len(found(time_limit=1e-9)) == 1
    other = found(space={"train.epochs": [1, 2, 3, 4, 5, 6, 7, 8, 9]})
    assert "train.epochs" in other[1]["parameters"] and "train.epochs" not in plain[1]["parameters"]
    assert "pruned" in [trial["state"] for trial in plain]
    assert "pruned" not in [trial["state"] for trial in found(pruning=False)]


@entry
def parts_of_a_task(folder: Path, patch: Any) -> None:
    """evaluate.baselines=by_parts.baselines"""
    task = catalog.create("tasks", "slot_filling")
    cells = [{"text": word, "intent": word, "slots": []} for word in ("go", "go", "go", "stay", "stay")]
    train = [Example(f"rows.jsonl:{n}", *task.read(row)) for n, row in enumerate(cells)]

    def found(*names):
        made = catalog.create("baselines", {"name": "by_parts", "baselines": names})
        [said] = made.predict(Given(task, train, [], [Example("new", {"text": "stay"})], ("#go", "#stay"), None, 0))
        return said.value.intent

    assert (found("tfidf", "dictionary"), found("dictionary", "majority", "tfidf")) == ("stay", "go")


@entry
def tasks_at_once(folder: Path, patch: Any) -> None:
    """tasks task=several.tasks"""
    from tunewright.data.prepare import prepare

    files = write_data(folder)
    columns = {"text": "text", "label": "label"}
    both = [
        {"name": name, "task": "text_classification", "data": {"train": str(files["train"]), "columns": columns}}
        for name in ("first", "second", "third")
    ]

    def found(many: int) -> tuple[str, ...]:
        return prepare(from_mapping({"tasks": both[:many]}), folder / str(many)).labels

    assert found(2) == tuple(f"{name}/{label}" for name in ("first", "second") for label in sorted(SHARES))
    assert len(found(3)) == len(found(2)) * 3 // 2
    assert catalog.create("tasks", {"name": "several", "tasks": {"a": "sentence_pair", "b": "text_classification"}}).targets == ("a", "b")  # fmt: skip


@entry
def weight_of_the_intent(folder: Path, patch: Any) -> None:
    """train.objective=intent_and_slots.intent_weight"""
    import torch

    logits, gold = torch.zeros(1, 3, 2), torch.tensor([[1, 0, -100]])
    losses = [
        float(
            catalog.create("objectives", {"name": "intent_and_slots", "intent_weight": weight}).loss(logits, gold, None)
        )
        for weight in (1.0, 3.0)
    ]
    assert losses[1] == pytest.approx(2 * losses[0])


@entry
def entities_and_their_relations(folder: Path, patch: Any) -> None:
    """task=triples.rank train.objective=entities_and_relations.relation_weight evaluate.baselines=known_pairs.least_share"""
    import torch

    from tunewright.models.processor import Processor
    from tunewright.testing.tiny import tiny_backbone

    task = catalog.create("tasks", "triples")
    wide = catalog.create("tasks", {"name": "triples", "rank": 20})
    assert len(wide.outputs(("->of", "word"))) > len(task.outputs(("->of", "word")))

    cells = {"text": "a of b", "entities": [[0, 1, "word"], [5, 6, "word"]]}
    rows = [Example(f"rows.jsonl:{n}", *task.read({**cells, "triples": [{"head": 0, "tail": 1, "type": "of"}] * n})) for n in (1, 0, 0)]  # fmt: skip

    def found(least: float) -> int:
        baseline = catalog.create("baselines", {"name": "known_pairs", "least_share": least})
        [said] = baseline.predict(
            Given(task, rows, [], [Example("new", {"text": "a of b"})], ("->of", "word"), None, 0)
        )
        return len(said.value.triples)

    assert (found(0.3), found(0.4)) == (1, 0)

    [window] = task.encode(rows[:1], Processor.load(tiny_backbone(folder / "backbone")), ("->of", "word"))
    labels = torch.from_numpy(window.features["labels"])[None]
    logits = torch.zeros(1, len(window.offsets), len(task.outputs(("->of", "word"))))
    losses = [
        float(
            catalog.create("objectives", {"name": "entities_and_relations", "relation_weight": weight}).loss(
                logits, labels, None
            )
        )
        for weight in (1.0, 2.0, 3.0)
    ]
    assert losses[2] - losses[1] == pytest.approx(losses[1] - losses[0]) and losses[1] > losses[0]


@entry
def csv_settings(folder: Path, patch: Any) -> None:
    """data.reader=csv.delimiter data.reader=csv.encoding data.reader=csv.header"""
    source = folder / "a.csv"
    source.write_bytes("text,la;bel\ncafé,x;1\n".encode("latin-1"))
    plain = rows("csv", source, encoding="latin-1")
    assert rows("csv", source, encoding="latin-1", delimiter=";") != plain
    assert rows("csv", source, encoding="latin-1", header=False) != plain
    assert rows("csv", source, encoding="utf-16") != plain


@entry
def conll_settings(folder: Path, patch: Any) -> None:
    """data.reader=conll.delimiter data.reader=conll.encoding data.reader=conll.token_column data.reader=conll.tag_column"""
    source = folder / "a.conll"
    source.write_bytes("café|x B-PER|y O\nb|x O|y O\n".encode("latin-1"))
    plain = rows("conll", source, encoding="latin-1")
    assert isinstance(plain, list)
    assert rows("conll", source, encoding="latin-1", delimiter="|") != plain
    assert rows("conll", source, encoding="latin-1", token_column=1) != plain
    assert rows("conll", source, encoding="latin-1", tag_column=1) != plain
    assert rows("conll", source, encoding="cp1251") != plain


@entry
def encodings(folder: Path, patch: Any) -> None:
    """data.reader=json.encoding data.reader=jsonl.encoding data.reader=text.encoding data.reader=folder.encoding data.reader=squad.encoding"""
    nested = '{"data": [{"paragraphs": [{"context": "é", "qas": [{"question": "é"}]}]}]}'
    written = {"squad": nested, "json": '[{"text": "é"}]', "jsonl": '{"text": "é"}\n', "text": "é\n", "folder": "é"}
    for reader, content in written.items():
        source = folder / reader
        (source / "label").mkdir(parents=True) if reader == "folder" else None
        place = source / "label" / "a.txt" if reader == "folder" else source
        place.write_bytes(content.encode("latin-1"))
        found = [rows(reader, source, encoding=encoding) for encoding in ("latin-1", "cp1251")]
        assert all(isinstance(one, list) for one in found), found
        assert found[0] != found[1], reader


@entry
def parquet_batches(folder: Path, patch: Any) -> None:
    """data.reader=parquet.batch_rows
    Changes what is in memory at a time."""
    import pyarrow as pa
    from pyarrow import parquet

    from tunewright.data import arrowrows

    parquet.write_table(pa.Table.from_pylist([{"text": str(number)} for number in range(50)]), folder / "a.parquet")
    sizes, decode = [], arrowrows.rows
    patch.setattr(arrowrows, "rows", lambda batch, features: sizes.append(len(batch)) or decode(batch, features))
    for batch_rows, expected in ((50, [50]), (20, [20, 20, 10])):
        sizes.clear()
        assert len(rows("parquet", folder / "a.parquet", batch_rows=batch_rows)) == 50
        assert sizes == expected


@entry
def hub_settings(folder: Path, patch: Any) -> None:
    """data.reader=hub.config data.reader=hub.revision data.reader=hub.timeout"""
    import huggingface_hub
    import pyarrow as pa

    asked: dict[str, Any] = {}

    class Hub:
        def dataset_info(self, name: str, timeout: float) -> None:
            asked["timeout"] = timeout

    def load(name: str, config: str | None, *, split: str, revision: str | None) -> Any:
        asked.update(config=config, revision=revision)
        return types.SimpleNamespace(data=types.SimpleNamespace(table=pa.table({"text": ["a"]})))

    patch.setenv("HF_HUB_OFFLINE", "0")
    patch.setattr(huggingface_hub, "HfApi", Hub)
    patch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load))
    rows("hub", Path("some/set"), config="zh", revision="v2", timeout=3.0)
    assert asked == {"config": "zh", "revision": "v2", "timeout": 3.0}


@entry
def mlflow_settings(folder: Path, patch: Any) -> None:
    """trackers=mlflow.experiment trackers=mlflow.address"""
    asked: dict[str, Any] = {}

    class Client:
        def __init__(self, tracking_uri: str) -> None:
            asked["address"] = tracking_uri

        def get_experiment_by_name(self, name: str) -> None:
            asked["experiment"] = name

        def create_experiment(self, name: str) -> str:
            return "1"

        def search_runs(self, experiments: list[str], **_: Any) -> list[Any]:
            return [types.SimpleNamespace(info=types.SimpleNamespace(run_id="2"))]

        def update_run(self, run: str, status: str) -> None:
            asked["status"] = status

    patch.setitem(sys.modules, "mlflow", types.SimpleNamespace())
    patch.setitem(sys.modules, "mlflow.tracking", types.SimpleNamespace(MlflowClient=Client))
    settings = {"name": "mlflow", "experiment": "intents", "address": "http://tracking:5000"}
    catalog.create("trackers", settings).start(folder, {})
    assert asked == {"experiment": "intents", "address": "http://tracking:5000", "status": "RUNNING"}
    catalog.create("trackers", "mlflow").start(folder, {})
    assert (asked["experiment"], asked["address"]) == ("tunewright", f"sqlite:///{folder / 'mlflow.db'}")


@entry
def wandb_settings(folder: Path, patch: Any) -> None:
    """trackers=wandb.project"""
    asked: dict[str, Any] = {}
    patch.setitem(sys.modules, "wandb", types.SimpleNamespace(init=lambda **given: asked.update(given)))
    catalog.create("trackers", {"name": "wandb", "project": "intents"}).start(folder, {"seed": 13})
    assert (asked["project"], asked["mode"], asked["dir"]) == ("intents", "offline", str(folder))


# ------------------------------------------------------------------------------------------------- keys of training


@entry
def engine(folder: Path, patch: Any) -> None:
    """train.engine"""
    import torch

    from tunewright.models import model
    from tunewright.testing.tiny import tiny_backbone
    from tunewright.training import loop

    used: set[str] = set()

    def watch(place: Any, name: str) -> None:
        known = getattr(place, name)
        patch.setattr(place, name, lambda *given, **more: used.add(name) or known(*given, **more))

    watch(model, "packed")
    watch(loop.one_pass, "OnePass")
    watch(loop, "Update")
    patch.setattr(torch, "compile", lambda module, **_: used.add("compile") or module)
    world = World(folder, tiny_backbone(folder / "backbone"), write_data(folder))
    ends, ways = {}, {}
    for way in ("auto", "plain", "compiled"):
        used.clear()
        ends[way] = world.observe({"train.engine": way, "train.start": "random"})["history"][-1]["validation"]["loss"]
        ways[way] = set(used)
    assert "OnePass" in ways["auto"] or library() is None
    assert "Update" not in ways["auto"] or library() is None
    assert ways["plain"] - {"packed"} == {"Update"}
    assert ways["compiled"] - {"packed"} == {"Update", "compile"}
    assert ends["plain"] == pytest.approx(ends["auto"], rel=1e-3)


# ------------------------------------------------------------------------------------------------- keys of answering


@entry
def largest_loss(folder: Path, patch: Any) -> None:
    """predict.max_loss predict.max_flips"""
    from tunewright.core.recipe import Predict
    from tunewright.stages.runtimes import Trial, fastest

    exact, quick = (catalog.create("runtimes", name) for name in ("torch", "native"))
    trials = [Trial(exact, in_bulk=100, alone=0.01), Trial(quick, in_bulk=400, alone=0.003, loss=0.005, flips=3)]
    assert [fastest(trials, Predict(max_loss=loss), 100) for loss in (0.002, 0.01)] == [exact, quick]
    assert [fastest(trials, Predict(max_loss=0.01, max_flips=most), 100) for most in (0.02, 0.03)] == [exact, quick]


@entry
def half_precision(folder: Path, patch: Any) -> None:
    """predict.runtime=torch.precision predict.runtime=openvino.precision"""
    from tunewright.models.layout import save_model
    from tunewright.testing import materials

    save_model(materials.model("pooled"), folder / "model", multi_label=False)
    materials.processor().save(folder / "model")
    for name in ("torch", "openvino"):
        whole, half = (catalog.create("runtimes", {"name": name, "precision": p}) for p in ("fp32", "bf16"))
        if whole.lacks(folder):
            continue  # an extra that is not installed
        if half.lacks(folder):
            assert half.lacks(folder) == "this processor has no bf16 instructions"
            continue
        whole.prepare(folder)
        answers = [runtime.open(folder)(materials.windows())[0].tolist() for runtime in (whole, half)]
        assert answers[0] != answers[1], name
        assert answers[0] == pytest.approx(answers[1], abs=0.1), name
