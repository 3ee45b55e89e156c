"""What is usual of a bundle's answers: learned from the rows it was measured on when it is made, kept in its reference.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tunewright.core import catalog
from tunewright.core.bundle import Bundle
from tunewright.core.contracts import Signal, Task
from tunewright.core.errors import BundleError, RecipeError
from tunewright.core.files import read_json
from tunewright.core.types import Prediction
from tunewright.monitor import accuracy
from tunewright.monitor.traffic import traffic_of
from tunewright.predict.infer import Inferred

FILE = "reference.json"
VERSION = 2  # of what signals keep: 1 had other sums


@dataclass(frozen=True)
class Reference:
    """Signal → what is usual of it; what scores say of rightness (None: too few judged rows); from how many rows."""

    signals: Mapping[Signal, Mapping[str, Any]]
    accuracy: Mapping[str, Any] | None
    rows: int

    def to_dict(self) -> dict[str, Any]:
        """As reference.json holds it: sums and sketches, no text."""
        learned = [{**catalog.describe(signal), "usual": usual} for signal, usual in self.signals.items()]
        return {"version": VERSION, "rows": self.rows, "signals": learned, "accuracy": self.accuracy}


def learn(task: Task, answered: Sequence[tuple[Inferred, Prediction]]) -> Reference:
    """What is usual, from rows like those to come. Rows with a label say how far scores can be believed as well."""
    traffic = traffic_of(task, answered)
    signals = {}
    for name in catalog.names("signals"):
        signal: Signal = catalog.create("signals", name)  # type: ignore[assignment]
        if signal.suits(task) and (usual := signal.learn(traffic)) is not None:
            signals[signal] = usual
    judged = [(item.example.label, said.given) for item, said in answered if item.example.label is not None]
    right = np.array([task.measures.right(gold, value) for gold, (value, _) in judged], dtype=float)
    scores = np.array([score for _, (_, score) in judged], dtype=float)
    return Reference(signals, accuracy.learn(scores, right), len(traffic))


def of_bundle(bundle: Bundle) -> Reference:
    """The reference that was sealed with a bundle. Raises BundleError where there is none."""
    file = bundle.folder / FILE
    stored = read_json(file) if file.is_file() else {}
    if not stored.get("signals") or stored.get("version") != VERSION:
        raise BundleError(
            f"{bundle.folder} does not say what is usual of its answers: it was made by an earlier version, or from too "
            "few rows. Name rows that are usual, as your validation file: --reference validation.csv."
        )
    return from_dict(stored, file)


def from_dict(stored: Mapping[str, Any], file: Path) -> Reference:
    """What `to_dict` gave. Raises BundleError where it is something else."""
    try:
        signals = {
            catalog.create("signals", {key: value for key, value in one.items() if key != "usual"}): _arrays(
                one["usual"]
            )
            for one in stored["signals"]
        }
        known = stored["accuracy"]
        return Reference(signals, None if known is None else _arrays(known), int(stored["rows"]))  # type: ignore[arg-type]
    except (KeyError, TypeError, ValueError, AttributeError, RecipeError):
        raise BundleError(f"{file} does not hold what is usual as this version writes it. Restore it.") from None


def _arrays(usual: Mapping[str, Any]) -> dict[str, Any]:
    """Lists of numbers as arrays."""
    found = dict(usual)
    for name, value in usual.items():
        if isinstance(value, list) and not any(isinstance(one, str) for one in value):
            found[name] = np.array(value, dtype=float)
    return found
