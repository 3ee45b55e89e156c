"""Make rows to train a re-ranker from: the queries of a run of `matching`, with documents that answer and that do not.

Writes train.jsonl and validation.jsonl into a new folder, with text_a (the query), text_b (a document) and label: 1 for
documents that answer, 0 for those that rows reject and those that the run's own bundle finds near the query and that are
no answer. Test rows, and documents that they alone hold, are left out, so that `evaluate --rerank` judges on rows that
neither bundle has seen.

Examples:

  tunewright pairs runs/faq --out pairs

  tunewright pairs runs/faq --out pairs --wrong 8
"""

from __future__ import annotations

from pathlib import Path

import typer

from tunewright.cli import output


def command(
    run: Path = typer.Argument(metavar="RUN", help="A run of `matching`, or the bundle in it."),
    out: Path = typer.Option(Path("pairs"), "--out", help="The folder to write."),
    wrong: int = typer.Option(
        4,  # most of the ten that are judged later are wrong; more make rows of one kind, and training longer
        "--wrong",
        min=1,
        help="Wrong documents for each query: all that rows reject, filled up to so many with near ones.",
    ),
    quiet: bool = output.QUIET,
    json: bool = output.JSON,
) -> None:
    from tunewright.core.bundle import open_bundle
    from tunewright.core.errors import plural
    from tunewright.predict.predictor import Predictor
    from tunewright.stages import pairs

    progress = output.progress(quiet)
    predictor = Predictor(open_bundle(run))
    counts = pairs.write(predictor, out, wrong=wrong, progress=progress)
    if json:
        output.emit({"out": out, "wrong": wrong, **counts})
        return
    for name, own in counts.items():
        progress.say(
            f"{name}: {own['queries']:,} queries with {plural(own['right'], 'right document')}; {own['rejected']:,} that rows "
            f"reject and {own['found']:,} found near."
        )
    if not quiet:
        output.say(
            f"Next: tunewright init {out}/train.jsonl --validation {out}/validation.jsonl --task sentence_pair "
            "--set data.split.by=grouped --set data.split.column=text_a --out reranker.yaml"
        )
    print(out)
