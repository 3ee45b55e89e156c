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
    features = encoded.features if labels is None else {**encoded.features, "labels": labels}
    return Window(
        example=example,
        features=features,
        tokens=encoded.tokens,
        shared=encoded.shared,
        truncated=encoded.truncated,
        offsets=encoded.offsets,
    )


def weighted_mean(windows: Sequence[Window], outputs: Sequence[np.ndarray]) -> np.ndarray:
    """The mean of one example's window outputs, each weighted by the tokens that no earlier window holds."""
    if len(outputs) == 1:
        return np.asarray(outputs[0])
    weights = [max(window.tokens - window.shared, 1) for window in windows]
    return np.average(np.stack(outputs), axis=0, weights=weights)
