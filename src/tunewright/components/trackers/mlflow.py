"""MLflow, in a local database file in the run's folder unless a tracking server is named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewright.core.contracts import Tracker
from tunewright.core.errors import MachineError
from tunewright.core.run import identity

FOLDER = "tunewright.run"  # the tag by which a resumed run finds itself


@dataclass(frozen=True)
class MLflow(Tracker):
    """Look at it with `mlflow ui --backend-store-uri sqlite:///RUN/mlflow.db`."""

    experiment: str = "tunewright"  # the experiment it is filed under
    address: str | None = None  # of a tracking server; none: mlflow.db in the run's folder

    def start(self, run: Path, settings: Mapping[str, Any]) -> None:
        """See Tracker.start. Raises MachineError when the package is missing."""
        try:
            from mlflow.tracking import MlflowClient
        except ImportError:
            raise MachineError("The tracker mlflow needs a package: pip install 'tunewright[mlflow]'.") from None
        client = MlflowClient(tracking_uri=self.address or f"sqlite:///{run / 'mlflow.db'}")
        found = client.get_experiment_by_name(self.experiment)
        experiment = found.experiment_id if found else client.create_experiment(self.experiment)
        known = client.search_runs([experiment], filter_string=f"tags.`{FOLDER}` = '{identity(run)}'", max_results=1)
        started = known[0] if known else client.create_run(experiment, run_name=run.name, tags={FOLDER: identity(run)})
        object.__setattr__(self, "_client", client)
        object.__setattr__(self, "_run_id", started.info.run_id)
        client.update_run(self._run_id, status="RUNNING")
        for key, value in settings.items() if not known else ():
            client.log_param(self._run_id, key, str(value)[:500])

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """See Tracker.log."""
        for name, value in values.items():
            self._client.log_metric(self._run_id, name.replace("@", "_at_"), value, step=step)

    def finish(self) -> None:
        """See Tracker.finish."""
        self._client.set_terminated(self._run_id)
