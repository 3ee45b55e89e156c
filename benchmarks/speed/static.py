"""How fast a static student answers beside the pipeline of `transformers` on its teacher, in turn, on the same texts.

Run: python benchmarks/speed/static.py TEACHER STUDENT TEXTS.csv [TEXTS]

TEACHER is the run of a BERT classifier, STUDENT a bundle that `tunewright compress --passes distill_static` made of it,
TEXTS.csv has a column `text`. Each way answers the same texts three times in turn; wall and CPU seconds of the median round
are printed as JSON. The pipeline's network pools by itself (benchmarks/inference_once.py), so it computes no layer more.
"""

from __future__ import annotations

import csv
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from inference import for_peers
from inference_once import pipeline, pipeline_batched

ROUNDS, TEXTS = 3, 300


def timed(answer: Callable[[Sequence[str]], object], texts: Sequence[str]) -> tuple[float, float]:
    """Rows a second, by the clock and by the processor."""
    wall, cpu = time.perf_counter(), time.process_time()
    answer(texts)
    return len(texts) / (time.perf_counter() - wall), len(texts) / (time.process_time() - cpu)


def main(teacher: str, student: str, file: str, most: str = str(TEXTS)) -> None:
    """Measure and print."""
    import tunewright

    with open(file, encoding="utf-8", newline="") as stream:
        texts = [row["text"] for row in csv.DictReader(stream)]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        shutil.copytree(Path(teacher) / "bundle", folder / "run" / "bundle")
        for_peers(folder)
        small = tunewright.load(student)
        ways = {
            "pipeline": (pipeline(folder), texts[: int(most)]),
            "pipeline_batched": (pipeline_batched(folder), texts[: int(most)]),
            "static": (small.predict, texts),
        }
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for answer, rows in ways.values():
            answer(rows[:32])
        for _ in range(ROUNDS):
            for name, (answer, rows) in ways.items():
                times[name].append(timed(answer, rows))
    rates = {name: [statistics.median(column) for column in zip(*own, strict=True)] for name, own in times.items()}
    found = {name: {"rows_per_second": wall, "rows_per_cpu_second": cpu} for name, (wall, cpu) in rates.items()}
    found["times_the_pipeline"] = {key: found["static"][key] / found["pipeline"][key] for key in found["static"]}
    print(json.dumps({"runtime": type(small.runtime).__name__, "texts": len(texts), **found}, indent=1))


if __name__ == "__main__":
    main(*sys.argv[1:])
