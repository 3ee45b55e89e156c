"""Hold one bundle against another on the same labelled rows: is B better than A, and which answers change?

The verdict on B is better, no_gain or worse, by the paired interval of the difference in the deciding metric. Every
row whose answer changes is listed: fixed (only B is right), broken (only A was right) or changed (neither is).

Examples:

  tunewright compare runs/first/bundle runs/second/bundle test.csv

  tunewright compare runs/first/bundle runs/second/bundle test.csv --json

  tunewright compare both/variants/small both/variants/large test.csv
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tunewright.cli import output
from tunewright.core.errors import plural

if TYPE_CHECKING:
    from tunewright.stages.compare import Comparison

SHOWN = 10  # flips of each kind; --json gives all
WIDEST = 70  # characters of a text
SENTENCES = {
    "better": "B is better than A",
    "worse": "B is worse than A",
    "no_gain": "No measurable difference between A and B",
}


def command(
    a: Path = typer.Argument(metavar="A", help="The bundle (or run) that is there."),
    b: Path = typer.Argument(metavar="B", help="The bundle (or run) that might take its place."),
    data: str = typer.Argument(metavar="DATA", help="Labelled rows: a file, or whatever else `train` reads."),
    column: list[str] = output.COLUMN,
    quiet: bool = output.QUIET,
    json: bool = output.JSON,
) -> None:
    from tunewright.core.bundle import open_bundle
    from tunewright.predict.source import parse_columns

    opened = open_bundle(a), open_bundle(b)
    columns = parse_columns(column or (), opened[1].task)
    progress = output.progress(quiet)
    from tunewright.stages.compare import compare

    found = compare(*opened, data, columns=columns, progress=progress)
    if json:
        output.emit(found.to_dict())
        return
    if not quiet:
        _tell(found)
    print(found.verdict)


def _tell(found: Comparison) -> None:
    from tunewright.stages.report import formats

    difference, metric = found.difference, found.difference.metric
    output.say()
    for name in ("a", "b"):
        value = formats.measure(found.metrics[name][metric], metric)
        output.say(f"{name.upper()}: {metric} {value} on {plural(found.n, 'row')}")
    if found.dropped:
        output.say(f"Left out: {output.counts(found.dropped)}")
    if found.test_uses:
        output.say(f"This is a sealed test split. It has now been used {found.test_uses} times.")
    output.say(
        f"{SENTENCES[found.verdict]}: {_points(difference.value)} points of {metric} "
        f"({found.confidence:.0%} interval {_points(difference.low)} to {_points(difference.high)})."
    )
    output.say(_changes(len(found.flips), found.counts))
    for kind in ("broken", "fixed", "changed"):
        _tell_flips(kind, [flip for flip in found.flips if flip["kind"] == kind])


def _changes(flips: int, counts: Mapping[str, int]) -> str:
    if not flips:
        return "No answer changes."
    return (
        f"{plural(flips, 'answer')} change{'s' if flips == 1 else ''}: {counts['fixed']} fixed, "
        f"{counts['broken']} broken, {counts['changed']} changed from one error to another."
    )


def _tell_flips(kind: str, flips: list[Mapping[str, Any]]) -> None:
    if not flips:
        return
    more = f" (the first {SHOWN} of {len(flips)}; --json gives all)" if len(flips) > SHOWN else ""
    output.say(f"\n{kind.capitalize()}{more}:")
    for flip in flips[:SHOWN]:
        gold, before, after = (_name(flip[key]) for key in ("gold", "a", "b"))
        output.say(f"  {flip['id']}  {before} → {after}" + (f"  (label: {gold})" if kind == "changed" else ""))
        output.say(f"    {_short(flip['text'])}")


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= WIDEST else text[: WIDEST - 1] + "…"


def _name(answer: Any) -> str:
    return ", ".join(map(str, answer)) if isinstance(answer, list) else str(answer)


def _points(share: float) -> str:
    return f"{100 * share + 0.0:+.1f}"
