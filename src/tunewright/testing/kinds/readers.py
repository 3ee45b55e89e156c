"""What a reader promises: every row with its place, what it guessed, and a message for what it cannot read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tunewright.core.contracts import Reader, Row
from tunewright.core.errors import DataError, TunewrightError
from tunewright.data import sources
from tunewright.testing.conformance import Subject

TEXTS = ("good food", "菜品很好，推荐", "😀 ok", "long " * 300 + "end")
ELSEWHERE = "nobody/no-such-source"  # what only a reader of sources elsewhere takes for its own
JUNK = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\xff\xfe\x00\xd8" * 40


def it_recognises_its_own_form_and_nothing_that_is_not_there(subject: Subject) -> None:
    """It answers to a source of its form, is the one chosen for it, and leaves alone what does not exist."""
    reader, source = subject.create(), _source(subject)
    if source == ELSEWHERE:
        return
    assert reader.recognises(source), f"{source} is not recognised"
    chosen, facts = sources.open_source(source)
    assert type(chosen) is subject.cls, f"{type(chosen).__name__} is chosen for {source}"
    assert facts["reader"] == subject.name
    for suffix in subject.cls.suffixes or ("",):
        assert not reader.recognises(str(subject.folder / f"absent{suffix}"))


def every_row_has_its_place_and_its_values(subject: Subject) -> None:
    """Rows come in order, each with the line or number it starts on, whole in English, Chinese and signs."""
    for row in _rows(subject):
        assert isinstance(row, Row)
        assert row.problem == "", f"line {row.line}: {row.problem}"
        assert row.line >= 1
    places = [(row.file, row.line) for row in _rows(subject)]
    assert places == sorted(places), "rows are not in order"
    assert len(set(places)) == len(places), "two rows share a place"
    if subject.sample is None and _rows(subject):
        found = [row.values["text"] for row in _rows(subject)]
        assert sorted(text.strip() for text in found) == sorted(TEXTS), found


def it_says_what_its_columns_are(subject: Subject) -> None:
    """`describe` names the columns that the rows have."""
    found = _rows(subject)
    if found:
        described = subject.create().describe(_source(subject))
        columns = list(dict.fromkeys(name for row in found for name in row.values))
        assert described["columns"] == columns, f"{described['columns']} are said, {columns} are read"


def reading_twice_gives_the_same_rows(subject: Subject) -> None:
    """Runs repeat: nothing depends on when or how often a source is read."""
    assert _rows(subject) == _rows(subject)


def it_reads_row_by_row(subject: Subject) -> None:
    """`read` is lazy: memory does not grow with the source."""
    assert isinstance(subject.create().read(_source(subject)), Iterator)


def what_it_cannot_read_is_said(subject: Subject) -> None:
    """Junk, an empty or missing source end in a message or in rows with a problem; nothing else is raised."""
    reader = subject.create()
    for source in _broken(subject):
        try:
            found = _all(reader, str(source))
        except TunewrightError as error:
            assert isinstance(error, DataError) and len(str(error)) > 20, f"{source}: {error}"
        else:
            assert all(row.problem for row in found), f"{source}: junk was read as rows"


def _rows(subject: Subject) -> list[Row]:
    source = _source(subject)
    return [] if source == ELSEWHERE else _all(subject.create(), source)


def _all(reader: Reader, source: str) -> list[Row]:
    sources.open_source(source, reader)
    return list(sources.rows(source, reader))


def _broken(subject: Subject) -> list[Path | str]:
    if _source(subject) == ELSEWHERE:
        return []
    made: list[Path | str] = []
    for suffix in subject.cls.suffixes or ("",):
        made.append(subject.folder / f"absent{suffix}")
        for name, content in (("junk", JUNK), ("empty", b"")):
            made.append(subject.folder / f"{name}{suffix}")
            made[-1].write_bytes(content)
    (subject.folder / "empty folder").mkdir(exist_ok=True)
    return [*made, subject.folder / "empty folder"]


def _source(subject: Subject) -> str:
    """A source of the reader's form: its module's own sample, else the first of ours it recognises."""
    if subject.sample is not None:
        return str(subject.sample(subject.folder))
    reader: Reader = subject.create()
    if reader.recognises(ELSEWHERE):
        return ELSEWHERE
    for suffix in subject.cls.suffixes:
        if suffix in FILES:
            path = subject.folder / f"sample{suffix}"
            FILES[suffix](path)
            return str(path)
    for make in FOLDERS:
        folder = subject.folder / make.__name__.strip("_")
        make(folder)
        if reader.recognises(str(folder)):
            return str(folder)
    raise AssertionError("The suite has no source of this form: define `sample(folder)` in the reader's file.")


def _table() -> list[dict[str, Any]]:
    return [{"text": text, "label": "好评" if index % 2 else "neg"} for index, text in enumerate(TEXTS)]


def _csv(path: Path, delimiter: str = ",") -> None:
    lines = [delimiter.join(("text", "label")), *(delimiter.join(row.values()) for row in _table())]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _tsv(path: Path) -> None:
    _csv(path, "\t")


def _jsonl(path: Path) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in _table()), encoding="utf-8")


def _json(path: Path) -> None:
    path.write_text(json.dumps(_table(), ensure_ascii=False), encoding="utf-8")


def _parquet(path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.Table.from_pylist(_table()), path)


def _conll(path: Path) -> None:
    sentences = ["\n".join(f"{word} O" for word in _words(text)) for text in TEXTS]
    path.write_text("\n\n".join(sentences) + "\n", encoding="utf-8")


def _words(text: str) -> list[str]:
    return text.split() if text[0].isascii() or " " in text else list(text)


def _text(path: Path) -> None:
    path.write_text("\n".join(TEXTS) + "\n", encoding="utf-8")


def _folder_of_labels(folder: Path) -> None:
    for index, row in enumerate(_table()):
        (folder / row["label"]).mkdir(parents=True, exist_ok=True)
        (folder / row["label"] / f"{index}.txt").write_text(row["text"], encoding="utf-8")


def _saved_datasets(folder: Path) -> None:
    import pyarrow as pa

    folder.mkdir(exist_ok=True)
    table = pa.Table.from_pylist(_table())
    with (
        pa.OSFile(str(folder / "data-00000-of-00001.arrow"), "wb") as file,
        pa.ipc.new_stream(file, table.schema) as out,
    ):
        out.write_table(table)
    (folder / "state.json").write_text('{"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}')


# Ending → what writes the table above in that form.
FILES: dict[str, Callable[[Path], None]] = {
    ".csv": _csv,
    ".tsv": _tsv,
    ".jsonl": _jsonl,
    ".json": _json,
    ".parquet": _parquet,
    ".conll": _conll,
    ".txt": _text,
}
FOLDERS: tuple[Callable[[Path], None], ...] = (_folder_of_labels, _saved_datasets)
