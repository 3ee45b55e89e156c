"""The documents that a task searches: those of all its rows, and those of a further source."""

from __future__ import annotations

from collections.abc import Iterable

from tunewright.core.contracts import Task
from tunewright.core.errors import DataError, listing, plural
from tunewright.core.names import is_empty, one
from tunewright.core.types import Note
from tunewright.data import sources
from tunewright.data.cell import is_unicode, plain
from tunewright.data.gather import place
from tunewright.data.guess import column_named


def gather_documents(task: Task, of_rows: Iterable[str], notes: list[Note]) -> tuple[str, ...]:
    """All documents that are searched, sorted, each once; what a further source gave and lost goes to `notes`.

    of_rows: those of the rows. Raises DataError where there are fewer than two, or the further source has none.
    """
    found = dict.fromkeys(of_rows)
    before = len(found)
    if task.further is not None:
        lost = _read(task.further, task.target, found)
        notes.append(_told(task.further, len(found) - before, lost))
    if len(found) < 2:
        raise DataError(
            f"There is {plural(len(found), 'document')} in all rows, and searching needs several. Give rows with other "
            "documents, or a file of further ones (task.corpus)."
        )
    return tuple(sorted(found))


def further_documents(task: Task) -> tuple[str, ...]:
    """The documents of the task's further source alone, none where it has none. Raises DataError as above."""
    found: dict[str, None] = {}
    if task.further is not None:
        _read(task.further, task.target, found)
    return tuple(found)


def _read(source: str, role: str, found: dict[str, None]) -> list[str]:
    """Add the source's documents to `found`; gives the places, "file:line", of rows that hold none that can be read."""
    reader, facts = sources.open_source(source)
    columns, lost, count = facts.get("columns") or [], [], 0
    column = columns[0] if len(columns) == 1 else column_named(role, columns)
    for row in sources.rows(source, reader):
        count += 1
        column = column or column_named(role, list(row.values))
        if column is None:
            raise DataError(
                f"task.corpus: {source} has no column {role!r}. Its columns: {listing(row.values)}. Rename one of them."
            )
        value = plain(row.values.get(column))
        if row.problem or is_empty(value) or isinstance(value, (list, dict)) or not is_unicode(value):
            lost.append(place(row, source))
        else:
            found.setdefault(one(value))
    if len(lost) == count:
        raise DataError(f"task.corpus: {source} holds no document that can be read.")
    return lost


def _told(source: str, new: int, lost: list[str]) -> Note:
    said, zh = f"{plural(new, 'document')} more from {source}", f"另从 {source} 读入 {new} 篇文档"
    if lost:
        said += f"; {plural(len(lost), 'row')} without a readable one left out: {listing(lost, 5)}"
        zh += f"；{len(lost)} 行没有可读的文档，未使用：{listing(lost, 5)}"
    return Note(f"{said}.", f"{zh}。")
