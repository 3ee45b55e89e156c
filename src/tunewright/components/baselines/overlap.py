"""Measure what words and characters two texts share, and fit a linear model on that: no pretrained network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from tunewright.core import lexical
from tunewright.core.contracts import Baseline, Given, Task
from tunewright.core.linear import predictions
from tunewright.core.types import Example, Prediction


@dataclass(frozen=True)
class Overlap(Baseline):
    """Shared units (words, Chinese characters) and character n-grams, weighed by their rarity or not, and lengths."""

    characters: Annotated[int, Field(ge=1)] = 3  # length of the character n-grams

    def suits(self, task: Task) -> bool:
        """See Baseline.suits: one label, or a number, for two texts."""
        return task.probe and len(task.inputs) == 2

    def predict(self, given: Given) -> list[Prediction]:
        """See Baseline.predict."""
        rarity = lexical.rarity(str(example.inputs[role]) for example in given.train for role in given.task.inputs)
        parts = (given.train, given.validation, given.test)
        return predictions(given, *(self._features(given.task, part, rarity) for part in parts))

    def _features(self, task: Task, examples: Sequence[Example], rarity: dict[str, float]) -> np.ndarray:
        """(examples, 9): shared parts in three measures, by units, rare units, and n-grams."""
        unknown = max(rarity.values(), default=1.0)
        rows = []
        for example in examples:
            units = [frozenset(lexical.units(str(example.inputs[role]))) for role in task.inputs]
            grams = [self._grams(example, role) for role in task.inputs]
            weighed = _shares(*units, lambda part: sum(rarity.get(unit, unknown) for unit in part))
            rows.append([*_shares(*units, len), *weighed, *_shares(*grams, len)])
        return np.array(rows, dtype=np.float32).reshape(len(examples), 9)

    def _grams(self, example: Example, role: str) -> frozenset[str]:
        text = "".join(str(example.inputs[role]).lower().split())
        return frozenset(text[i : i + self.characters] for i in range(max(1, len(text) - self.characters + 1)))


def _shares(first: frozenset[str], second: frozenset[str], size: Callable[[frozenset[str]], float]) -> list[float]:
    """What both share of all, of the smaller, and how alike their sizes are."""
    sizes = size(first), size(second)
    both = size(first & second)
    return [
        both / max(1e-9, sum(sizes) - both),
        both / max(1e-9, min(sizes)),
        min(sizes) / max(1e-9, max(sizes)),
    ]
