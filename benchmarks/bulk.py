"""How `tunewright predict` grows with the rows of a file: time in proportion, memory not at all.

    python benchmarks/bulk.py              10 000, 100 000 and 1 000 000 short rows, CSV to JSONL

The rows are TREC-6's questions cut to their first words, with a number, over and over; the bundle is that of inference.py.
Writes benchmarks/results/bulk.json after every measurement; benchmarks/report.py makes a table of it.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import harness
from inference import TEXTS, prepared
from report import bulk

from tunewright.core.files import writing

TASK = "trec6"
WORDS = 4  # of a question that a row has
ROWS = (10_000, 100_000, 1_000_000)
FOLDER = harness.ROOT / "build" / "benchmarks" / "bulk"


def made(rows: int, data: Path) -> Path:
    """A table of so many rows, no two of a question alike."""
    file = FOLDER / f"{rows}.csv"
    if not file.exists():
        with open(data / TASK / "train.csv", encoding="utf-8", newline="") as stream:
            questions = [" ".join(row["text"].split()[:WORDS]) for row in csv.DictReader(stream)]
        with writing(file) as target, open(target, "w", encoding="utf-8", newline="") as stream:
            numbered = zip(range(rows), itertools.cycle(questions))
            csv.writer(stream).writerows(
                [("id", "text"), *((n, f"{text} {n // len(questions)}") for n, text in numbered)]
            )
    return file


def once(bundle: str, file: str) -> dict[str, float]:
    """Answer `file` as the command line does, in this very process."""
    from tunewright.cli import main as cli

    cli._register()
    with tempfile.TemporaryDirectory() as folder:
        started = (time.process_time(), time.perf_counter())
        code = cli.run(["predict", bundle, file, "--out", f"{folder}/answers.jsonl"])
        cpu, wall = time.process_time() - started[0], time.perf_counter() - started[1]
        with open(f"{folder}/answers.jsonl", encoding="utf-8") as answers:
            rows = sum(1 for _ in answers)
    if code:
        raise SystemExit(code)
    return {"rows": rows, "cpu_seconds": cpu, "wall_seconds": wall, "peak_memory_mib": harness.peak_memory_mib()}


def summary(measured: Mapping[str, Any]) -> dict[str, Any]:
    """Rows → the figures of the last round."""
    return {key: entry["rounds"][-1] for key, entry in measured.items() if entry["rounds"]}


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    harness.add_options(parser)
    parser.set_defaults(rounds=1)
    parser.add_argument("--once", nargs=2, metavar=("BUNDLE", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        print(json.dumps(once(*options.once)))
        return
    data = harness.data_folder(options.data).absolute()
    if why := harness.missing(data, TASK):
        sys.exit(why)
    bundle = prepared(TASK, data, TEXTS, None) / "run"
    measures = [
        harness.Measure(str(rows), (__file__, "--once", str(bundle), str(made(rows, data))), {"words": WORDS})
        for rows in ROWS
    ]
    found = harness.take_turns(
        measures,
        options.results / "bulk.json",
        rounds=options.rounds,
        threads=options.threads,
        again=options.again,
        summarise=summary,
    )
    print(bulk(found))


if __name__ == "__main__":
    main()
