"""Rows without labels beside the labelled ones of each step: each in a pair with a changed copy of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from tunewright.training.batching import micro_batches
from tunewright.training.encoded import EncodedSplit

Losses = Callable[[int, int], Iterator[Tensor]]  # (step from 0, most tokens at a time) → parts of the step's loss
OWN = 1  # beside a seed: another order than that of the labelled rows


@dataclass(frozen=True)
class Twins:
    """windows: a row's, its copy's, the next row's, …; loss: of a pair's logits, see SemiSupervision.consistency; rows: of
    each step."""

    windows: EncodedSplit
    loss: Callable[[Tensor, Tensor], Tensor]
    rows: int

    def __len__(self) -> int:
        return len(self.windows) // 2

    def of_step(self, seed: int, step: int) -> np.ndarray:
        """The pairs of a step (from 0): all of them in random order, then all in another. A function of its arguments."""
        places = np.arange(step * self.rows, (step + 1) * self.rows)
        rounds = [
            np.random.default_rng((seed, OWN, number))
            for number in range(places[0] // len(self), places[-1] // len(self) + 1)
        ]
        order = np.concatenate([random.permutation(len(self)) for random in rounds])
        return order[places - places[0] // len(self) * len(self)]

    def tokens(self, seed: int, step: int) -> int:
        """Real tokens in the windows of a step's pairs."""
        return int(self.windows.lengths.reshape(-1, 2)[self.of_step(seed, step)].sum())

    def losses(self, forward: Callable[[Mapping[str, Tensor]], Tensor], *, seed: int, device: str) -> Losses:
        """A function that gives a step's mean loss in parts that fit the memory; `forward` gives logits."""

        def logits(windows: np.ndarray) -> Tensor:
            arrays = self.windows.batch(windows)
            return forward({name: torch.from_numpy(value).to(device) for name, value in arrays.items()})

        def parts(step: int, most_tokens: int) -> Iterator[Tensor]:
            chosen = self.of_step(seed, step)
            for part in micro_batches(chosen, self._longer, most_tokens):
                with torch.no_grad():
                    said = logits(2 * part)
                yield self.loss(said, logits(2 * part + 1)).sum() / len(chosen)

        return parts

    @cached_property
    def _longer(self) -> np.ndarray:
        """(pairs,) tokens of the longer window of each."""
        return self.windows.lengths.reshape(-1, 2).max(axis=1)
