"""How soon the monitor sees a shift, how often it sees one that is not there, and how far its estimate of accuracy is off.

A bundle answers labelled rows that it was not trained on and rows of another kind, once. Then streams are drawn from these
answers, with a reference of as many rows as validation and test have (1000 fewer where there is no --unseen file):

- alike: reference and traffic are drawn from all labelled rows, anew each time, so nothing differs; of 1000 rows the first
  500 fill a window, the others move it;
- as split: the reference is all labelled files but the last, the traffic the last (where its parts differ, that is seen);
- a share of rows is exchanged: for rows of one label, or for rows of another kind.

`caught` counts streams whose first alarm comes within 500 exchanged rows; `alarms` are those before any row is exchanged.
`within_3_points` is of all estimates, `told_to_hold` of how many it is said that they hold, `held_within_3_points` of those.

    python benchmarks/monitor/drift.py RUN VALIDATION.csv TEST.csv OTHER.csv --unseen MORE.csv --out results.json
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from tunewright.core.bundle import open_bundle
from tunewright.core.contracts import Traffic
from tunewright.core.files import jsonable, write_json
from tunewright.core.types import Example
from tunewright.monitor import reference
from tunewright.monitor.traffic import traffic_of
from tunewright.monitor.watching import Watching
from tunewright.monitor.windows import Monitor
from tunewright.predict.infer import Inferred
from tunewright.predict.predictor import Predictor

WINDOWS = 200  # without a shift
STREAMS = 40  # with one
STREAM = 1000  # rows of a stream without a shift: one window that fills, one that moves
WATCHING = Watching()


@dataclass
class Answered:
    """Rows with their answers, and whether these are right."""

    rows: list
    traffic: Traffic
    right: np.ndarray

    def take(self, places: np.ndarray) -> Answered:
        """Some of them."""
        parts = [_taken(getattr(self.traffic, field.name), places) for field in fields(self.traffic)]
        return Answered([self.rows[place] for place in places], Traffic(*parts), self.right[places])


def _taken(values, places):
    return values[places] if isinstance(values, np.ndarray) else [values[place] for place in places]


def joined(*parts: Answered) -> Answered:
    """Rows one behind the other."""
    columns = []
    for field in fields(Traffic):
        values = [getattr(part.traffic, field.name) for part in parts]
        columns.append(
            np.concatenate(values) if isinstance(values[0], np.ndarray) else [one for value in values for one in value]
        )
    return Answered(
        [row for part in parts for row in part.rows], Traffic(*columns), np.concatenate([p.right for p in parts])
    )


def answered(predictor: Predictor, file: str) -> Answered:
    """A file's rows, answered. Where the model does not know their labels, no answer is right."""
    with open(file, encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    known = {row["label"] for row in rows} <= set(predictor.labels)
    found = list(predictor.answers(Example(str(n), {"text": row["text"]}) for n, row in enumerate(rows)))
    if known:
        found = [(_labelled(item, row["label"]), said) for (item, said), row in zip(found, rows, strict=True)]
    right = [float(known and said.given[0] == item.example.label) for item, said in found]
    return Answered(found, traffic_of(predictor.bundle.task, found), np.array(right))


def _labelled(item: Inferred, label: str) -> Inferred:
    return replace(item, example=replace(item.example, label=label))


def watched(usual: reference.Reference, stream: Answered, changed_from: int) -> list[dict]:
    """One stream, a window at a time until rows are exchanged, then the rest: was there an alarm, after how many rows, and how
    far off was the newest estimate."""
    monitor, found = Monitor(usual, WATCHING), []
    edges = [*range(WATCHING.window, changed_from + 1, WATCHING.window)]
    if not edges or edges[-1] < changed_from:
        edges.append(changed_from)
    if changed_from < len(stream.right):
        edges.append(len(stream.right))
    looks = list(monitor.add(stream.traffic))
    for start, stop in zip([0, *edges], edges, strict=False):
        own = [look for look in looks if start < look.first + look.rows <= stop]
        look = own[-1]
        truth = stream.right[look.first : look.first + look.rows].mean()
        alarms = [look.first + look.rows - start for look in own if look.alarms]
        found.append(
            {
                "after": alarms[0] if alarms else None,
                "error": look.estimate.value - truth,
                "told": not look.doubts,
                "held": look.estimate.low <= truth <= look.estimate.high,
            }
        )
    return found


def summary(windows: list[dict], before: list[dict]) -> dict:
    """Windows together, and the stretches before any row was exchanged (none: nothing is)."""
    errors = np.abs([one["error"] for one in windows])
    told = np.array([one["told"] for one in windows])
    after = [one["after"] for one in windows if one["after"] is not None]
    if before:
        found = {
            "streams": len(windows),
            "alarms": sum(one["after"] is not None for one in before),
            "caught": len(after),
        }
        found["median_rows"] = float(np.median(after)) if after else None
    else:
        found = {"windows": len(windows), "alarms": len(after)}
    return {
        **found,
        "mean_error": float(errors.mean()),
        "within_3_points": float(np.mean(errors <= 0.03)),
        "interval_holds": float(np.mean([one["held"] for one in windows])),
        "told_to_hold": float(told.mean()),
        "held_within_3_points": float(np.mean(errors[told] <= 0.03)) if told.any() else None,
    }


def alike(task, pool: Answered, size: int, random: np.random.Generator) -> dict:
    """Windows of rows drawn like the reference."""
    found = []
    while len(found) < WINDOWS:
        order = random.permutation(len(pool.right))
        usual = reference.learn(task, pool.take(order[:size]).rows)
        rest = order[size:]
        for start in range(0, min(len(rest) - STREAM + 1, 5 * STREAM), STREAM):
            found += watched(usual, pool.take(rest[start : start + STREAM]), STREAM)
    return summary(found[:WINDOWS], [])


def split(usual, test: Answered, random: np.random.Generator) -> dict:
    """Windows of rows from a file of its own."""
    draws = (random.choice(len(test.right), WATCHING.window, replace=False) for _ in range(WINDOWS))
    return summary([watched(usual, test.take(places), WATCHING.window)[0] for places in draws], [])


def shifted(task, pool: Answered, size: int, exchange: Callable[[int], Answered], random: np.random.Generator) -> dict:
    """Streams of rows like the reference, of which from somewhere on a share is exchanged."""
    before_it, after_it = [], []
    for _ in range(STREAMS):
        order = random.permutation(len(pool.right))
        usual, rest = reference.learn(task, pool.take(order[:size]).rows), order[size:]
        before = int(random.integers(300, 400))
        kept, new = pool.take(random.choice(rest, before + 350, replace=False)), exchange(150)
        mixed = np.concatenate([np.arange(before), before + random.permutation(500)])
        *early, late = watched(usual, joined(kept, new).take(mixed), before)
        before_it += early
        after_it.append(late)
    return summary(after_it, before_it)


def measure(run: str, labelled: list[str], others: list[str]) -> dict:
    """Everything about one bundle. labelled: files with its labels."""
    predictor, random = Predictor(open_bundle(run)), np.random.default_rng(0)
    task = predictor.bundle.task
    known = [answered(predictor, file) for file in labelled]
    pool = joined(*known)
    size = min(sum(len(one.right) for one in known[:2]), len(pool.right) - STREAM)
    labels = np.array([item.example.label for item, _ in pool.rows])
    names, counts = np.unique(labels, return_counts=True)
    accuracy = [pool.right[labels == name].mean() for name in names]
    usual = reference.learn(task, joined(*known[:-1]).rows)
    told = {
        "bundle": Path(run).name,
        "usual_rows": size,
        "accuracy": float(pool.right.mean()),
        "reference_kb": len(json.dumps(jsonable(usual.to_dict()))) / 1024,
        "alike": alike(task, pool, size, random),
        "as split": split(usual, known[-1], random),
    }
    extremes = dict.fromkeys((names[np.argmin(accuracy)], names[np.argmax(counts)]))
    for name in names if len(names) == 2 else extremes:
        places = np.flatnonzero(labels == name)
        told[f"30% label {name}"] = shifted(
            task, pool, size, lambda n, p=places: pool.take(random.choice(p, n)), random
        )
    for file in others:
        rows = answered(predictor, file)
        told[f"30% {Path(file).parent.name}/{Path(file).stem}"] = shifted(task, pool, size, lambda n, r=rows: r.take(random.choice(len(r.right), n)), random)  # fmt: skip
    return told


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("validation")
    parser.add_argument("test")
    parser.add_argument("others", nargs="*")
    parser.add_argument("--unseen", help="labelled rows that the bundle was neither trained nor measured on")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    labelled = [given.validation, given.test, *([given.unseen] if given.unseen else [])]
    told = measure(given.run, labelled, given.others)
    print(json.dumps(told, indent=2, ensure_ascii=False))
    if given.out:
        write_json(given.out, told)


if __name__ == "__main__":
    main()
