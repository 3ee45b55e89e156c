"""Trackers hold the numbers that were logged. What all promise is in tunewright/testing/kinds/trackers.py."""

from __future__ import annotations

import sys
import types

import pytest

from tunewright.core import catalog
from tunewright.core.errors import MachineError
from tunewright.core.recipe import flat

SETTINGS = dict(flat({"train": {"epochs": 3}, "data": {"columns": {}, "labels": ["a"] * 2000}}))


def tracked(name: str, run, **settings):
    """A tracker that has seen three steps."""
    tracker = catalog.create("trackers", {"name": name, **settings})
    tracker.start(run, SETTINGS)
    for step, loss in ((10, 0.5), (20, 0.25), (30, 0.125)):
        tracker.log(step, {"train/loss": loss, "validation/recall@5": 1 - loss})
    tracker.finish()
    return tracker


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [
        ("mlflow", "mlflow.tracking", "mlflow"),
        ("tensorboard", "torch.utils.tensorboard", "tensorboard"),
        ("wandb",) * 3,
    ],
)
def test_a_missing_package_is_told_with_the_command_that_installs_it(tmp_path, monkeypatch, name, module, extra):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MachineError, match=rf"The tracker {name} needs a package: pip install 'tunewright\[{extra}\]'"):
        catalog.create("trackers", name).start(tmp_path, {})


def test_tensorboard_shows_the_curves_and_the_recipe(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tracked("tensorboard", tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == [(10, 0.5), (20, 0.25), (30, 0.125)]
    assert b"train.epochs: 3" in events.Tensors("recipe/text_summary")[0].tensor_proto.string_val[0]


@pytest.mark.slow
def test_mlflow_files_the_curves_and_the_recipe_under_its_experiment(tmp_path):
    pytest.importorskip("mlflow")
    from mlflow.tracking import MlflowClient

    run = tmp_path / "intents"
    run.mkdir()
    tracked("mlflow", run, experiment="help desk")
    client = MlflowClient(tracking_uri=f"sqlite:///{run / 'mlflow.db'}")
    (found,) = client.search_runs([client.get_experiment_by_name("help desk").experiment_id])
    assert found.info.run_name == "intents" and found.info.status == "FINISHED"
    assert found.data.params["train.epochs"] == "3"
    assert found.data.metrics["validation/recall_at_5"] == 0.875
    assert [point.value for point in client.get_metric_history(found.info.run_id, "train/loss")] == [0.5, 0.25, 0.125]


@pytest.mark.slow
def test_a_resumed_run_goes_on_in_the_same_mlflow_run(tmp_path):
    pytest.importorskip("mlflow")
    from mlflow.tracking import MlflowClient

    for _ in range(2):
        tracked("mlflow", tmp_path)
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    (found,) = client.search_runs([client.get_experiment_by_name("tunewright").experiment_id])
    assert found.info.status == "FINISHED"
    assert len(client.get_metric_history(found.info.run_id, "train/loss")) == 6


def test_wandb_stays_offline_in_the_runs_folder(tmp_path, monkeypatch):
    logged, opened = [], {}

    class Run:
        def log(self, values, step):
            logged.append((step, values))

        def finish(self):
            opened["finished"] = True

    monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(init=lambda **given: opened.update(given) or Run()))
    tracked("wandb", tmp_path / "intents")
    assert (opened["mode"], opened["dir"], opened["name"]) == ("offline", str(tmp_path / "intents"), "intents")
    assert opened["config"]["train.epochs"] == 3
    first = opened["id"]
    tracked("wandb", tmp_path / "intents")
    assert (opened["id"], opened["resume"]) == (first, "allow")
    assert logged[0] == (10, {"train/loss": 0.5, "validation/recall@5": 0.5})
    assert opened["finished"]
