"""The map of the columns beside the text in a saved model: added to what a runtime computes from the text. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tunewright.core.contracts import Outputs, Runtime

FILE, FEATURE = "beside.safetensors", "beside"

Features = Mapping[str, np.ndarray]


def save(weight: np.ndarray, folder: Path) -> None:
    """Write the map (outputs, width) into the folder of a saved model."""
    from safetensors.numpy import save_file

    save_file({"weight": np.ascontiguousarray(weight, dtype=np.float32)}, folder / FILE)


def weight_of(folder: Path) -> np.ndarray | None:
    """The map (outputs, width) in the folder of a saved model; None where it reads the text alone."""
    from safetensors.numpy import load_file

    return load_file(folder / FILE)["weight"] if (folder / FILE).exists() else None


def added(found: Sequence[np.ndarray], windows: Sequence[Features], weight: np.ndarray) -> list[np.ndarray]:
    """Each window's logits with the part of its columns."""
    return [logits + weight @ window[FEATURE] for logits, window in zip(found, windows, strict=True)]


def opened(runtime: Runtime, bundle: Path) -> Outputs:
    """The runtime on the bundle, with the columns' part where the model has one."""
    run, weight = runtime.open(bundle), weight_of(bundle / "model")
    if weight is None:
        return run
    return lambda windows: added(run(windows), windows, weight)
