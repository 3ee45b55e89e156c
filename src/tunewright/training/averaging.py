"""A running average of the weights: what is judged and kept is steadier than the last step alone (Polyak averaging)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from tunewright.core.contracts import Averaging
from tunewright.models.model import Model

PART = 1 << 20  # numbers swapped at a time: a whole table of words beside its average would count in the peak


class Average:
    """The average of the trained weights over a run of `steps`, as `rule` says; None leaves the weights as they are."""

    def __init__(self, model: Model, rule: Averaging | None, steps: int) -> None:
        self._rule, self._steps = rule, steps
        self._weights = {} if rule is None else model.trained_parameters()
        self._averages = {name: weight.detach().clone() for name, weight in self._weights.items()}

    def share(self, step: int) -> float:
        """How far step number `step` (from 1) moves the average towards the weights; 0 where there is none."""
        return 0.0 if self._rule is None else self._rule.share(step, self._steps)

    def of(self, weight: Tensor) -> Tensor | None:
        """The average of a trained parameter, for who moves it along with the weight; None where there is none."""
        return next((self._averages[name] for name, own in self._weights.items() if own is weight), None)

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after optimizer step number `step` (from 1)."""
        if self._rule is not None:
            weights = [weight.detach() for weight in self._weights.values()]
            torch._foreach_lerp_(list(self._averages.values()), weights, self.share(step))

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model has the averaged weights inside, and its own again afterwards."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def tensors(self) -> dict[str, Tensor]:
        """The averages by parameter name, for a checkpoint."""
        return {name: value.detach().cpu().contiguous() for name, value in self._averages.items()}

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Put back what `tensors` gave."""
        for name, value in self._averages.items():
            value.copy_(tensors[name])

    @torch.no_grad()
    def _swap(self) -> None:
        for name, weight in self._weights.items():
            for part, own in zip(_parts(weight), _parts(self._averages[name]), strict=True):
                kept = part.clone()
                part.copy_(own)
                own.copy_(kept)


def _parts(tensor: Tensor) -> Sequence[Tensor]:
    if not tensor.ndim:
        return [tensor]
    return tensor.split(max(1, PART * len(tensor) // max(1, tensor.numel())))
