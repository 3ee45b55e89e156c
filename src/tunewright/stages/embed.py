"""Pooled features of the frozen backbone: for linear probes, as a baseline and as the head's start."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tunewright.core.progress import Progress
from tunewright.core.types import Example
from tunewright.models.inference import pooled
from tunewright.models.model import Model
from tunewright.stages.assemble import Plan, open_model
from tunewright.training.precision import autocast

CHUNK = 2048  # examples between two steps of the progress bar


class Embedder:
    """`embedder(examples) -> (examples, hidden)`: features under the untouched backbone, each computed once.

    A long example's windows are averaged by their tokens, as the tuned model joins them. model: in place of the untouched one.
    """

    def __init__(self, plan: Plan, device: str, progress: Progress, model: Model | None = None) -> None:
        self.plan, self.device, self.progress = plan, device, progress
        self.precision = "fp32"
        self._known: dict[str, np.ndarray] = {}
        self._model = model

    def __call__(self, examples: Sequence[Example]) -> np.ndarray:
        todo = [example for example in examples if example.id not in self._known]
        if todo:
            with self.progress.task("Embedding with the frozen backbone", total=len(todo)) as step:
                for start in range(0, len(todo), CHUNK):
                    self._embed(todo[start : start + CHUNK])
                    step(len(todo[start : start + CHUNK]))
        return np.stack([self._known[example.id] for example in examples])

    def release(self) -> None:
        """Give the network's memory back; it is opened again when needed."""
        self._model = None

    def _embed(self, examples: Sequence[Example]) -> None:
        task, processor = self.plan.recipe.task, self.plan.processor
        windows = task.encode([_unlabelled(example) for example in examples], processor, ())
        with autocast(self.device, self.precision):
            features = pooled(self._open(), [w.features for w in windows], pad_id=processor.pad_id, device=self.device)
        weights = np.array([max(w.tokens, 1) for w in windows], dtype=np.float64)
        firsts = np.searchsorted([w.example for w in windows], np.arange(len(examples)))
        totals = np.add.reduceat(weights, firsts)
        joined = np.add.reduceat(features * weights[:, None], firsts) / totals[:, None]
        self._known.update(zip([example.id for example in examples], joined.astype(np.float32), strict=True))

    def _open(self) -> Model:
        if self._model is None:
            self._model = open_model(self.plan, ("",)).to(self.device).eval()
            if self.plan.recipe.train.engine == "auto":
                self._model.pack()
        return self._model


def _unlabelled(example: Example) -> Example:
    return Example(id=example.id, inputs=example.inputs)
