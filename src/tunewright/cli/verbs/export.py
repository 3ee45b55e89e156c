"""Write a bundle's network in another form, and prove that it answers as it was evaluated.

The new bundle answers from that form, in full precision. Every validation row of its run is answered by both; where one
answer flips, or a logit is off by more than 0.001, nothing is written and the exit code is 2. Formats: safetensors (in the
layout of transformers), onnx and openvino (by the extras of these names). For 8-bit integers or bf16 see `tunewright compress`.

Examples:

  tunewright export runs/first --format onnx

  tunewright export runs/first --format openvino --out served --json

  tunewright export bundle labelled.csv --format onnx --column text=content
"""

from __future__ import annotations

from pathlib import Path

import typer

from tunewright.cli import output
from tunewright.cli.verbs.compress import finish


def command(
    bundle: Path = typer.Argument(metavar="BUNDLE", help="A bundle, or the run that holds it."),
    data: str = typer.Argument(
        None, metavar="[DATA]", help="Labelled rows to prove it on. Default: the validation rows of the bundle's run."
    ),
    form: str = typer.Option(..., "--format", metavar="NAME", help="safetensors, onnx or openvino."),
    out: Path = typer.Option(None, "--out", help="The bundle to write: a new folder. Default: BUNDLE-FORMAT."),
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
    from tunewright.stages.compression.compress import beside, export

    found = export(opened, form, out or beside(opened, form), data=data, columns=columns, progress=progress)
    finish(found, quiet, json)
