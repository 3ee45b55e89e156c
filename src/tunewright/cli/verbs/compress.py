"""Make a bundle smaller and faster, within a budget of loss that is proven row by row.

Passes are applied in order. After each, every validation row is answered through what will serve, and held against the
original's answer: the loss of the deciding metric with its interval, every flipped row, latency, throughput, size. A pass
that costs more than --max-loss, by the upper end of that interval, is undone, and the chain goes on without it (int8 is tried
in milder forms first); passes joined by + are judged together. Exit code 2 where none is left. The new bundle holds certificate.json and report.html with everything that was tried.

With --target the chain is looked for: passes and their settings are tried, each measured, and those gone on from that come
nearest at the least loss. Measures: p50 and p95 of one row (ms), size (MB, MiB), throughput (rows/s), speedup. What reaches
all of them at the least loss is written, and the report has everything that was tried. Exit code 2 where nothing does.

The rows are those of the run that holds the bundle. Name labelled rows as DATA where it lies elsewhere.

Examples:

  tunewright compress runs/first --passes shrink_vocabulary,int8

  tunewright compress runs/first --passes prune_layers+distill,prune_ffn+distill,int8 --max-loss 0.02 --out small

  tunewright compress runs/first --passes prune_ffn --set prune_ffn.share=0.5 --json

  tunewright compress runs/first --passes distill_static --unlabelled more.txt --max-loss 0.05

  tunewright compress runs/first --target "p95<5ms,size<20MB" --max-loss 0.03

  tunewright compress bundle labelled.csv --passes int8 --column text=content
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tunewright.cli import output

if TYPE_CHECKING:
    from tunewright.stages.compression.compress import Compressed


def command(
    bundle: Path = typer.Argument(metavar="BUNDLE", help="A bundle, or the run that holds it."),
    data: str = typer.Argument(
        None, metavar="[DATA]", help="Labelled rows to measure on. Default: the validation rows of the bundle's run."
    ),
    passes: str = typer.Option(
        "",
        "--passes",
        metavar="A,B,…",
        help="Passes in order: `tunewright list passes`. With --target: those that may be tried.",
    ),
    target: str = typer.Option(
        "", "--target", metavar="P95<5MS,…", help="What has to be reached; the passes for it are looked for."
    ),
    trials: int = typer.Option(20, "--trials", min=1, help="With --target: how many steps are tried at most."),
    max_loss: float = typer.Option(
        None,
        "--max-loss",
        min=0.0,
        help="Of the deciding metric: how much may be lost, by the upper end of its interval. Default: 0.005; with --target 0.05.",
    ),
    out: Path = typer.Option(None, "--out", help="The bundle to write: a new folder. Default: BUNDLE-compressed."),
    unlabelled: str = typer.Option(
        None,
        "--unlabelled",
        metavar="FILE",
        help="Further rows that passes learn from, as the original answers them; labels are not looked at.",
    ),
    changes: list[str] = typer.Option(
        None, "--set", metavar="PASS.SETTING=VALUE", help="A pass's setting, as prune_ffn.share=0.5. May be repeated."
    ),
    column: list[str] = output.COLUMN,
    variant: str = output.VARIANT,
    quiet: bool = output.QUIET,
    json: bool = output.JSON,
) -> None:
    from tunewright.core.bundle import open_bundle
    from tunewright.predict.source import parse_columns

    opened = open_bundle(bundle, variant)
    columns = parse_columns(column or (), opened.task)
    progress = output.progress(quiet)
    from tunewright.stages.compression import compress

    steps = compress.parse(passes, changes or ())
    out = out or compress.beside(opened, "compressed")
    given: dict[str, Any] = {"data": data, "unlabelled": unlabelled, "columns": columns, "progress": progress}
    if max_loss is not None:
        given["max_loss"] = max_loss
    if target:
        found = compress.reach(opened, target, out, steps=steps, trials=trials, **given)
    else:
        found = compress.compress(opened, steps, out, **given)
    finish(found, quiet, json)


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
    for one in found.report["targets"]:
        sign = ">" if one["more"] else "<"
        output.say(f"Target: {one['name']} {one['value']:.3g} {one['unit']}, wanted {sign} {one['limit']:.3g}.")
    output.say(f"Certificate: {found.bundle / 'certificate.json'}")
    output.say(f"Report: {found.bundle / 'report.html'}")
