"""Measure a bundle on labelled rows: metrics with their intervals, and in slices.

DATA is any file that `train` reads, with a column of labels. Rows that cannot be judged (no text, no label) are left
out and counted. Prints every metric with the interval that holds the true value with 95 % confidence (the recipe's
evaluate.confidence), and the deciding metric by text length and by the columns named with --slice.

Examples:

  tunewright evaluate runs/first/bundle test.csv

  tunewright evaluate runs/first/bundle test.csv --slice channel --column text=content --column label=tag --json

  tunewright evaluate runs/first/bundle test.csv --robustness

  tunewright evaluate runs/first/bundle comments.csv --bias identity_terms.txt
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tunewright.cli import output

if TYPE_CHECKING:
    from tunewright.stages.evaluate import Evaluation

WEAKEST = 5  # labels shown


def command(
    bundle: Path = typer.Argument(help="A bundle, or the run that holds it."),
    data: str = typer.Argument(metavar="DATA", help="Labelled rows: a file, or whatever else `train` reads."),
    slice: list[str] = typer.Option(
        None, "--slice", metavar="COLUMN", help="Measure each value of a column apart. May be repeated."
    ),
    column: list[str] = output.COLUMN,
    robustness: bool = typer.Option(
        False, "--robustness", help="Measure also what typos, letter case, character width and spaces cost."
    ),
    bias: Path = typer.Option(
        None,
        "--bias",
        metavar="FILE",
        help="Measure also rows that mention a term against those that mention none; a term a line.",
    ),
    quiet: bool = output.QUIET,
    json: bool = output.JSON,
) -> None:
    from tunewright.core.bundle import open_bundle
    from tunewright.predict.source import parse_columns
    from tunewright.stages import bias as bias_stage

    opened = open_bundle(bundle)
    columns = parse_columns(column or (), opened.task)
    terms = bias_stage.read_terms(bias) if bias else ()
    progress = output.progress(quiet)
    from tunewright.predict.predictor import Predictor
    from tunewright.stages import noise
    from tunewright.stages.evaluate import evaluate, labelled

    trained = opened.recipe.data.columns
    with labelled(data, opened.task, opened.labels, columns=columns, trained=trained, progress=progress) as dataset:
        for note in dataset.notes:
            progress.say(note)
        predictor = Predictor(opened)
        found, judged = evaluate(predictor, dataset, slices=slice or (), progress=progress)
        more: dict[str, Any] = {}
        if robustness:
            more["robustness"] = noise.measure(predictor, judged, progress)
        if bias:
            more["bias"] = bias_stage.measure(opened, judged, terms)
    if json:
        output.emit({**found.to_dict(), **more})
        return
    _tell(found, opened.recipe.evaluate.confidence)
    _tell_robustness(more.get("robustness", {}), found.metric)
    _tell_bias(more.get("bias", {}), found.metric)
    print(f"{found.metric} {found.metrics[found.metric]:.4f}")


def _tell(found: Evaluation, confidence: float) -> None:
    output.say()
    output.say(
        f"{found.n} rows judged" + (f"; left out: {output.counts(found.dropped)}" if found.dropped else "") + "."
    )
    if found.test_uses:
        output.say(
            f"This is the sealed test split of a run. It has now been used {found.test_uses} times; "
            "each use makes a lucky result more likely."
        )
    rows = [[name, _share(part["value"]), _bounds(part)] for name, part in found.intervals.items()]
    if "ece" in found.metrics:
        rows.append(["ece", _share(found.metrics["ece"]), "mean distance of scores from the truth; 0 is best"])
    output.table(["metric", "value", f"{confidence:.0%} interval"], rows)
    for name, parts in found.slices.items():
        output.say()
        cells = [[part["slice"], str(part["n"]), _share(part["value"]), _bounds(part)] for part in parts]
        output.table([name + (" (tokens)" if name == "length" else ""), "rows", found.metric, "interval"], cells)
    _tell_weakest(found.metrics.get("per_class", {}))
    if found.accepted:
        error = (
            ""
            if found.accepted["error"] is None
            else f", and {output.percent(found.accepted['error'])} of those are wrong"
        )
        output.say(f"\nThe bundle's policy answers {output.percent(found.accepted['coverage'])} of the rows{error}.")


def _tell_weakest(labels: Mapping[str, Mapping[str, float]]) -> None:
    weakest = sorted((item for item in labels.items() if item[1]["support"]), key=lambda item: item[1]["f1"])[:WEAKEST]
    cells = [
        [name, str(part["support"]), *(_share(part[key]) for key in ("precision", "recall", "f1"))]
        for name, part in weakest
    ]
    if len(labels) > WEAKEST:
        output.say(f"\nThe {WEAKEST} weakest of {len(labels)} labels:")
    else:
        output.say()
    output.table(["label", "rows", "precision", "recall", "f1"], cells)


def _tell_robustness(found: Mapping[str, Mapping[str, Any]], metric: str) -> None:
    if found:
        output.say(f"\nWhat noise does to {metric} (in points):")
        cells = [
            [name, output.percent(part["changed"]), _points(part), str(part["flips"])] for name, part in found.items()
        ]
        output.table(["noise", "rows changed", "difference", "answers that flip"], cells)


def _tell_bias(found: Mapping[str, Any], metric: str) -> None:
    if not found:
        return
    output.say(
        f"\n{found['background']['n']} rows mention none of the terms: {metric} {_share(found['background']['value'])}."
    )
    cells = [
        [part["term"], str(part["n"]), _share(part["value"]), _points(part["difference"]), _gap(part["largest_gap"])]
        for part in found["terms"]
    ]
    output.table(["term", "rows", metric, "in points", "largest gap of an error rate"], cells)
    if found["absent"]:
        output.say(f"{len(found['absent'])} terms stand in no row.")


def _gap(gap: Mapping[str, Any] | None) -> str:
    if gap is None:
        return ""
    what = {"false_positive_rate": "false", "false_negative_rate": "missed"}[gap["rate"]]
    return f"{what} {gap['label']}: {_share(gap['value'])}, else {_share(gap['background'])}"


def _share(value: float) -> str:
    return f"{value:.3f}"


def _bounds(part: Mapping[str, float]) -> str:
    return f"{part['low']:.3f} to {part['high']:.3f}"


def _points(part: Mapping[str, float]) -> str:
    value, low, high = (100 * part[key] + 0.0 for key in ("value", "low", "high"))
    return f"{value:+.1f} ({low:+.1f} to {high:+.1f})"
