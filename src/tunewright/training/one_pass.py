"""AdamW, clipping and the running average in one pass over the memory, and word vectors only when they are looked at.

The numbers are those of `Update` with torch's AdamW, to rounding. Each of the three waits for the same memory, and of a
table of 30 000 words a step has gradients for some hundred: the rest is put off and made up for (kernels/update.cpp).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from tunewright.kernels.library import library
from tunewright.models import surgery
from tunewright.models.model import Model
from tunewright.training.averaging import Average
from tunewright.training.update import Update

# The structures of kernels/update.cpp.
STEP = np.dtype([(name, "f8") for name in ("keep", "size", "root", "share")])
PLACES = ("weight", "gradient", "first", "second", "average")
WEIGHTS = np.dtype([*((name, "u8") for name in PLACES), ("size", "i8"), ("step", STEP)])
ROWS = np.dtype(
    [
        ("all", WEIGHTS),
        ("chosen", "u8"),
        ("count", "i8"),
        ("width", "i8"),
        ("now", "i8"),
        ("seen", "u8"),
        ("steps", "u8"),
    ]
)
CONSTANTS = np.dtype([(name, "f4") for name in ("beta1", "beta2", "epsilon", "scale")])
CLIP_ADDS = 1e-6  # to the norm, as torch's clip_grad_norm_ does
STILL = (1.0, 0.0, 1.0, 0.0)  # a STEP that changes no bit of what has had no gradient yet


def fits(groups: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the kernels are here, and serve these parameters: float32 on the CPU, each in one piece."""
    parameters = [parameter for group in groups for parameter in group["params"]]
    return library() is not None and all(
        p.device.type == "cpu" and p.dtype == torch.float32 and p.is_contiguous() for p in parameters
    )


class OnePass(Update):
    """AdamW with `adam` = (β1, β2, ε) over `groups` that carry "params", "lr" and "weight_decay"; see `fits`."""

    form: ClassVar[str] = "one pass"

    def __init__(
        self,
        model: Model,
        groups: Sequence[Mapping[str, Any]],
        average: Average,
        *,
        adam: tuple[float, float, float],
        clip_norm: float,
    ) -> None:
        self.average = average
        self._adam, self._limit = adam, clip_norm
        self._norm, self._number = 0.0, 0  # of the gradient; of the last step
        self._words = _words(model)  # if there is such a table, it comes last in all lists
        every = [(p, group["lr"], group["weight_decay"]) for group in groups for p in group["params"]]
        every.sort(key=lambda item: self._words is not None and item[0] is self._words.weight)
        self._weights = [parameter for parameter, *_ in every]
        self._rates = [(rate, decay) for _, rate, decay in every]
        self._taken = np.zeros(len(every), dtype=np.int64)  # each one's steps: those with a gradient, as torch counts
        # numpy's zeros are pages that take memory only once they are written: words that never occur take none.
        self._moments = [
            [torch.from_numpy(np.zeros(weight.shape, dtype=np.float32)) for _ in range(2)] for weight in self._weights
        ]
        self._averages = [average.of(weight) for weight in self._weights]
        self._seen = torch.zeros(self._words.num_embeddings if self._words else 0, dtype=torch.int64)
        self._steps = np.zeros(0, dtype=STEP)  # of the words: what `_seen` words have to be made up for
        self._gradients: list[Tensor | None] = []
        self._chosen: Tensor | None = None  # words that have a gradient
        self._table = np.zeros(len(every), dtype=WEIGHTS)
        for entry, weight, moments, own in zip(self._table, self._weights, self._moments, self._averages, strict=True):
            places = (weight, None, *moments, own)
            for name, tensor in zip(PLACES, places, strict=True):
                entry[name] = 0 if tensor is None else tensor.data_ptr()

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Inside, words are brought to the last step when they are looked up, and only theirs have gradients."""
        if self._words is None:
            yield
            return
        hook = self._words.register_forward_pre_hook(lambda _, given: self._catch_up(given[0].unique()))
        self._words.sparse = True
        try:
            yield
        finally:
            self._words.sparse = False
            hook.remove()

    def gradient_norm(self) -> float:
        """See Update.gradient_norm."""
        gradients = [weight.grad for weight in self._weights]
        if self._words is not None:
            gradients[-1], self._chosen = _by_rows(gradients[-1])
        self._gradients = [None if gradient is None else gradient.contiguous() for gradient in gradients]
        for entry, gradient in zip(self._table, self._gradients, strict=True):
            entry["gradient"], entry["size"] = (0, 0) if gradient is None else (gradient.data_ptr(), gradient.numel())
        square = library().gradient_square(self._table.ctypes.data, len(self._table), torch.get_num_threads())
        self._norm = square**0.5
        return self._norm

    def apply(self, step: int, factor: float) -> None:
        """See Update.apply."""
        self._number = step
        share, moving = self.average.share(step), self._table["gradient"] != 0
        self._taken += moving
        for entry, (rate, decay), taken in zip(self._table, self._rates, self._taken.tolist(), strict=True):
            entry["step"] = self._step(rate * factor, decay, taken, share) if taken else STILL
        constants = self._constants(min(1.0, self._limit / (self._norm + CLIP_ADDS)) if self._limit else 1.0)
        dense = self._table if self._words is None else self._table[:-1]
        moved = dense[moving[: len(dense)]]
        library().update_weights(moved.ctypes.data, len(moved), constants.ctypes.data, torch.get_num_threads())
        for own, weight, gradient in zip(self._averages, self._weights, self._gradients[: len(dense)], strict=False):
            if gradient is None and own is not None:
                own.lerp_(weight.detach(), share)
        if self._words is not None:
            self._steps = np.append(self._steps, self._table[-1]["step"])
            if self._chosen is not None:
                self._move_words(self._table[-1], self._chosen, constants)
        torch.autograd.graph.increment_version(self._weights)

    def discard(self) -> None:
        """See Update.discard."""
        self._gradients, self._chosen = [], None
        for weight in self._weights:
            weight.grad = None

    def settle(self) -> None:
        """Bring every word to the last step."""
        if self._words is not None:
            self._catch_up(None)

    def state_dict(self) -> dict[str, Any]:
        """See Update.state_dict."""
        state: dict[int, dict[str, Any]] = {
            index: {"first": first, "second": second, "taken": taken}
            for index, ((first, second), taken) in enumerate(zip(self._moments, self._taken.tolist(), strict=True))
        }
        steps = torch.from_numpy(self._steps.view(np.float64).reshape(-1, len(STEP)))
        state[len(state)] = {"seen": self._seen, "steps": steps, "number": self._number}
        return {"state": state, "param_groups": []}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See Update.load_state_dict."""
        saved = state["state"]
        for index, (first, second) in enumerate(self._moments):
            first.copy_(saved[index]["first"])
            second.copy_(saved[index]["second"])
            self._taken[index] = saved[index]["taken"]
        rest = saved[len(self._moments)]
        self._seen.copy_(rest["seen"])
        self._steps = rest["steps"].numpy().reshape(-1).view(STEP)
        self._number = rest["number"]

    def _step(self, rate: float, decay: float, taken: int, share: float) -> tuple[float, ...]:
        """A STEP: step number `taken` of a weight, at this rate."""
        beta1, beta2, _ = self._adam
        return 1 - rate * decay, rate / (1 - beta1**taken), (1 - beta2**taken) ** 0.5, share

    def _constants(self, scale: float) -> np.ndarray:
        return np.array((*self._adam, scale), dtype=CONSTANTS)

    @torch.no_grad()
    def _catch_up(self, chosen: Tensor | None) -> None:
        """Bring the chosen words, or all of them, to the last step."""
        still = self._table[-1].copy()
        still["gradient"] = 0
        self._move_words(still, chosen, self._constants(1.0))
        torch.autograd.graph.increment_version(self._weights[-1])

    def _move_words(self, entry: np.void, chosen: Tensor | None, constants: np.ndarray) -> None:
        count, width = self._weights[-1].shape
        places = (0, count) if chosen is None else (chosen.data_ptr(), len(chosen))
        rest = (width, self._number, self._seen.data_ptr(), self._steps.ctypes.data)
        rows = np.array((entry, *places, *rest), dtype=ROWS)
        library().update_rows(rows.ctypes.data, constants.ctypes.data, torch.get_num_threads())


def _words(model: Model) -> nn.Embedding | None:
    """The table of words where it trains and is an ordinary one."""
    words = surgery.word_embeddings(model.backbone)
    return words if type(words) is nn.Embedding and words.weight.requires_grad and not words.sparse else None


def _by_rows(gradient: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    """A table's gradient as (rows, width), and which rows these are."""
    if gradient is None:
        return None, None
    if not gradient.is_sparse:
        return gradient, torch.arange(len(gradient))
    gradient = gradient.coalesce()
    return gradient.values(), gradient.indices()[0].contiguous()
