"""What verbs share: the one JSON object on standard output, progress for people, options that many take."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tunewright.core.errors import UsageError
from tunewright.core.files import jsonable
from tunewright.core.progress import Progress, Silent, Terminal

if TYPE_CHECKING:
    from tunewright.predict.predictor import Predictor

JSON = typer.Option(False, "--json", help="Print one JSON object, alone, on standard output.")
SET = typer.Option(
    None, "--set", metavar="KEY=VALUE", help="Override a recipe key, as --set train.epochs=3. May be repeated."
)
COLUMN = typer.Option(
    None,
    "--column",
    metavar="[ROLE=]NAME",
    help="Which column is what, as text=content. Default: as in training, or guessed.",
)
VARIANT = typer.Option(
    None,
    "--variant",
    metavar="NAME",
    help="Which one, of a bundle that holds several. Default: the bundle's, if it has one.",
)
RERANK = typer.Option(
    None,
    "--rerank",
    metavar="PAIRS",
    help="A bundle of sentence_pair that puts the documents BUNDLE finds into a better order.",
)
RERANK_LABEL = typer.Option(
    None,
    "--rerank-label",
    metavar="LABEL",
    help="Its label that says that a document answers. Default: the yes of two labels such as 1 and 0.",
)
RERANK_DEPTH = typer.Option(
    None, "--rerank-depth", metavar="N", help="How many of the nearest documents it judges: 10, or more."
)
QUIET = typer.Option(False, "--quiet", "-q", help="No progress, only the result.")


def emit(value: Any) -> None:
    """Print `value` as one JSON object; lone surrogates, as in a broken file name, become JSON's escapes."""
    print(json.dumps(jsonable(value), ensure_ascii=False).encode("utf-8", "backslashreplace").decode("utf-8"))


@contextlib.contextmanager
def until_closed() -> Iterator[None]:
    """Write to standard output for as long as somebody reads it: `| head` ends the work quietly, with exit code 0."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def say(message: str = "") -> None:
    """Print a line for people."""
    print(message, file=sys.stderr)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows for people in columns, numbers to the right; Chinese characters count as two wide."""
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    shown = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="")
    for index, name in enumerate(head):
        numbers = all(row[index].lstrip("+-").rstrip("%").replace(".", "", 1).isdigit() for row in rows)
        shown.add_column(escape(name), justify="right" if rows and numbers else "left", overflow="fold")
    for row in rows:
        shown.add_row(*map(escape, row))
    Console(stderr=True, highlight=False).print(shown)


def progress(quiet: bool) -> Progress:
    """Progress on standard error, or none."""
    quiet_environment()
    return Silent() if quiet else Terminal()


def quiet_environment() -> None:
    """Keep libraries from writing their own messages between ours."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    warnings.filterwarnings("ignore", category=FutureWarning)


def command_line() -> str:
    """The command as it was given, to repeat it."""
    return shlex.join(["tunewright", *sys.argv[1:]])


def reranked(predictor: Predictor, by: Path | None, label: str | None, depth: int | None, told: Progress) -> Predictor:
    """The predictor as --rerank, --rerank-label and --rerank-depth want it."""
    if by is None:
        if label is not None or depth is not None:
            raise UsageError(
                "--rerank-label and --rerank-depth are about a bundle that re-ranks: name it with --rerank."
            )
        return predictor
    made = predictor.reranked(by, label, **({} if depth is None else {"depth": depth}))
    if made.reranker.judge.note:  # type: ignore[union-attr]
        told.say(made.reranker.judge.note)  # type: ignore[union-attr]
    return made


def counts(reasons: Mapping[str, int]) -> str:
    """{"empty_text": 3} → "3 (empty text)"."""
    return ", ".join(f"{count} ({kind.replace('_', ' ')})" for kind, count in reasons.items())
