"""What each tuning method gives and costs with its defaults, on one data set: TREC-6 with all-MiniLM-L6-v2.

    python benchmarks/methods.py                    all methods; --method lora only this one, and may be repeated

Every run is a process of its own, to the sealed verdict. Writes benchmarks/results/methods.json after each, and goes on from
there when it is called again. What is measured stands in benchmarks/methods_once.py; benchmarks/report.py makes the table.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import harness
from report import methods

from tunewright.core import catalog

ONCE = harness.ROOT / "benchmarks" / "methods_once.py"
TASK = "trec6"
ROWS, EPOCHS = 1500, 3


def measure(method: str, seed: int, rows: int, data: Path) -> harness.Measure:
    """One run of a method."""
    settings = {"rows": rows, "epochs": EPOCHS, "seed": seed}
    asked = {**settings, "method": method, "data": str(data)}
    return harness.Measure(f"{method}/{seed}", (str(ONCE), json.dumps(asked)), settings)


def summary(measured: Mapping[str, Any]) -> dict[str, Any]:
    """Method → its settings, medians and ranges over the seeds, and what is the same for all."""
    found: dict[str, Any] = {}
    for method in catalog.names("methods"):
        runs = [
            {**one, "settings": entry["settings"]}
            for key, entry in measured.items()
            if key.partition("/")[0] == method
            for one in entry["rounds"]
        ]
        if runs:
            numbers = ("accuracy", "validation_accuracy", "cpu_seconds", "peak_memory_mib", "own_memory_mib")
            same = ("trained_parameters", "parameters", "merged")
            found[method] = {
                "rows": runs[0]["settings"]["rows"],
                "epochs": runs[0]["settings"]["epochs"],
                "seeds": len(runs),
                **{name: harness.median([run[name] for run in runs]) for name in numbers},
                **{name: runs[0][name] for name in same},
                "precisions": sorted({run["precision"] for run in runs}),
                "commits": sorted({run["commit"] for run in runs}),
            }
    return found


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    harness.add_options(parser, rounds="--seeds")
    names = catalog.names("methods")
    parser.add_argument("--method", action="append", choices=names, help="only this one; may be repeated")
    parser.add_argument("--rows", type=harness.whole, default=ROWS, help="training rows")
    options = parser.parse_args()
    data = harness.data_folder(options.data).absolute()
    if why := harness.missing(data, TASK):
        sys.exit(why)
    chosen = options.method or names
    found = harness.take_turns(
        [measure(name, seed, options.rows, data) for seed in range(1, options.seeds + 1) for name in chosen],
        options.results / "methods.json",
        rounds=1,
        threads=options.threads,
        again=options.again,
        summarise=summary,
    )
    print(methods(found))


if __name__ == "__main__":
    main()
