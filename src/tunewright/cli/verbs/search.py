"""Try values of recipe keys on training and validation rows, and write out the best recipe.

What is tried stands in the recipe under `search:`; without it, learning rate, batch size, method and a few more are. The
first trial has the recipe's own values. The test split stays sealed: train the best recipe for a verdict. Writes a
folder: best.yaml, search.html with what mattered, search.json and trials.csv.

Examples:

  tunewright search recipe.yaml --trials 30

  tunewright search recipe.yaml --time-limit 60 --set 'search.space.train.batch_size=[16,32,64]'

  tunewright search recipe.yaml --out searches/first --resume
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import typer

from tunewright.cli import output


def command(
    recipe: Path = typer.Argument(metavar="RECIPE", help="The recipe, as `tunewright init` writes it."),
    trials: str = typer.Option(None, "--trials", metavar="N", help="As --set search.trials=N: at most so many trials."),
    time_limit: str = typer.Option(
        None, "--time-limit", metavar="M", help="As --set search.time_limit=M: minutes after which no trial begins."
    ),
    out: Path = typer.Option(None, "--out", help="The search's folder. Default: searches/RECIPE-NAME."),
    resume: bool = typer.Option(
        False, "--resume", help="Go on with an interrupted search, or with more --trials; what is done counts."
    ),
    changes: list[str] = output.SET,
    quiet: bool = output.QUIET,
    json: bool = output.JSON,
) -> None:
    from tunewright.core.recipe_file import load

    given = {"search.trials": trials, "search.time_limit": time_limit}
    loaded = load(recipe, [*(changes or ()), *(f"{key}={value}" for key, value in given.items() if value is not None)])
    progress = output.progress(quiet)
    from tunewright.engine.search import search

    found = search(loaded, out=out, name=recipe.stem, resume=resume, command=output.command_line(), progress=progress)
    if json:
        output.emit(dataclasses.asdict(found))
        return
    if not quiet:
        output.say()
        output.say(found.sentence["en"])
        output.say(f"Page: {found.search / 'search.html'}")
        output.say(f"Next: tunewright train {found.best}")
    print(found.best)
