"""Look before training: what is wrong with the data, whether the machine suffices, how long it will take.

Ends with exit code 2 when something is found that the recipe refuses, as `refuse: [leakage, conflicts]` under data.
Nothing is written.

Examples:

  tunewright check recipe.yaml

  tunewright check recipe.yaml --deep --set data.refuse=[leakage,label_spelling]
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tunewright.cli import output
from tunewright.core.errors import plural

if TYPE_CHECKING:
    from tunewright.data.checks import Finding
    from tunewright.stages.check import Checked

PARTS = {
    "data": "reading and checking",
    "augmenting": "changed copies of training rows",
    "starting": "opening the network",
    "head": "the head's start",
    "tokenizing": "tokenizing",
    "embedding": "embedding with the frozen backbone",
    "training": "training",
    "evaluation": "evaluating",
    "baselines": "baselines",
    "saving": "saving",
}


def command(
    recipe: Path = typer.Argument(metavar="RECIPE", help="The recipe, as `tunewright init` writes it."),
    deep: bool = typer.Option(False, "--deep", help="Look at all rows, and for labels that a model doubts. Slower."),
    changes: list[str] = output.SET,
    quiet: bool = output.QUIET,
    json: bool = output.JSON,
) -> int:
    from tunewright.core.recipe_file import load

    loaded = load(recipe, changes or ())
    progress = output.progress(quiet)
    from tunewright.stages.check import check

    checked = check(loaded, deep=deep, progress=progress)
    if not quiet:
        _show(checked)
    if not quiet or not checked.passed:  # why it was refused is no progress
        output.say(_sentence(checked, recipe, changes or ()))
    if json:
        output.emit(checked.to_dict())
    else:
        print("passed" if checked.passed else "refused")
    return 0 if checked.passed else 2


def _show(checked: Checked) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True, highlight=False)
    for note in checked.notes:
        console.print(Text(f"· {note}"), soft_wrap=True)
    console.print()
    if checked.findings:
        console.print(_findings(checked))
        for finding in checked.findings:
            for line in _examples(finding):
                console.print(Text(line), soft_wrap=True)
        console.print()
    else:
        console.print("Nothing wrong was found in the data.\n")
    if checked.augmented:
        console.print(_copies(checked))
        console.print()
    console.print(_costs(checked))


def _copies(checked: Checked) -> object:
    from rich.table import Table
    from rich.text import Text

    from tunewright.data.checks import one_line

    title = "Copies that training would see as well (data.augment)"
    table = Table("by", "row", "changed", title=title, title_justify="left", padding=(0, 1, 0, 0), show_edge=False)
    for copy in checked.augmented:
        table.add_row(copy["by"], *(Text(one_line(copy[side].values(), most=200)) for side in ("from", "to")))
    return table


def _examples(finding: Finding) -> list[str]:
    return [f"{finding.kind}:", *(f"  {example}" for example in finding.examples)] if finding.examples else []


def _findings(checked: Checked) -> object:
    from rich.table import Table
    from rich.text import Text

    colours = {"refused": "bold red", "error": "red", "warning": "yellow", "note": "default"}
    table = Table(title="The data", title_justify="left", padding=(0, 1, 0, 0), show_edge=False)
    for name, settings in {"": {}, "found": {"no_wrap": True}, "count": {"justify": "right"}, "what it is": {}}.items():
        table.add_column(name, **settings)
    refused = {finding.kind for finding in checked.refused}
    for finding in checked.findings:
        level = "refused" if finding.kind in refused else finding.severity
        row = (Text(level, style=colours[level]), finding.kind, f"{finding.count:,}", Text(str(finding.message)))
        table.add_row(*row)
    return table


def _costs(checked: Checked) -> object:
    from rich.table import Table

    expected = checked.estimate
    table = Table("", "needed", "there", title="This machine", title_justify="left", show_edge=False)
    for made in checked.machine.checks:
        mark = "" if made.passed else "  too little"
        if made.name.startswith("packages"):
            table.add_row("packages", str(made.why), "" if made.passed else "missing")
        else:
            name, _, unit = made.name.partition(", ")
            table.add_row(name, f"about {made.value:,.0f} {unit}", f"{made.limit:,.0f} {unit} {made.why}{mark}")
    for part, seconds in expected.parts.items():
        if seconds >= 0.5:
            table.add_row(f"time for {PARTS[part]}", duration(seconds), "")
    how = f"{plural(expected.steps, 'step')} in {expected.precision} on {expected.device}, as busy as it is now"
    table.add_row("time in all, at most", duration(expected.seconds), how)
    return table


def _sentence(checked: Checked, recipe: Path, changes: Sequence[str]) -> str:
    expected = checked.estimate
    cost = f"about {duration(expected.seconds)} and {expected.memory_mb / 1024:.1f} GiB of memory"
    if checked.refused:
        kinds = ", ".join(sorted({finding.kind for finding in checked.refused}))
        return f"Refused: data.refuse names {kinds}, and the data has it. Mend the data, or change data.refuse."
    worst = "; ".join(f"not enough: {made.name}" for made in checked.machine.failed)
    short = f" But {worst}." if worst else ""
    following = shlex.join(["tunewright", "train", str(recipe), *(w for change in changes for w in ("--set", change))])
    return f"Passed. Training takes at most {cost}.{short} Next: {following}"


def duration(seconds: float) -> str:
    """Seconds as people say them: "40 s", "12 min", "3.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
