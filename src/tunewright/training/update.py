"""What a step does with the gradients: bound their length, move the weights, and take them into the running average."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

from accelerate import Accelerator

from tunewright.models.model import Model
from tunewright.training.averaging import Average


class Update:
    """Clipping, a torch optimizer, the running average: one behind the other, for every optimizer and device.

    optimizer: as `accelerator` prepared it; its groups' rates are those of factor 1. clip_norm: the longest gradient, 0
    leaves it as it is. form: of its state; only the same form can take it up.
    """

    form: ClassVar[str] = "torch"

    def __init__(
        self, model: Model, optimizer: Any, average: Average, *, accelerator: Accelerator, clip_norm: float
    ) -> None:
        self.average = average
        self._model, self._optimizer, self._accelerator, self._limit = model, optimizer, accelerator, clip_norm
        self._rates = [group["lr"] for group in optimizer.param_groups]

    def gradient_norm(self) -> float | None:
        """The gradient's length before it is clipped; None where it is not known. Called once, before `apply`."""
        norm = self._accelerator.clip_grad_norm_(self._model.parameters(), self._limit or math.inf)
        return None if norm is None or self._accelerator.mixed_precision == "fp16" else float(norm)

    def apply(self, step: int, factor: float) -> None:
        """Do step number `step` (from 1) with the learning rates times `factor`; the gradients stay until `discard`."""
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor
        self._optimizer.step()
        self.average.update(step)

    def discard(self) -> None:
        """Forget the gradients."""
        self._optimizer.zero_grad()

    def settle(self) -> None:
        """Make up for what was put off, before anybody looks at all weights."""

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Inside, the model's gradients come in the form that this needs."""
        yield

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides how the next steps go, beside weights and average; as torch's optimizers give it."""
        return self._optimizer.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put back what `state_dict` gave."""
        self._optimizer.load_state_dict(state)
