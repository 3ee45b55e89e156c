"""How long until a model is as good as `transformers.Trainer` makes it with a tuned learning rate: CPU seconds, all counted.

    python benchmarks/time_to_quality.py --task trec6               one task; several take several --task; none takes all
    python benchmarks/time_to_quality.py --variant ours --again     ours anew, after a change; the peers' figures stay

A peer is trained at each learning rate of a small search, which goes on by factors of 2 while the largest or smallest rate is
the best; the one that is best on validation is trained with the other seeds too. Writes benchmarks/results/time_to_quality.json
after every run, and goes on from there when it is called again. What a run is and what is counted of it stands in
benchmarks/quality_once.py; benchmarks/report.py makes tables and plots.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import harness
from report import quality

ONCE = harness.ROOT / "benchmarks" / "quality_once.py"
PEERS = ("trainer", "trainer_bf16_grouped")
OURS = "ours"
TOLERANCE = 0.003  # of accuracy: how near the peer's quality is near enough
VALIDATION_ROWS = 500


@dataclass(frozen=True)
class Task:
    """How much is learned from, and how the peers are trained."""

    rows: int
    rates: tuple[float, ...] = (5e-5, 1e-4, 2e-4)  # where the search begins
    epochs: int = 3
    points: int = 4  # of the curve, in an epoch


TASKS = {
    "trec6": Task(rows=2000),
    "sst2": Task(rows=2000),
    "clinc150": Task(rows=1500, epochs=10, points=2),
    "ag_news": Task(rows=1000),
    "waimai_10k": Task(rows=1000, rates=(2e-5, 5e-5, 1e-4)),
}


def measure(task: str, variant: str, seed: int, rows: int, data: Path, rate: float | None = None) -> harness.Measure:
    """One run; only a peer has a learning rate and epochs, ours has the recipe's defaults."""
    settings = {"rows": rows, "validation_rows": VALIDATION_ROWS, "points": TASKS[task].points, "seed": seed}
    if rate is not None:
        settings |= {"learning_rate": rate, "epochs": TASKS[task].epochs}
    asked = {**settings, "task": task, "variant": variant, "data": str(data)}
    return harness.Measure(_key(task, variant, seed, rate), (str(ONCE), json.dumps(asked)), settings)


def searched(task: str, variant: str, measured: Mapping[str, Any], rows: int) -> dict[float, Mapping[str, Any]]:
    """Learning rate → the peer's run with the first seed, of those that are done."""
    start, end = f"{task}/{variant}@", "/1"
    rates = sorted(
        float(key[len(start) : -len(end)]) for key in measured if key.startswith(start) and key.endswith(end)
    )
    return {rate: run for rate in rates if (run := _run(measured, _key(task, variant, 1, rate), rows))}


def open_rates(task: str, runs: Mapping[float, Mapping[str, Any]]) -> list[float]:
    """What the search has to try next: its first rates, then the one beyond a largest or smallest rate that is best."""
    if missing := [rate for rate in TASKS[task].rates if rate not in runs]:
        return missing
    best = winner(runs)
    beyond = {max(runs): 2 * best, min(runs): best / 2}
    return [float(f"{beyond[best]:.3g}")] if best in beyond else []


def winner(runs: Mapping[float, Mapping[str, Any]]) -> float:
    """The learning rate that is best on validation, by accuracy and then by loss."""
    return max(runs, key=lambda rate: (runs[rate]["validation_accuracy"], -runs[rate]["validation_loss"]))


def _key(task: str, variant: str, seed: int, rate: float | None) -> str:
    return f"{task}/{variant}{'' if rate is None else f'@{rate:g}'}/{seed}"


def _run(measured: Mapping[str, Any], key: str, rows: int) -> Mapping[str, Any] | None:
    entry = measured.get(key)
    return entry["rounds"][0] if entry and entry["rounds"] and entry["settings"]["rows"] == rows else None


# ----------------------------------------------------------------------------------------------------------- summary


def summary(measured: Mapping[str, Any]) -> dict[str, Any]:
    """Task → {"settings", "quality", "goal", "variants": {variant: …}}, where the first peer's search is done.

    quality is the first peer's test accuracy at the end of its runs, on average; goal is what counts as reaching it.
    """
    found = {}
    for task in TASKS:
        peers = [entry["settings"] for key, entry in measured.items() if key.startswith(f"{task}/{PEERS[0]}@")]
        variants = _variants(task, measured, peers[-1]["rows"]) if peers else {}
        if PEERS[0] not in variants:
            continue
        runs = {name: [measured[key]["rounds"][0] for key in variants[name]["runs"]] for name in variants}
        quality = statistics.mean(run["accuracy"] for run in runs[PEERS[0]])
        for name, about in variants.items():
            about |= _in_figures(runs[name], quality - TOLERANCE, peer=name in PEERS)
        for about in variants.values():
            about |= {f"times_{peer}": _ratio(variants[peer], about) for peer in PEERS if peer in variants}
        settings = {name: peers[-1][name] for name in ("rows", "validation_rows", "epochs", "points", "threads")}
        found[task] = {"settings": settings, "quality": quality, "goal": quality - TOLERANCE, "variants": variants}
    return found


def _variants(task: str, measured: Mapping[str, Any], rows: int) -> dict[str, dict[str, Any]]:
    """Variant → the keys of its runs, and of a peer what its search found; without those that have no run yet."""
    found: dict[str, dict[str, Any]] = {}
    for variant in (*PEERS, OURS):
        rate, about = None, {}
        if variant in PEERS:
            tried = searched(task, variant, measured, rows)
            if open_rates(task, tried):
                continue
            rate = winner(tried)
            about = {
                "learning_rate": rate,
                "search": {f"{rate:g}": run["validation_accuracy"] for rate, run in tried.items()},
                "search_cpu_seconds": sum(run["cpu_seconds"] for run in tried.values()),
            }
        start = _key(task, variant, 0, rate)[:-1]
        if keys := sorted(key for key in measured if key.startswith(start) and _run(measured, key, rows)):
            found[variant] = {**about, "runs": keys}
    return found


def _in_figures(runs: Sequence[Mapping[str, Any]], goal: float, *, peer: bool) -> dict[str, Any]:
    """A run that never reaches the goal counts as endless, but that of a peer as over with its last step."""
    times = [_seconds_to(goal, run) for run in runs]
    counted = [run["cpu_seconds"] if peer and time is None else time for run, time in zip(runs, times, strict=True)]
    accuracies = [run["accuracy"] for run in runs]
    return {
        "accuracy": {**harness.median(accuracies), "mean": statistics.mean(accuracies)},
        "cpu_seconds": harness.median([run["cpu_seconds"] for run in runs]),
        "to_goal": harness.median([math.inf if time is None else time for time in counted]),
        "reached": sum(time is not None for time in times),
        "commits": sorted({run["commit"] for run in runs}),
    }


def _seconds_to(goal: float, run: Mapping[str, Any]) -> float | None:
    """CPU seconds to the first point of the curve that reaches the goal; None where none does, nor the run's model."""
    points = [*run["curve"], run]
    return next((point["cpu_seconds"] for point in points if point["accuracy"] >= goal), None)


def _ratio(peer: Mapping[str, Any], about: Mapping[str, Any]) -> float:
    return peer["to_goal"]["median"] / about["to_goal"]["median"]


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    harness.add_options(parser, rounds="--seeds")
    parser.add_argument("--task", action="append", choices=TASKS, help="only this one; may be repeated")
    parser.add_argument("--variant", action="append", choices=(*PEERS, OURS), help="only this one; may be repeated")
    parser.add_argument("--rows", type=harness.whole, help="training rows, in place of each task's own number")
    options = parser.parse_args()
    data = harness.data_folder(options.data).absolute()
    file = options.results / "time_to_quality.json"
    taking = {"rounds": 1, "threads": options.threads, "again": options.again, "summarise": summary}
    found = None
    for task in harness.present(options.task, {task: task for task in TASKS}, data):
        rows = options.rows or TASKS[task].rows
        for variant in options.variant or (OURS, *PEERS):
            rate, first = None, 1
            if variant in PEERS:
                rates: Sequence[float] = TASKS[task].rates
                while rates:
                    tried = [measure(task, variant, 1, rows, data, rate) for rate in rates]
                    found = harness.take_turns(tried, file, **taking)
                    runs = searched(task, variant, found["measurements"], rows)
                    rates = open_rates(task, runs)
                rate, first = winner(runs), 2
            seeds = range(first, options.seeds + 1)
            found = harness.take_turns(
                [measure(task, variant, seed, rows, data, rate) for seed in seeds], file, **taking
            )
    if found:
        print(quality(found))


if __name__ == "__main__":
    main()
