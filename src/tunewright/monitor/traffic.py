"""Answered rows as signals see them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tunewright.core.contracts import Task, Traffic
from tunewright.core.types import Prediction, label_names
from tunewright.predict.infer import Inferred


def traffic_of(task: Task, answered: Sequence[tuple[Inferred, Prediction]]) -> Traffic:
    """What signals look at in rows and their answers."""
    windows = [item.windows for item, _ in answered]
    vectors = [item.logits.ravel() for item, _ in answered] if task.probe else []
    given = [prediction.given for _, prediction in answered]
    return Traffic(
        texts=[" ".join(map(str, item.example.inputs.values())) for item, _ in answered],
        tokens=[_tokens(own) for own in windows],
        lengths=np.array([sum(w.tokens - w.shared for w in own) for own in windows], dtype=float),
        outputs=np.array(vectors, dtype=float).reshape(len(answered), -1) if vectors else np.zeros((len(answered), 0)),
        names=[label_names(value) for value, _ in given],
        scores=np.array([score for _, score in given], dtype=float),
    )


def _tokens(windows: Sequence) -> np.ndarray:
    return np.concatenate([window.features["input_ids"] for window in windows]).astype(np.int64)
