"""A tiny job for the loop: a model on 60 encoded windows of two labels."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from tunewright.core import catalog
from tunewright.core.progress import Silent
from tunewright.core.recipe import Train
from tunewright.core.types import Window
from tunewright.models.inference import outputs
from tunewright.models.model import build_model
from tunewright.testing.tiny import tiny_backbone
from tunewright.training.encoded import write_encoded
from tunewright.training.loop import Job
from tunewright.training.record import Record


def windows(count: int = 60) -> list[Window]:
    """Label 1 exactly where token 50 occurs."""
    random = np.random.default_rng(0)
    found = []
    for index in range(count):
        ids = random.integers(60, 120, size=random.integers(3, 12)).astype(np.int32)
        label = index % 2
        ids[0] = 50 if label else 51
        features = {"input_ids": ids, "attention_mask": np.ones_like(ids), "labels": np.int64(label)}
        found.append(Window(index, features, tokens=len(ids)))
    return found


@pytest.fixture(scope="session")
def backbone(tmp_path_factory):
    return tiny_backbone(tmp_path_factory.mktemp("backbone"))


@pytest.fixture
def make_job(tmp_path, backbone):
    """make_job(name, **changes of Job, settings={changes of Train}) → a fresh Job in its own folder."""
    encoded = write_encoded(windows(), tmp_path / "encoded", pad_id=0)

    def make(name: str = "run", *, settings: dict | None = None, model_dropout: float = 0.1, **changes) -> Job:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        torch.manual_seed(0)
        model = build_model(
            backbone, catalog.create("heads", "pooled"), ("a", "b"), dropout=model_dropout, attention="eager"
        )
        model = (settings or {}).get("method", Train().method).apply(model)

        def evaluate() -> dict[str, float]:
            gold = np.array([int(encoded.values["labels"][i]) for i in range(len(encoded))])
            logits = np.stack(outputs(model, [w.features for w in windows()], pad_id=0))
            shifted = logits - logits.max(axis=1, keepdims=True)
            logp = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
            return {
                "accuracy": float((logits.argmax(1) == gold).mean()),
                "loss": float(-logp[np.arange(len(gold)), gold].mean()),
            }

        job = Job(
            model=model,
            windows=encoded,
            settings=dataclasses.replace(Train(), **{"epochs": 3, "batch_size": 8, **(settings or {})}),
            objective=catalog.create("objectives", "cross_entropy"),
            class_weights=None,
            learning_rate=3e-3,
            precision="fp32",
            device="cpu",
            seed=1,
            folder=folder / "checkpoints",
            record=Record(folder / "metrics.jsonl"),
            progress=Silent(),
            evaluate=evaluate,
            metric="accuracy",
            row=lambda index: f"train.csv:{index + 2}",
            start=lambda: None,
        )
        return dataclasses.replace(job, **changes)

    return make
