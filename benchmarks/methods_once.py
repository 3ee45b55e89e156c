"""One run of a tuning method from rows to verdict: what methods.py starts.

    python benchmarks/methods_once.py '{"method": "lora", "rows": 1500, "epochs": 3, "seed": 1, "data": "…"}'

Prints one JSON object: accuracy on the test rows and on the validation rows, trained_parameters, merged, cpu_seconds of
training (head start, steps and evaluations), seconds on the wall, and the most memory the process had until its end
(peak_memory_mib), with how much of it came after the rows were ready (own_memory_mib).
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

import harness

from tunewright.core.files import read_json
from tunewright.core.recipe_file import from_mapping
from tunewright.engine import local
from tunewright.stages import fit
from tunewright.training import loop

TASK, BACKBONE = "trec6", "minilm-l6-en"


def measured(asked: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Train by the recipe's defaults beside what is asked, into `folder`."""
    data = Path(asked["data"]) / TASK
    recipe = from_mapping(
        {
            "task": "text_classification",
            "data": {"train": str(data / "train.csv"), "test": str(data / "test.csv"), "limit": asked["rows"]},
            "model": {"backbone": BACKBONE},
            "train": {"method": asked["method"], "epochs": asked["epochs"], "threads": 1, **asked.get("train", {})},
            "evaluate": {"baselines": []},
            "predict": {"runtime": "torch"},
            "seed": asked["seed"],
        }
    )
    found: dict[str, float] = {}

    def timed(*arguments: Any, **options: Any) -> Any:
        cpu, wall = time.process_time(), time.perf_counter()
        fitted = loop.fit(*arguments, **options)
        found.update(cpu_seconds=time.process_time() - cpu, wall_seconds=time.perf_counter() - wall)
        peak = harness.memory_mib("VmHWM")
        found.update(peak_memory_mib=peak, own_memory_mib=peak - held)
        return fitted

    held = harness.memory_mib("VmRSS")
    with mock.patch.object(fit, "fit", timed):
        outcome = local.train(recipe, out=folder / "run")
    report = read_json(outcome.run / "report.json")
    best = next(e for e in report["training"]["history"] if e["step"] == report["training"]["best_step"])
    return {
        "accuracy": outcome.metrics["accuracy"],
        "validation_accuracy": best["validation"]["accuracy"],
        "start_accuracy": report["training"]["history"][0]["validation"]["accuracy"],
        "trained_parameters": report["model"]["trained_parameters"],
        "parameters": report["model"]["parameters"],
        "merged": recipe.train.method.mergeable,
        "best_step": report["training"]["best_step"],
        "precision": report["training"]["precision"],
        **found,
    }


def main() -> None:
    """Measure what the argument says."""
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measured(json.loads(sys.argv[1]), Path(folder))))


if __name__ == "__main__":
    main()
