"""A saved model may be several that vote: they lie side by side in its bundle, and their outputs are averaged. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tunewright.core.contracts import Outputs, Runtime
from tunewright.models import beside

FOLDER = "members"  # beside the first member's `model`: a folder for each of the others, by number


def folders(bundle: Path) -> list[Path]:
    """The folders that hold a `model`, the bundle itself first: one, unless several models vote."""
    return [bundle, *sorted((bundle / FOLDER).glob("*"))]


def folder(bundle: Path, number: int) -> Path:
    """Where member `number` (from 0) lies."""
    return bundle / FOLDER / f"{number + 1:02}" if number else bundle


def together(runs: Sequence[Outputs]) -> Outputs:
    """The mean of what these functions give for each window: of one, what it gives."""
    if len(runs) == 1:
        return runs[0]
    return lambda windows: [np.mean(own, axis=0) for own in zip(*(run(windows) for run in runs), strict=True)]


def prepare(runtime: Runtime, bundle: Path, usual: Sequence[Mapping[str, np.ndarray]] = ()) -> None:
    """Let the runtime write what it needs for every member. usual: see Runtime.prepare."""
    for place in folders(bundle):
        runtime.prepare(place, usual)


def opened(runtime: Runtime, bundle: Path) -> Outputs:
    """The runtime on every member of the bundle, with the columns' part where the model has one."""
    return together([beside.opened(runtime, place) for place in folders(bundle)])
