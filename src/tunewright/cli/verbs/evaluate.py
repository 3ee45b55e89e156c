"""Measure a bundle on labelled rows: metrics with their intervals, and in slices.

DATA is any file that `train` reads, with a column of labels. Rows that cannot be judged (no text, no label) are left
out and counted. Prints every metric with the interval that holds the true value with 95% confidence (the recipe's
evaluate.confidence), and the deciding metric by text length and by the columns named with --slice. With --rerank the
documents of a search are put into the order that a second bundle gives them, and measured with that and without: is it
better, no measurable gain, or worse?

Examples:

  tunewright evaluate runs/first/bundle test.csv

  tunewright evaluate runs/first/bundle test.csv --slice channel --column text=content --column label=tag --json

  tunewright evaluate runs/first/bundle test.csv --robustness

  tunewright evaluate runs/first/bundle comments.csv --bias identity_terms.txt

  tunewright evaluate runs/faq test.csv --rerank runs/reranker
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tunewright.cli import output
from tunewright.core.errors import listing, plural

if TYPE_CHECKING:
    from tunewright.stages.evaluate import Evaluation
    from tunewright.stages.rerank import Reranking

WEAKEST = 5  # labels shown
RERANKED = {
    "better": "Re-ranking is better than the search alone",
    "worse": "Re-ranking is worse than the search alone: leave it out",
    "no_gain": "Re-ranking brings no measurable gain over the search alone",
}


def command(
    bundle: Path = typer.Argument(metavar="BUNDLE", help="A bundle, or the run that holds it."),
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
    variant: str = output.VARIANT,
    rerank: Path = output.RERANK,
    rerank_label: str = output.RERANK_LABEL,
    rerank_depth: int = output.RERANK_DEPTH,
    quiet: bool = output.QUIET,
    json: bool = output.JSON,
) -> None:
    from tunewright.core.bundle import open_bundle
    from tunewright.predict.source import parse_columns
    from tunewright.stages import bias as bias_stage

    opened = open_bundle(bundle, variant)
    columns = parse_columns(column or (), opened.task)
    terms = bias_stage.read_terms(bias) if bias else ()
    progress = output.progress(quiet)
    from tunewright.predict.predictor import Predictor
    from tunewright.stages import noise
    from tunewright.stages import rerank as rerank_stage
    from tunewright.stages.evaluate import evaluate, labelled, trained_on

    predictor = output.reranked(Predictor(opened), rerank, rerank_label, rerank_depth, progress)

    if warning := trained_on(opened, data):
        progress.say(warning)
    trained = opened.recipe.data.columns
    with labelled(data, opened.task, opened.labels, columns=columns, trained=trained, progress=progress) as dataset:
        for note in dataset.notes:
            progress.say(str(note))
        found, judged = evaluate(predictor, dataset, slices=slice or (), progress=progress)
        more: dict[str, Any] = {}
        if robustness:
            more["robustness"] = noise.measure(predictor, judged, progress)
        if bias:
            more["bias"] = bias_stage.measure(opened, judged, terms)
    reranking = rerank_stage.measure(predictor, judged, list(found.intervals)) if rerank else None
    if json:
        output.emit({**found.to_dict(), **more, **({"reranked": reranking.to_dict()} if reranking else {})})
        return
    if not quiet:
        _tell(found, opened.recipe.evaluate.confidence)
        _tell_reranking(reranking)
        _tell_robustness(more.get("robustness", {}), found.metric)
        _tell_bias(more.get("bias", {}), found.metric)
    print(f"{found.metric} {found.metrics[found.metric]:.4f}")


def _tell(found: Evaluation, confidence: float) -> None:
    from tunewright.stages.report import formats

    left_out = f"; left out: {output.counts(found.dropped)}" if found.dropped else ""
    output.say(f"\n{plural(found.n, 'row')} judged{left_out}.")
    if found.test_uses:
        output.say(
            f"This is the sealed test split of a run. It has now been used {found.test_uses} times; "
            "each use makes a lucky result more likely."
        )
    rows = [[name, *_measured(part, name)] for name, part in found.intervals.items()]
    if "ece" in found.metrics:
        rows.append(["ece", formats.percent(found.metrics["ece"]), "mean distance of scores from the truth; 0 is best"])
    output.table(["metric", "value", f"{confidence:.0%} interval"], rows)
    for name, parts in found.slices.items():
        output.say()
        cells = [[part["slice"], str(part["n"]), *_measured(part, found.metric)] for part in parts]
        output.table([name + (" (tokens)" if name == "length" else ""), "rows", found.metric, "interval"], cells)
    _tell_weakest(found.metrics.get("per_class", {}))
    if found.accepted:
        share, wrong = (formats.percent(found.accepted[key]) for key in ("coverage", "error"))
        error = "" if found.accepted["error"] is None else f", and {wrong} of those are wrong"
        output.say(f"\nThe bundle's policy answers {share} of the rows{error}.")


def _tell_reranking(found: Reranking | None) -> None:
    from tunewright.stages.report import formats

    if found is None:
        return
    by, changed = found.about["by"], plural(found.changed, "row")
    output.say(
        f"\nThe measures are those of documents re-ranked by {by}; {changed} got another first one than by the search alone."
    )
    rows = []
    for name, gain in found.gains.items():
        alone, after = (formats.measure(value, name) for value in (gain.search, gain.search + gain.difference.value))
        rows.append([name, alone, after, _points(gain.difference.to_dict())])
    output.table(["metric", "search alone", "re-ranked", "difference in points"], rows)
    output.say(f"{RERANKED[found.verdict]}, by {found.metric}.")


def _tell_weakest(labels: Mapping[str, Mapping[str, float]]) -> None:
    from tunewright.stages.report import formats

    if not labels:
        return
    weakest = sorted((item for item in labels.items() if item[1]["support"]), key=lambda item: item[1]["f1"])[:WEAKEST]
    cells = [
        [name, str(part["support"]), *(formats.percent(part[key]) for key in ("precision", "recall", "f1"))]
        for name, part in weakest
    ]
    if len(labels) > WEAKEST:
        output.say(f"\nThe {WEAKEST} weakest of {len(labels)} labels:")
    else:
        output.say()
    output.table(["label", "rows", "precision", "recall", "f1"], cells)


def _tell_robustness(found: Mapping[str, Mapping[str, Any]], metric: str) -> None:
    from tunewright.stages.report import formats

    if found:
        output.say(f"\nWhat noise does to {metric} (in points):")
        cells = [
            [name, formats.percent(part["changed"]), _points(part), str(part["flips"])] for name, part in found.items()
        ]
        output.table(["noise", "rows changed", "difference", "answers that flip"], cells)


def _tell_bias(found: Mapping[str, Any], metric: str) -> None:
    if not found:
        return
    background, rows = found["background"], plural(found["background"]["n"], "row")
    mention = "mentions" if background["n"] == 1 else "mention"
    output.say(f"\n{rows} {mention} none of the terms: {metric} {_measured(background, metric)[0]}.")
    cells = [
        [
            part["term"],
            str(part["n"]),
            _measured(part, metric)[0],
            _points(part["difference"]),
            _gap(part["largest_gap"]),
        ]
        for part in found["terms"]
    ]
    output.table(["term", "rows", metric, "in points", "largest gap of an error rate"], cells)
    if found["absent"]:
        output.say(f"In no row: {listing(found['absent'])}.")


def _gap(gap: Mapping[str, Any] | None) -> str:
    from tunewright.stages.bias import TOO_FEW
    from tunewright.stages.report import formats

    if gap is None:
        return TOO_FEW
    what = {"false_positive_rate": "false", "false_negative_rate": "missed"}[gap["rate"]]
    return f"{what} {gap['label']}: {formats.percent(gap['value'])}, else {formats.percent(gap['background'])}"


def _measured(part: Mapping[str, float], metric: str) -> tuple[str, str]:
    """A value and its interval, as the report has them: "91.2%", "90.2–92.1%"."""
    from tunewright.stages.report import formats

    return formats.measure(part["value"], metric), formats.between(part, metric)


def _points(part: Mapping[str, float]) -> str:
    value, low, high = (100 * part[key] + 0.0 for key in ("value", "low", "high"))
    return f"{value:+.1f} ({low:+.1f} to {high:+.1f})"
