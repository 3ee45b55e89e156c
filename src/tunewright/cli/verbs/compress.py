"""Make a bundle smaller and faster, within a budget of loss that is proven row by row.

Passes are applied in order. After each, every validation row is answered through what will serve, and held against the
original's answer: the loss of the deciding metric with its interval, every flipped row, latency, throughput, size. A pass
that costs more than --max-loss, by the upper end of that interval, is undone, and the chain goes on without it; passes
joined by + are judged together. Exit code 2 where none is left. The new bundle holds certificate.json and report.html with everything that was tried.

The rows are those of the run that holds the bundle. Name labelled rows as DATA where it lies elsewhere.

Examples:

  tunewright compress runs/first --passes shrink_vocabulary,int8

  tunewright compress runs/first --passes prune_layers+distill,prune_ffn+distill,int8 --max-loss 0.02 --out small

  tunewright compress runs/first --passes prune_ffn --set prune_ffn.share=0.5 --json

  tunewright compress bundle labelled.csv --passes int8 --column text=content
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tunewright.cli import output
from tunewright.core.errors import UsageError

if TYPE_CHECKING:
    from tunewright.core.bundle import Bundle
    from tunewright.stages.compress import Compressed


def command(
    bundle: Path = typer.Argument(metavar="BUNDLE", help="A bundle, or the run that holds it."),
    data: str = typer.Argument(
        None, metavar="[DATA]", help="Labelled rows to measure on. Default: the validation rows of the bundle's run."
    ),
    passes: str = typer.Option(..., "--passes", metavar="A,B,…", help="Passes in order: `tunewright list passes`."),
    max_loss: float = typer.Option(
        0.005,
        "--max-loss",
        min=0.0,
        help="Of the deciding metric: how much may be lost, by the upper end of its interval.",
    ),
    out: Path = typer.Option(None, "--out", help="The bundle to write: a new folder. Default: BUNDLE-compressed."),
    changes: list[str] = typer.Option(
        None, "--set", metavar="PASS.SETTING=VALUE", help="A pass's setting, as prune_ffn.share=0.5. May be repeated."
    ),
    column: list[str] = output.COLUMN,
    variant: str = output.VARIANT,
    quiet: bool = output.QUIET,
    json: bool = output.JSON,
) -> None:
    from tunewright.core import recipe_file
    from tunewright.core.bundle import open_bundle
    from tunewright.predict.source import parse_columns

    steps = [[name.strip().replace("-", "_") for name in step.split("+")] for step in passes.split(",")]
    names = [name for step in steps for name in step]
    if not all(names):
        raise UsageError(
            f"--passes {passes!r:.80}: a name is missing. Write them as a,b+c; `tunewright list passes` has them."
        )
    chosen = iter(recipe_file.chain("passes", names, changes or (), "--passes"))
    chain = [tuple(next(chosen) for _ in step) for step in steps]
    opened = open_bundle(bundle, variant)
    columns = parse_columns(column or (), opened.task)
    progress = output.progress(quiet)
    from tunewright.stages.compress import compress

    found = compress(
        opened,
        chain,  # type: ignore[arg-type]
        out or beside(opened, "compressed"),
        data=data,
        columns=columns,
        max_loss=max_loss,
        progress=progress,
    )
    finish(found, quiet, json)


def beside(bundle: Bundle, end: str) -> Path:
    """Where the new bundle goes unless said otherwise: beside the run, or the bundle that lies in none."""
    folder = bundle.folder.absolute()
    folder = folder.parent if folder.name == "bundle" else folder
    return folder.with_name(f"{folder.name}-{end}")


def finish(found: Compressed, quiet: bool, json: bool) -> None:
    """Print where the bundle is, or all of it as JSON; before that, say what every step came to."""
    if json:
        output.emit(found.to_dict())
        return
    if not quiet:
        _tell(found)
    print(found.bundle)


def _tell(found: Compressed) -> None:
    """Say what every step came to, and where its proof lies."""
    from tunewright.stages.report import formats
    from tunewright.stages.report.compression import table

    metric = found.report["metric"]
    cells = []
    for row in table(found.report):
        loss = row["loss"]
        ends = [formats.difference(loss[key], metric) if loss else "" for key in ("value", "high")]
        cells.append(
            [
                row["name"] or "the original",
                row["kind"] if row["name"] else "",
                formats.measure(row["value"], metric),
                *ends,
                str(row["flips"]) if loss else "",
                *(f"{row[key]:.1f}" for key in ("p50", "in_bulk", "size_mb")),
            ]
        )
    output.say()
    output.table(["pass", "", metric, "loss", "at most", "flips", "p50 ms", "rows/s", "MiB"], cells)
    memory = found.report["memory_mb"]
    if all(memory.values()):
        output.say(f"Memory at most: {memory['compressed']:.0f} MiB, with the original {memory['original']:.0f} MiB.")
    output.say(f"Certificate: {found.bundle / 'certificate.json'}")
    output.say(f"Report: {found.bundle / 'report.html'}")
