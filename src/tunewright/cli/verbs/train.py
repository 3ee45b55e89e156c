"""Train, evaluate on the sealed test split, and say whether the result is better than the baselines.

Writes a run's folder: the resolved recipe, a ledger of every row, live metrics, the report and a bundle that
`tunewright predict` and plain transformers open.

Examples:

  tunewright train recipe.yaml

  tunewright train recipe.yaml --out runs/first --set train.method=lora --set train.epochs=3

  tunewright train recipe.yaml --out runs/first --resume
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import typer

from tunewright.cli import output
from tunewright.core.files import read_json


def command(
    recipe: Path = typer.Argument(metavar="RECIPE", help="The recipe, as `tunewright init` writes it."),
    out: Path = typer.Option(None, "--out", help="The run's folder. Default: runs/RECIPE-NAME."),
    resume: bool = typer.Option(False, "--resume", help="Go on with an interrupted run; the result is the same bits."),
    changes: list[str] = output.SET,
    quiet: bool = output.QUIET,
    json: bool = output.JSON,
) -> None:
    from tunewright.core.recipe_file import load

    loaded = load(recipe, changes or ())
    progress = output.progress(quiet)
    from tunewright.engine.local import train

    outcome = train(loaded, out=out, name=recipe.stem, resume=resume, command=output.command_line(), progress=progress)
    if json:
        output.emit(dataclasses.asdict(outcome))
        return
    if not quiet:
        output.say()
        output.say(read_json(outcome.run / "verdict.json")["sentence"]["en"])  # in the terminal's language
        output.say(f"Report: {outcome.run / 'report.html'}")
        output.say(f"Bundle: {outcome.bundle}")
    print(outcome.verdict)
