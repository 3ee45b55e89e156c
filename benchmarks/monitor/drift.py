"""How soon the monitor sees a shift, how often it sees one that is not there, and how far its estimate of accuracy is off.

A bundle answers labelled validation and test rows and rows of another kind, once. Then streams are drawn from these answers:

- alike: reference and traffic are drawn from validation and test rows together, anew each time, so nothing differs;
- as split: the reference is validation, the traffic test, as the data set was cut (where its parts differ, that is seen);
- a share of rows is exchanged: for rows of one label, or for rows of another kind.

`caught` counts streams whose first alarm comes within 500 exchanged rows; `alarms` are those before any row is exchanged.

    python benchmarks/monitor/drift.py RUN VALIDATION.csv TEST.csv OTHER.csv --out results.json
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
from tunewright.core.files import write_json
from tunewright.core.types import Example
from tunewright.monitor import reference
from tunewright.monitor.traffic import traffic_of
from tunewright.monitor.watching import Watching
from tunewright.monitor.windows import Monitor
from tunewright.predict.infer import Inferred
from tunewright.predict.predictor import Predictor

WINDOWS = 200  # without a shift
STREAMS = 40  # with one
SHARE = 0.3  # of the rows that are exchanged
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


def watched(usual: reference.Reference, stream: Answered, changed_from: int) -> dict:
    """One stream: was there an alarm before the change, how many changed rows until the first after, and the estimate's error."""
    monitor, early, after, look = Monitor(usual, WATCHING), False, None, None
    for look in monitor.add(stream.traffic):
        if not look.gate(WATCHING.level, WATCHING.looks).passed:
            if look.first + look.rows <= changed_from:
                early = True
            elif after is None:
                after = look.first + look.rows - changed_from
    truth = stream.right[look.first : look.first + look.rows].mean()
    return {
        "early": early,
        "after": after,
        "error": look.estimate.value - truth,
        "held": look.estimate.low <= truth <= look.estimate.high,
    }


def summary(found: list[dict], changed: bool) -> dict:
    """Streams together."""
    errors = np.abs([one["error"] for one in found])
    told = {"streams": len(found), "alarms": sum(one["early"] for one in found)}
    if changed:
        after = [one["after"] for one in found if one["after"] is not None and one["after"] <= 500]
        told |= {"caught": len(after), "median_rows": float(np.median(after)) if after else None}
    return {**told, "mean_error": float(errors.mean()), "within_3_points": float(np.mean(errors <= 0.03)), "interval_holds": float(np.mean([one["held"] for one in found]))}  # fmt: skip


def alike(task, pool: Answered, size: int, random: np.random.Generator) -> dict:
    """Windows of rows drawn like the reference."""
    found = []
    while len(found) < WINDOWS:
        order = random.permutation(len(pool.right))
        usual = reference.learn(task, pool.take(order[:size]).rows)
        rest = order[size:]
        for start in range(0, min(len(rest) - WATCHING.window + 1, 10 * WATCHING.window), WATCHING.window):
            window = pool.take(rest[start : start + WATCHING.window])
            found.append(watched(usual, window, WATCHING.window))
    return summary(found[:WINDOWS], changed=False)


def split(usual, test: Answered, random: np.random.Generator) -> dict:
    """Windows of test rows."""
    draws = (random.choice(len(test.right), WATCHING.window, replace=False) for _ in range(WINDOWS))
    return summary([watched(usual, test.take(places), WATCHING.window) for places in draws], changed=False)


def shifted(task, pool: Answered, size: int, exchange: Callable[[int], Answered], random: np.random.Generator) -> dict:
    """Streams of rows like the reference, of which from somewhere on a share is exchanged."""
    found = []
    for _ in range(STREAMS):
        order = random.permutation(len(pool.right))
        usual, rest = reference.learn(task, pool.take(order[:size]).rows), order[size:]
        before = int(random.integers(300, 400))
        kept, new = pool.take(random.choice(rest, before + 350, replace=False)), exchange(150)
        mixed = np.concatenate([np.arange(before), before + random.permutation(500)])
        found.append(watched(usual, joined(kept, new).take(mixed), before))
    return summary(found, changed=True)


def measure(run: str, validation: str, test: str, others: list[str]) -> dict:
    """Everything about one bundle."""
    predictor, random = Predictor(open_bundle(run)), np.random.default_rng(0)
    task = predictor.bundle.task
    known = [answered(predictor, file) for file in (validation, test)]
    size, pool = len(known[0].right), joined(*known)
    size = min(size, len(pool.right) - 1000)
    labels = np.array([item.example.label for item, _ in pool.rows])
    names, counts = np.unique(labels, return_counts=True)
    accuracy = [pool.right[labels == name].mean() for name in names]
    told = {
        "bundle": Path(run).name,
        "usual_rows": size,
        "accuracy": float(pool.right.mean()),
        "alike": alike(task, pool, size, random),
        "as split": split(reference.learn(task, known[0].rows), known[1], random),
    }
    for name in dict.fromkeys((names[np.argmin(accuracy)], names[np.argmax(counts)])):
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
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    told = measure(given.run, given.validation, given.test, given.others)
    print(json.dumps(told, indent=2, ensure_ascii=False))
    if given.out:
        write_json(given.out, told)


if __name__ == "__main__":
    main()
