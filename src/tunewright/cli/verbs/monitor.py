"""Say whether rows are still like those a bundle was measured on, and how many of its answers to them are right. No labels are needed.

ROWS is anything that `predict` reads. They are answered in their order and compared, a window at a time, with what was
usual of the answers to validation and test rows: labels given, how sure answers are, length, unknown characters, wording,
and where the network puts texts. Each window has a p-value a signal, and an estimated share of right answers. The alarm is
raised, with exit code 2, where a p-value, or all of them together, is too small for chance; --level is shared by all windows
and signals, so that rows without a change raise a false alarm no more often.

The estimate holds as long as scores go on to mean what they meant: for other shares of what is known already, not for texts
of a kind that the model has never seen. Where wording or characters raise the alarm, it is
an upper bound, and is said to be one.

Examples:

  tunewright monitor runs/first new.csv

  tunewright monitor runs/first/bundle new.csv --window 1000 --json

  tunewright monitor runs/first new.csv --reference last_month.csv
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tunewright.cli import output
from tunewright.core.errors import plural
from tunewright.monitor.watching import FILE_WINDOW, Watching

if TYPE_CHECKING:
    from tunewright.core.progress import Progress
    from tunewright.monitor.offline import Monitored
    from tunewright.monitor.windows import Look
    from tunewright.predict.predictor import Predictor
    from tunewright.predict.stream import Stream

REFUSED = 2


def command(
    bundle: Path = typer.Argument(metavar="BUNDLE", help="A bundle, or the run that holds it."),
    rows: str = typer.Argument(metavar="ROWS", help="The rows to look at: a file, or - for standard input."),
    reference: str = typer.Option(
        None,
        "--reference",
        metavar="FILE",
        help="Rows that are usual, in place of those the bundle was measured on. Labels are used where they have some.",
    ),
    window: int = typer.Option(FILE_WINDOW, "--window", min=50, help="Rows that are compared at a time."),
    level: float = typer.Option(
        Watching.level, "--level", min=1e-6, max=0.5, help="How often rows without a change may raise an alarm."
    ),
    column: list[str] = output.COLUMN,
    runtime: str = typer.Option("auto", "--runtime", metavar="NAME", help="What computes, as for `predict`."),
    variant: str = output.VARIANT,
    quiet: bool = output.QUIET,
    json: bool = output.JSON,
) -> int:
    from tunewright.core.bundle import open_bundle
    from tunewright.predict.source import parse_columns

    opened = open_bundle(bundle, variant)
    columns = parse_columns(column or (), opened.task)
    progress = output.progress(quiet)
    from tunewright.monitor import offline
    from tunewright.monitor.reference import of_bundle
    from tunewright.predict.predictor import Predictor

    usual = of_bundle(opened) if reference is None else None
    predictor = Predictor(opened, runtime)
    if predictor.note:
        progress.say(predictor.note)
    if usual is None:
        usual = offline.learn(_stream(predictor, reference, columns, progress, labelled=True), predictor, progress)
    stream = _stream(predictor, rows, columns, progress)
    found = offline.monitor(stream, predictor, usual, Watching(window=window, level=level), progress)
    if json:
        output.emit(found.to_dict())
    else:
        if not quiet:
            _tell(found, stream.tally.examples)
        print("alarm" if found.alarm else "as usual")
    return REFUSED if found.alarm else 0


def _stream(
    predictor: Predictor, rows: str, given: Mapping[str, str], progress: Progress, labelled: bool = False
) -> Stream:
    """The rows of a file, or of standard input, ready to be answered; with their labels where they are wanted and there."""
    from tunewright.predict.source import choose_columns, open_input
    from tunewright.predict.stream import Stream

    task, trained = predictor.bundle.task, predictor.bundle.recipe.data.columns
    source = open_input(rows, task.inputs[0], progress)
    with_target = labelled and all(trained.get(role) in source.columns for role in task.targets)
    columns, notes = choose_columns(source, task, given, trained, with_target=with_target)
    for note in (*source.notes, *notes):
        progress.say(note)
    return Stream(predictor, source, columns)


def _tell(found: Monitored, problems: Sequence[str]) -> None:
    from tunewright.core import catalog
    from tunewright.monitor.windows import TOGETHER
    from tunewright.stages.report import formats

    output.say(f"\nCompared with {plural(found.usual, 'usual row')}, window by window:")
    cells = []
    for signal in found.looks[0].drifts:
        name = catalog.name_of(signal)
        look = _least(found, name)
        distance = formats.percent(look.drifts[signal].distance)
        cells.append([_shown(name), _p(look.tests[name]), _rows(look), distance, _alarms(found, name)])
    look = _least(found, TOGETHER)
    cells.append([_shown(TOGETHER), _p(look.tests[TOGETHER]), _rows(look), "-", _alarms(found, TOGETHER)])
    output.table(["signal", "least p", "in rows", "distance", "alarms"], cells)
    output.say()
    cells = []
    for look in found.looks:
        estimate = look.estimate
        value, between = (
            ("-", "-")
            if estimate is None
            else (formats.percent(estimate.value), formats.between(estimate.to_dict(), "accuracy"))
        )
        holds = "-" if estimate is None else "at most" if look.doubts else "yes"
        cells.append([_rows(look), value, between, holds, ", ".join(map(_shown, look.alarms)) or "-"])
    output.table(["rows", "estimated accuracy", "interval", "holds", "alarm"], cells)
    usual = "" if found.accuracy is None else f" Usually {formats.percent(found.accuracy)} of the answers are right."
    output.say(f"\nAn alarm is a p below {found.looks[0].limit:.2g}.{usual}")
    if any(look.doubts for look in found.looks):
        output.say("At most: texts are of another kind than usual, of which scores may say too much. Label a few rows.")
    if found.left_over:
        output.say(f"Left out at the end: {plural(found.left_over, 'row')}, too few for a window.")
    if found.problems:
        output.say(f"{plural(found.problems, 'row')} could not be answered: {problems[0]}")


def _least(found: Monitored, name: str) -> Look:
    return min(found.looks, key=lambda look: look.tests[name])


def _alarms(found: Monitored, name: str) -> str:
    return str(sum(name in look.alarms for look in found.looks))


def _shown(name: str) -> str:
    return name.replace("_", " ")


def _rows(look: Look) -> str:
    return f"{look.first + 1}–{look.first + look.rows}"


def _p(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else f"{p:.0e}"
