"""The rows of a compression: those that passes learn from, labelled or not, and other ones that judge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from tunewright.core.bundle import Bundle
from tunewright.core.errors import DataError
from tunewright.core.progress import Progress
from tunewright.core.types import Example
from tunewright.data.augment import key_of
from tunewright.data.cell import nothing_in
from tunewright.data.dataset import DESCRIPTION, Dataset
from tunewright.predict.source import choose_columns, open_file
from tunewright.stages.compression.evidence import some
from tunewright.stages.compression.step import Rows
from tunewright.stages.evaluate import labelled, sealed_uses

MOST_ROWS = 50_000  # that passes learn from, with labels, and as many without; they are in memory


@contextmanager
def rows_of(
    bundle: Bundle, data: str | None, unlabelled: str | None, columns: Mapping[str, str] | None, progress: Progress
) -> Iterator[Rows]:
    """Rows to learn from, and labelled rows to judge on: other ones.

    unlabelled: a source of further rows to learn from, whose labels are not looked at; those of the bundle's run count too.
    """
    run = bundle.folder.absolute().parent / "data"
    own = Dataset.open(run, bundle.task) if (run / DESCRIPTION).is_file() else None
    train = some(own.splits["train"].examples(), MOST_ROWS) if own else []
    bare = some(own.unlabelled.examples(), MOST_ROWS) if own and own.unlabelled else []
    more = _read(unlabelled, bundle, columns, progress) if unlabelled else []
    if data is None:
        if own is None:
            raise DataError(
                f"{bundle.folder} lies in no run with its rows. Name labelled rows to measure on: tunewright compress BUNDLE DATA."
            )
        rows = [row for row in own.splits["validation"] if row.label is not None]
        yield _described("validation", train, [*bare, *more], rows)
        return
    trained = bundle.recipe.data.columns
    with labelled(data, bundle.task, bundle.labels, columns=columns, trained=trained, progress=progress) as dataset:
        split = dataset.splits["test"]
        rows = [row for row in split if row.label is not None]
        if (uses := sealed_uses(bundle, split.fingerprint)) is not None:
            progress.say(
                f"These rows are the sealed test split of a run, used {uses} times by now. Rather name others."
            )
        if not train:
            train, rows = rows[::2], rows[1::2]
            progress.say(
                "The run's training rows are not there: passes learn from every other row of DATA, the rest judges."
            )
        yield _described(data, train, [*bare, *more], rows)


def _described(source: str, train: Sequence[Example], bare: Sequence[Example], judging: Sequence[Example]) -> Rows:
    """The rows, less those without labels whose text judges: what is learned there would not be measured."""
    known = {key_of(row) for row in judging}
    bare = [row for row in bare if key_of(row) not in known]
    about = {"source": source, "rows": len(judging), "learned_from": len(train), "unlabelled": len(bare)}
    return Rows([*train, *bare], judging, about)


def _read(source: str, bundle: Bundle, columns: Mapping[str, str] | None, progress: Progress) -> list[Example]:
    """At most MOST_ROWS rows of a source that hold what the task reads; the others are counted aloud."""
    task, found = bundle.task, open_file(source, progress)
    roles, notes = choose_columns(found, task, columns, bundle.recipe.data.columns)
    for note in notes:
        progress.say(note)
    rows, left_out = [], 0
    for row in found.read():
        if row.problem or nothing_in(row.values, roles, task.needed) or task.beside.problem(row.values):
            left_out += 1
            continue
        inputs, _ = task.read({role: row.values.get(column) for role, column in roles.items()})
        rows.append(Example(found.place(row), inputs, columns=row.values))
    if left_out:
        progress.say(f"{found.name}: {left_out} rows hold nothing to learn from, and are left out.")
    return some(rows, MOST_ROWS)
