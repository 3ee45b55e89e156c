"""What can be learned from a few rows of each label: SetFit, Tunewright's few_shot and its plain fine-tuning, on the same rows.

    python benchmarks/few_shot.py                    all; --task trec6 only this one, and may be repeated

Every run is a process of its own, and all variants learn from the same rows, drawn anew for every seed. Writes
benchmarks/results/few_shot.json after each, and goes on from there when it is called again. What is measured stands in
benchmarks/few_shot_once.py; benchmarks/report.py makes the table.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

import harness
from few_shot_once import TASKS, VARIANTS
from report import few_shot

ONCE = harness.ROOT / "benchmarks" / "few_shot_once.py"
PER_LABEL = 8


def summary(measured: Mapping[str, Any]) -> dict[str, Any]:
    """Task → variant → rows, seeds, and accuracy and CPU seconds over the seeds."""
    found: dict[str, Any] = {}
    for task in TASKS:
        for variant in VARIANTS:
            runs = [
                one
                for key, entry in measured.items()
                if key.startswith(f"{task}/{variant}/")
                for one in entry["rounds"]
            ]
            if runs:
                found.setdefault(task, {})[variant] = {
                    "rows": runs[0]["rows"],
                    "seeds": len(runs),
                    **{name: harness.median([run[name] for run in runs]) for name in ("accuracy", "cpu_seconds")},
                }
    return found


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    harness.add_options(parser, rounds="--seeds")
    parser.add_argument("--task", action="append", choices=TASKS, help="only this one; may be repeated")
    parser.add_argument("--variant", action="append", choices=VARIANTS, help="only this one; may be repeated")
    options = parser.parse_args()
    data = harness.data_folder(options.data).absolute()
    tasks = list(harness.present(options.task, {task: task for task in TASKS}, data))

    def measure(task: str, variant: str, seed: int) -> harness.Measure:
        settings = {"per_label": PER_LABEL, "seed": seed}
        asked = {**settings, "task": task, "variant": variant, "data": str(data)}
        return harness.Measure(f"{task}/{variant}/{seed}", (str(ONCE), json.dumps(asked)), settings)

    found = harness.take_turns(
        [
            measure(task, variant, seed)
            for seed in range(1, options.seeds + 1)
            for task in tasks
            for variant in options.variant or VARIANTS
        ],
        options.results / "few_shot.json",
        rounds=1,
        threads=options.threads,
        again=options.again,
        summarise=summary,
    )
    print(few_shot(found))


if __name__ == "__main__":
    main()
