"""Look at data, say what is seen, and write a complete recipe with every default and its reason.

The data may be a CSV, TSV, JSONL, JSON, Parquet or CoNLL file, a folder with one folder per label, a saved `datasets`
folder, or a hub id. What is not given is guessed, and said.

Examples:

  tunewright init reviews.csv

  tunewright init train.csv --test test.csv --out recipes/intents.yaml

  tunewright init posts.jsonl --set data.columns.text=body --set data.columns.label=topic
"""

from __future__ import annotations

import os
from pathlib import Path

import typer

from tunewright.cli import output


def command(
    train: str = typer.Argument(metavar="TRAIN", help="The labelled rows to learn from."),
    validation: str = typer.Option(None, "--validation", help="Rows to choose epochs by. Default: cut from TRAIN."),
    test: str = typer.Option(None, "--test", help="Rows for the verdict alone. Default: cut from TRAIN."),
    task: str = typer.Option(
        None, "--task", help="What is predicted; `tunewright list tasks` names them. Default: guessed."
    ),
    out: Path = typer.Option(Path("recipe.yaml"), "--out", help="The recipe to write."),
    force: bool = typer.Option(False, "--force", help="Replace a recipe that is there already."),
    changes: list[str] = output.SET,
    quiet: bool = output.QUIET,
    json: bool = output.JSON,
) -> None:
    from tunewright.stages import init

    if os.path.exists(train):  # a name that is no file is told first, by `look`
        init.refuse_taken(out, force=force)
    progress = output.progress(quiet)
    seen = init.look(train, validation=validation, test=test, task=task, changes=changes or (), progress=progress)
    init.write(seen, out, force=force)
    for note in seen.notes:
        progress.say(note)
    if json:
        output.emit(_answer(seen, out))
        return
    if not quiet:
        output.say(f"\nWrote {out}. Next: tunewright check {out}, then tunewright train {out}")
    print(out)


def _answer(seen, out: Path) -> dict:
    from tunewright.core import catalog

    return {
        "recipe": out,
        "task": catalog.name_of(seen.recipe.task),
        "multi_label": seen.recipe.task.multi_label,
        "labels": sorted(seen.labels),
        "label_counts": seen.labels,
        "columns": seen.columns,
        "rows": seen.rows,
        "language": seen.language,
        "lengths": seen.lengths,
        "backbone": seen.recipe.model.backbone,
        "notes": seen.notes,
    }
