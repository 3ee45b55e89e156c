"""What a tracker promises: what was logged is on disk when it has finished, or a message says what to install."""

from __future__ import annotations

from tunewright.core.errors import MachineError
from tunewright.testing.conformance import Subject

RUNS = 2  # a run that was interrupted, and its resumption, in one folder


def it_writes_what_it_is_given(subject: Subject) -> None:
    """After `finish` the numbers are in the run's folder; started again for a resumed run, it goes on."""
    run = subject.folder / "run"
    run.mkdir()
    tracker = subject.create()
    for part in range(RUNS):
        try:
            tracker.start(run, {"train.epochs": 3, "data.train": "train.csv", "data.columns": {}})
        except MachineError as error:
            assert "pip install" in str(error), f"the message does not say what to install: {error}"
            raise
        tracker.log(10 + part, {"train/loss": 0.5, "validation/recall@5": 0.25})
        tracker.log(20 + part, {"train/loss": 0.25})
        tracker.finish()
        content = b"".join(file.read_bytes() for file in run.rglob("*") if file.is_file())
        assert b"loss" in content, "the numbers' names are not in what was written"
