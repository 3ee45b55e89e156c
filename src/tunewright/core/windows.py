"""What tasks on texts share: a Window from what the processor encoded, and the join of window outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tunewright.core.types import Window

if TYPE_CHECKING:
    from tunewright.models.processor import Encoded


def window(example: int, encoded: Encoded, labels: np.ndarray | None = None) -> Window:
    """The window of example number `example`; `labels` joins the features when it is known."""
    features = {"input_ids": encoded.input_ids, "attention_mask": encoded.attention_mask}
    if encoded.token_type_ids is not None:
        features["token_type_ids"] = encoded.token_type_ids
    if labels is not None:
        features["labels"] = labels
    return Window(
        example,
        features,
        tokens=encoded.tokens,
        shared=encoded.shared,
        truncated=encoded.truncated,
        offsets=encoded.offsets,
    )


def weighted_mean(windows: Sequence[Window], outputs: Sequence[np.ndarray]) -> np.ndarray:
    """The mean of one example's window outputs, each weighted by its window's tokens."""
    if len(outputs) == 1:
        return np.asarray(outputs[0])
    weights = [max(window.tokens, 1) for window in windows]
    return np.average(np.stack(outputs), axis=0, weights=weights)
