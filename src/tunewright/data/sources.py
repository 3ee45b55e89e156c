"""From a source's name to a reader and its rows; and the message when there is no such source."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tunewright.core import catalog
from tunewright.core.contracts import Reader, Row
from tunewright.core.errors import DataError, TunewrightError, listing
from tunewright.core.types import Note
from tunewright.data.encoding import detect_encoding, reading


def open_source(source: str | Path, reader: Reader | str = "auto") -> tuple[Reader, dict[str, Any]]:
    """Return the reader for `source` and what it says of it (`Reader.describe`).

    reader: "auto" chooses the one that recognises the source; a reader or its name is taken as given.
    Raises DataError when the source is not there (with the nearest name), is empty, or no reader recognises it.
    """
    source = str(source)
    chosen = (
        _choose(source)
        if reader == "auto"
        else catalog.create("readers", reader)
        if isinstance(reader, str)
        else reader
    )
    if reader != "auto" and not os.path.exists(source) and not chosen.recognises(source):
        raise DataError(missing(source))
    with readable(source):
        return chosen, {"reader": catalog.name_of(chosen), **chosen.describe(source)}


def rows(source: str | Path, reader: Reader) -> Iterator[Row]:
    """Give the source's rows; whatever goes wrong in reading becomes an error that names the source."""
    with readable(source):
        yield from reader.read(str(source))


def told(name: str, facts: Mapping[str, Any]) -> Note:
    """How the source called `name` was read, from the facts that `open_source` gave."""
    said, zh = [facts["reader"]], [facts["reader"]]
    for key, word in (("encoding", "编码"), ("delimiter", "分隔符")):
        if facts.get(key):
            said.append(f"{key} {facts[key]!r}")
            zh.append(f"{word} {facts[key]!r}")
    if facts.get("header") is False:
        said.append("no header line")
        zh.append("没有表头")
    return Note(f"{name}: read as {', '.join(said)}", f"{name}：按 {'，'.join(zh)} 读取")


class readable(reading):
    """Context like `reading`; what a library stumbles over in a broken file becomes a DataError as well."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        super().__exit__(kind, error, trace)
        broken = (ValueError, TypeError, AttributeError, RecursionError, OverflowError, OSError, EOFError, LookupError)
        if isinstance(error, broken) and not isinstance(error, TunewrightError):
            first = (str(error).strip().splitlines() or [type(error).__name__])[0][:200].rstrip(".")
            raise DataError(
                f"{self._path} cannot be read: {first}. Is the file whole, and of the form its ending says?"
            ) from error


def missing(source: str) -> str:
    """Say that `source` does not exist, with the nearest path that does."""
    near = nearest_path(source)
    return f"There is no file or folder {source!r}." + (f" Did you mean {near!r}?" if near else " Check the path.")


def nearest_path(source: str) -> str:
    """Return the existing path most like `source`, correcting one folder after the other, or ""."""
    path = Path(source)
    found = Path(path.anchor) if path.is_absolute() else Path()
    for part in path.parts[1:] if path.is_absolute() else path.parts:
        if (found / part).exists():
            found = found / part
            continue
        try:
            present = [entry for entry in os.listdir(found) if not entry.startswith(".")]
        except OSError:
            return ""
        match = difflib.get_close_matches(part, present, n=1, cutoff=0.6)
        if not match:
            return ""
        found = found / match[0]
    return str(found)


def _choose(source: str) -> Reader:
    if os.path.isfile(source) and os.path.getsize(source) == 0:
        raise DataError(f"{source} is empty: it holds no rows.")
    known = {name: catalog.create("readers", name) for name in catalog.names("readers")}
    with readable(source):
        fitting = {name: reader for name, reader in known.items() if reader.recognises(source)}
    suffix = Path(source).suffix.lower()
    for reader in fitting.values():
        if suffix in reader.suffixes:
            return reader
    if fitting:
        return next(iter(fitting.values()))
    if not os.path.exists(source):
        raise DataError(missing(source))
    if os.path.isdir(source):
        raise DataError(
            f"{source} is a folder that holds neither one folder per label nor a saved data set. "
            f"Name a file in it: {listing(sorted(os.listdir(source))[:12]) or 'it is empty'}."
        )
    if not os.path.isfile(source):
        raise DataError(f"{source} is a pipe or a device. Save what it gives to a file and name that.")
    detect_encoding(source)  # says what a binary file is
    raise DataError(
        f"It is not clear how to read {source}. Name its form under data.reader ({listing(known, 20)}), "
        "or give the file its usual ending (.csv, .tsv, .jsonl, .json, .parquet, .conll, .txt)."
    )
