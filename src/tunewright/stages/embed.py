"""Pooled features of the frozen backbone: for linear probes, as a baseline and as the head's start."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from tunewright.core.progress import Progress
from tunewright.core.types import Example, Window
from tunewright.models.beside import FEATURE
from tunewright.models.inference import pooled
from tunewright.models.model import Model
from tunewright.stages.assemble import Plan, open_model
from tunewright.training.precision import autocast

CHUNK = 2048  # examples between two steps of the progress bar


class Embedder:
    """`embedder(examples) -> (examples, hidden)`: features under the untouched backbone, or of `model`, each computed once.

    A long example's windows are averaged by their tokens, as the tuned model joins them. Columns beside the text follow.
    """

    def __init__(self, plan: Plan, device: str, progress: Progress, model: Model | None = None) -> None:
        self.plan, self.device, self.progress = plan, device, progress
        self.precision = "fp32"
        self._known: dict[str, np.ndarray] = {}
        self._model = model

    def __call__(self, examples: Sequence[Example]) -> np.ndarray:
        todo = [example for example in examples if example.id not in self._known]
        if todo:
            with self.progress.task("Embedding", total=len(todo)) as step:
                for start in range(0, len(todo), CHUNK):
                    self._embed(todo[start : start + CHUNK])
                    step(len(todo[start : start + CHUNK]))
        return np.stack([self._known[example.id] for example in examples])

    def release(self) -> None:
        """Give the network's memory back; it is opened again when needed."""
        self._model = None

    def _embed(self, examples: Sequence[Example]) -> None:
        task, processor = self.plan.recipe.task, self.plan.processor
        unlabelled = [dataclasses.replace(example, label=None) for example in examples]
        windows = task.encode(unlabelled, processor, ())
        with autocast(self.device, self.precision):
            features = pooled(self._open(), [w.features for w in windows], pad_id=processor.pad_id, device=self.device)
        self._known.update(zip([example.id for example in examples], joined(features, windows), strict=True))

    def _open(self) -> Model:
        if self._model is None:
            self._model = open_model(self.plan, ("",)).to(self.device).eval()
            if self.plan.recipe.train.engine == "auto":
                self._model.pack()
        return self._model


def joined(features: np.ndarray, windows: Sequence[Window]) -> np.ndarray:
    """Each example's features from those of its windows (windows, hidden), and the columns beside the text behind them."""
    weights = np.array([max(w.tokens, 1) for w in windows], dtype=np.float64)
    firsts = np.searchsorted([w.example for w in windows], np.arange(windows[-1].example + 1))
    totals = np.add.reduceat(weights, firsts)
    found = np.add.reduceat(features * weights[:, None], firsts) / totals[:, None]
    if FEATURE in windows[0].features:
        found = np.concatenate([found, np.stack([windows[first].features[FEATURE] for first in firsts])], axis=1)
    return found.astype(np.float32)
