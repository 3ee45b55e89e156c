"""Our own kernels, in 8-bit integers: for encoders of BERT's kind on a CPU, without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from tunewright.core.contracts import Outputs, Runtime
from tunewright.core.run import cores

if TYPE_CHECKING:
    from tunewright.models.saved import Saved

BATCH_TOKENS = 1024  # for each core, in one call: enough to keep it busy, and little memory for the hidden states


@dataclass(frozen=True)
class Native(Runtime):
    """The answer to a text is the same bits whatever stands beside it, on any number of threads."""

    exact: ClassVar[bool] = False
    steady: ClassVar[bool] = True
    precision: ClassVar[str] = "int8"

    def lacks(self, bundle: Path) -> str:
        """See Runtime.lacks."""
        from tunewright.kernels import library
        from tunewright.models import saved

        if library.library() is None:
            return f"the kernels: {library.about()}"
        return saved.lacks(bundle / "model")

    def open(self, bundle: Path) -> Outputs:
        """See Runtime.open."""
        from tunewright.models import saved

        model = saved.read(bundle / "model")
        return _answering(model, model.weight, model.bias)

    def features(self, bundle: Path) -> Outputs:
        """See Runtime.features: the map that changes nothing stands in the last one's place."""
        from tunewright.models import saved

        model = saved.read(bundle / "model")
        width = model.weight.shape[1]
        return _answering(model, np.eye(width, dtype=np.float32), np.zeros(width, dtype=np.float32))


def _answering(model: Saved, weight: np.ndarray, bias: np.ndarray) -> Outputs:
    """The encoder and the head, with this map at their end."""
    from tunewright.kernels.encoder import Encoder
    from tunewright.models.batches import stretches

    encoder = Encoder(model.encoder)
    threads = cores()

    def answer(windows: Sequence[Mapping[str, np.ndarray]]) -> list[np.ndarray]:
        kinds = [window["token_type_ids"] for window in windows] if "token_type_ids" in windows[0] else None
        hidden, offsets = encoder([window["input_ids"] for window in windows], kinds, threads=threads)
        return model.head.answer(hidden, offsets, weight, bias)

    return lambda windows: [one for part in stretches(windows, threads * BATCH_TOKENS) for one in answer(part)]
