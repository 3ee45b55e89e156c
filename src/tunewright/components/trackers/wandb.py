"""Weights & Biases, offline: nothing leaves the machine until you run `wandb sync`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewright.core.contracts import Tracker
from tunewright.core.errors import MachineError
from tunewright.core.run import identity


@dataclass(frozen=True)
class WeightsAndBiases(Tracker):
    """Writes under the run's folder, in `wandb/`."""

    project: str = "tunewright"  # the project it is filed under

    def start(self, run: Path, settings: Mapping[str, Any]) -> None:
        """See Tracker.start. Raises MachineError when the package is missing."""
        try:
            import wandb
        except ImportError:
            raise MachineError("The tracker wandb needs a package: pip install 'tunewright[wandb]'.") from None
        object.__setattr__(
            self,
            "_run",
            wandb.init(
                project=self.project,
                name=run.name,
                id=identity(run),  # a resumed run goes on under it
                resume="allow",
                dir=str(run),
                mode="offline",
                config=dict(settings),
            ),
        )

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """See Tracker.log."""
        self._run.log(dict(values), step=step)

    def finish(self) -> None:
        """See Tracker.finish."""
        self._run.finish()
