"""Put several bundles that were tuned from one backbone into one, which holds the backbone once.

Each bundle becomes a variant with its own adapter, head, labels, task and policy; one is chosen where the bundle is
opened, with --variant. What is the same in all lies once; of merged adapters what they add is kept, and the weights come
back bit for bit. Outputs are compared with those of the single bundles, which stay as they are.

Examples:

  tunewright combine runs/intents runs/sentiment --out both

  tunewright combine runs/a/bundle runs/b/bundle --out both --name intents --name sentiment --default intents

  tunewright predict both new.csv --variant sentiment
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tunewright.cli import output

if TYPE_CHECKING:
    from tunewright.stages.combine import Combined


def command(
    bundles: list[Path] = typer.Argument(
        metavar="BUNDLE...", help="Bundles, or the runs that hold them; one with variants brings all of them."
    ),
    out: Path = typer.Option(..., "--out", help="The bundle to write: a new folder."),
    name: list[str] = typer.Option(
        None, "--name", help="What a variant is called; one for each bundle, in order. Default: as its run."
    ),
    default: str = typer.Option(
        None, "--default", metavar="NAME", help="The variant that is opened where none is named. Default: none."
    ),
    quiet: bool = output.QUIET,
    json: bool = output.JSON,
) -> None:
    progress = output.progress(quiet)
    from tunewright.stages.combine import combine

    found = combine(bundles, out, names=name or (), default=default, progress=progress)
    if json:
        output.emit(found.to_dict())
        return
    if not quiet:
        _tell(found)
    print(found.bundle)


def _tell(found: Combined) -> None:
    from tunewright.stages.combine import megabytes

    kinds = ("same", "changed", "whole")
    cells = [
        [
            name,
            f"{megabytes(said['bytes'])} MB",
            *(str(said["tensors"][kind]) for kind in kinds),
            f"{said['parity']['checks'][0]['value']:.1e}",
        ]
        for name, said in found.variants.items()
    ]
    output.say()
    output.table(["variant", "of its own", *(f"tensors {kind}" for kind in kinds), "off by"], cells)
    output.say(f"{megabytes(found.bytes)} MB in all; as single bundles {megabytes(found.apart)} MB.")
    for name, said in found.variants.items():
        runtime = said["runtime"]
        if "lacks" in runtime:
            output.say(f"{name}: its runtime {runtime['name']} cannot run it here ({runtime['lacks']}).")
        elif runtime["flips"]:
            output.say(
                f"{name}: {runtime['flips']} answers of random texts differ through its runtime {runtime['name']}."
            )
