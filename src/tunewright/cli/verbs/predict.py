"""Answer every row of a file, or of standard input.

INPUT is a .csv, .tsv, .jsonl, .json, .parquet or .txt file of any size (at constant memory), or `-` for standard input:
one text a line, or one JSON object a line. Each answer keeps the input's columns in their order and adds label, score
(the calibrated probability), decision (model, abstain, or parent where only an upper level of the label is sure enough)
and truncated_tokens. A column of yours that has one of these names is kept as input_NAME. A row that cannot be answered
stays in its place with decision "error" and the reason in `error`.

With --rerank a second bundle (sentence_pair) judges the query with each of the nearest documents, and puts them in order:
score is then the probability it gives to --rerank-label, search_score and search_rank are what the search alone says of
the same document.

Answers go to standard output, one JSON object a line, or to a .jsonl, .csv or .tsv file with --out. With --json one
object is printed: a summary with the number of rows, labels and problems, and without --out all answers, as
`predictions`.

Examples:

  tunewright predict runs/first/bundle new.csv --out answers.csv

  tunewright predict runs/first/bundle new.csv --column content --all-scores --out answers.jsonl

  echo "I lost my card" | tunewright predict runs/first/bundle -

  tunewright predict runs/faq/bundle questions.csv --rerank runs/reranker/bundle
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tunewright.cli import output
from tunewright.core.errors import plural
from tunewright.core.progress import Progress, Silent

if TYPE_CHECKING:
    from tunewright.predict.stream import Stream, Tally


def command(
    bundle: Path = typer.Argument(metavar="BUNDLE", help="A bundle, or the run that holds it."),
    input: str = typer.Argument(metavar="INPUT", help="The file to answer, or - for standard input."),
    out: Path = typer.Option(None, "--out", help="Write the answers to this .jsonl, .csv or .tsv file."),
    column: list[str] = output.COLUMN,
    all_scores: bool = typer.Option(
        False,
        "--all-scores",
        help="Add the probability of every label, as `scores`; of documents, those of the ten nearest.",
    ),
    strict: bool = typer.Option(
        False, "--strict", help="Stop with exit code 3 at the first row that cannot be answered."
    ),
    runtime: str = typer.Option(
        "auto",
        "--runtime",
        metavar="NAME",
        help="What computes: one of `tunewright list runtimes`. auto: the one chosen for the bundle.",
    ),
    variant: str = output.VARIANT,
    rerank: Path = output.RERANK,
    rerank_label: str = output.RERANK_LABEL,
    rerank_depth: int = output.RERANK_DEPTH,
    quiet: bool = output.QUIET,
    json: bool = output.JSON,
) -> None:
    from tunewright.predict import sink

    if out is not None:
        sink.ending(out)
    progress = output.progress(quiet)
    reranking = (rerank, rerank_label, rerank_depth)
    more = {"all_scores": all_scores, "strict": strict}
    stream = _open(bundle, variant, input, out, column or (), runtime, reranking, progress, **more)
    from tunewright.predict.stream import write

    if json and out is None:
        predictions = list(stream.rows(progress))
        output.emit({**stream.summary(), "out": None, "predictions": predictions})
        return
    shown: Progress = Silent() if out is None and sys.stdout.isatty() else progress
    with output.until_closed():
        write(stream, out, shown)
        if json:
            output.emit({**stream.summary(), "out": out})
            return
        if not quiet:
            _tell(stream.tally)
            if rerank is not None:
                output.say(f"{plural(stream.tally.reordered, 'row')} got another document than by the search alone.")
        if out is not None:
            print(out)


def _open(
    bundle: Path,
    variant: str | None,
    input: str,
    out: Path | None,
    words: list[str] | tuple[()],
    runtime: str,
    reranking: tuple[Path | None, str | None, int | None],
    progress: Progress,
    **settings: Any,
) -> Stream:
    """Everything that can go wrong before the first answer, cheapest first."""
    from tunewright.core.bundle import open_bundle
    from tunewright.predict.source import choose_columns, open_input, parse_columns
    from tunewright.predict.stream import Stream, refuse_same_file

    opened = open_bundle(bundle, variant)
    columns = parse_columns(words, opened.task)
    if input != "-":
        refuse_same_file(input, out)
    source = open_input(input, opened.task.inputs[0], progress)
    roles, notes = choose_columns(source, opened.task, columns, opened.recipe.data.columns)
    for note in (*source.notes, *notes):
        progress.say(note)
    from tunewright.predict.predictor import Predictor

    predictor = Predictor(opened, runtime)
    if predictor.note:
        progress.say(predictor.note)
    predictor = output.reranked(predictor, *reranking, progress)
    stream = Stream(predictor, source, roles, **settings)
    for name, kept in stream.renamed.items():
        if name in source.columns:
            progress.say(f"{source.name}: its column {name!r} is kept as {kept!r}, since the answers have a {name!r}.")
    return stream


def _tell(tally: Tally) -> None:
    rate = f" ({tally.rows / tally.seconds:,.0f} a second)" if tally.seconds >= 0.1 else ""
    output.say(f"{plural(tally.rows, 'row')} in {tally.seconds:.1f} s{rate}.")
    if tally.abstained:
        output.say(f"{plural(tally.abstained, 'row')} got a score too low for the bundle's policy (decision: abstain).")
    if tally.parents:
        output.say(f"{plural(tally.parents, 'row')} got a parent instead of a whole label (decision: parent).")
    if tally.truncated:
        output.say(
            f"{plural(tally.truncated, 'row')} held more than the model reads; truncated_tokens says by how much."
        )
    for column, rows in tally.unknown.items():
        output.say(f"{plural(rows, 'row')} held a name in {column!r} that no training row had; it counts for nothing.")
    if tally.problems:
        output.say(f"{plural(tally.problems, 'row')} could not be answered (decision: error):")
        for example in tally.examples[:3]:
            output.say(f"  {example}")
        if tally.problems > 3:
            output.say("  …")
