"""How the cost of training grows: with rows, with the length of texts, and with threads; Tunewright and `Trainer` in turn.

    python benchmarks/scaling.py

The texts are those of TREC-6, over and over; all of them are read, tokenized and planned, and some steps are measured. Writes
benchmarks/results/scaling.json after every measurement and goes on from there when it is called again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import harness
from report import scaling

ONCE = harness.ROOT / "benchmarks" / "train_once.py"
TASK = "trec6"
VARIANTS = ("trainer", "ours_from_probe")
EXAMPLES, WARM_UP = 768, 64


@dataclass(frozen=True)
class Size:
    """What is trained on, and with how much of the machine."""

    rows: int = 5000
    length: int = 1  # texts in one
    threads: int = 1


SIZES = (Size(rows=500), Size(), Size(rows=50_000), Size(length=4), Size(threads=2))


def measure(variant: str, size: Size, data: Path) -> harness.Measure:
    """Some steps of one variant at one size."""
    settings = {"rows": size.rows, "length": size.length, "examples": EXAMPLES, "warm_up": WARM_UP}
    asked = {**settings, "task": TASK, "variant": variant, "data": str(data)}
    key = f"{variant}/rows {size.rows}, length {size.length}, threads {size.threads}"
    return harness.Measure(key, (str(ONCE), json.dumps(asked)), settings)


def summary(measured: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One entry for each variant and size: what it is, and medians of its rounds."""
    found = []
    for key, entry in measured.items():
        if rounds := entry["rounds"]:
            rates = {
                f"tokens_per_{name}": harness.median([one["tokens"] / one[f"{name}s"] for one in rounds])
                for name in ("cpu_second", "wall_second")
            }
            middle = {
                name: statistics.median(one[name] for one in rounds)
                for name in ("prepare_cpu_seconds", "peak_memory_mib")
            }
            found.append({"variant": key.partition("/")[0], "settings": entry["settings"], **rates, **middle})
    return found


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, help="folder of the data sets")
    parser.add_argument("--results", type=Path, default=harness.RESULTS, help="folder of the results")
    parser.add_argument("--rounds", type=harness.whole, default=1, help="measurements of each size")
    parser.add_argument("--variant", action="append", choices=VARIANTS, help="only this one; may be repeated")
    parser.add_argument("--again", action="store_true", help="measure anew what is there")
    options = parser.parse_args()
    data = harness.data_folder(options.data).absolute()
    if why := harness.missing(data, TASK):
        sys.exit(why)
    for threads in sorted({size.threads for size in SIZES}):
        sizes = [size for size in SIZES if size.threads == threads]
        found = harness.take_turns(
            [measure(variant, size, data) for size in sizes for variant in options.variant or VARIANTS],
            options.results / "scaling.json",
            rounds=options.rounds,
            threads=threads,
            again=options.again,
            summarise=summary,
        )
    print(scaling(found))


if __name__ == "__main__":
    main()
