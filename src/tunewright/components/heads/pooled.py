"""One answer per text: the mean of its tokens' hidden states, normalised, then a linear map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from tunewright.core.contracts import Head

if TYPE_CHECKING:
    from torch import nn

EPSILON = 1e-12  # of the normalisation, as in tunewright/models/heads.py


@dataclass(frozen=True)
class Pooled(Head):
    """Mean pooling as sentence encoders are trained with (Reimers and Gurevych 2019), then layer normalisation.

    The normalisation has no parameters; it makes the head's scale independent of the backbone, and lets a plain
    `transformers` classifier express the same function (models/layout.py).
    """

    transformers_class: ClassVar[str] = "AutoModelForSequenceClassification"
    pools: ClassVar[bool] = True

    def build(self, hidden_size: int, outputs: int) -> nn.Module:
        """See Head.build; logits are (batch, outputs)."""
        from tunewright.models.heads import PooledHead

        return PooledHead(hidden_size, outputs)

    def answer(self, hidden: np.ndarray, offsets: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> list[np.ndarray]:
        """See Head.answer; each (outputs,)."""
        if len(offsets) < 2:
            return []
        mean = np.add.reduceat(hidden, offsets[:-1], axis=0) / np.diff(offsets)[:, None]
        centred = mean - mean.mean(axis=1, keepdims=True)
        normal = centred / np.sqrt(np.square(centred).mean(axis=1, keepdims=True) + EPSILON)
        return list((normal @ weight.T + bias).astype(np.float32))
