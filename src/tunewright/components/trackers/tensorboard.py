"""TensorBoard event files in the run's folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewright.core.contracts import Tracker
from tunewright.core.errors import MachineError


@dataclass(frozen=True)
class TensorBoard(Tracker):
    """Look at it with `tensorboard --logdir runs`."""

    def start(self, run: Path, settings: Mapping[str, Any]) -> None:
        """See Tracker.start. Raises MachineError when the package is missing."""
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise MachineError(
                "The tracker tensorboard needs a package: pip install 'tunewright[tensorboard]'."
            ) from None
        object.__setattr__(self, "_writer", SummaryWriter(str(run / "tensorboard")))
        self._writer.add_text("recipe", "\n".join(f"    {key}: {value}" for key, value in settings.items()))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """See Tracker.log."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def finish(self) -> None:
        """See Tracker.finish."""
        self._writer.close()
