"""Write whole or not at all: temporary name, flush, rename. And the hashes that show a file was changed."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tunewright.core.errors import DamagedFile, MachineError

# Ends of lines to some readers, though not to JSON.
_LINES = {ord(sign): f"\\u{ord(sign):04x}" for sign in "\x85\u2028\u2029"}


def write_text(path: Path | str, text: str) -> None:
    """Write `text` to `path` atomically (UTF-8, line feeds as given)."""
    with writing(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", errors="backslashreplace"))


def write_json(path: Path | str, value: Any) -> None:
    """Write `value` to `path` as indented JSON, atomically. Not-a-number becomes null, as JSON has no other word."""
    write_text(path, json.dumps(jsonable(value), ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def append_json(path: Path | str, value: Any) -> None:
    """Add `value` to `path` as one line of JSON, on the disk when this returns. Several processes may do so at once: a line is
    written whole. One that a kill left half is closed first, so that it spoils no other."""
    text = json.dumps(jsonable(value), ensure_ascii=False, allow_nan=False)
    line = text.translate(_LINES).encode("utf-8", errors="backslashreplace")
    with machine_errors(path):
        handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            size = os.fstat(handle).st_size
            torn = size and os.pread(handle, 1, size - 1) != b"\n"
            os.write(handle, (b"\n" if torn else b"") + line + b"\n")
            os.fsync(handle)
        finally:
            os.close(handle)


def check_appendable(path: Path | str) -> None:
    """Raise MachineError where `append_json` could not add a line. Nothing is left behind."""
    path = Path(path)
    with machine_errors(path):
        if path.exists():
            os.close(os.open(path, os.O_RDWR | os.O_APPEND))
        else:
            tempfile.TemporaryFile(dir=path.parent).close()


def read_json(path: Path | str) -> Any:
    """Read a JSON file that this program wrote. Raises DamagedFile (a ValueError as well) when it is no JSON."""
    return parse_json(Path(path).read_bytes(), path)


def parse_json(content: bytes | str, path: Path | str) -> Any:
    """What a file, or one of its lines, holds that this program wrote to `path`. Raises DamagedFile as `read_json`."""
    try:
        return json.loads(content if isinstance(content, str) else content.decode("utf-8"))
    except (ValueError, RecursionError):
        raise DamagedFile(f"{path} is damaged: what it holds is no whole JSON. Restore it, or start anew.") from None


def jsonable(value: Any) -> Any:
    """Return `value` in JSON's own types: numpy scalars and arrays, paths, tuples and sets are converted."""
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [jsonable(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):
        return jsonable(value.tolist())
    if isinstance(value, float):
        return value if value == value and value not in (float("inf"), float("-inf")) else None
    return value


@contextlib.contextmanager
def writing(path: Path | str) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success it is flushed to disk and takes `path`'s place."""
    path = Path(path)
    with machine_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            _finish(temporary)
            os.replace(temporary, path)
            _flush(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def writing_folder(path: Path | str) -> Iterator[Path]:
    """Give a temporary folder beside `path`; on success it takes `path`'s place, replacing what stood there."""
    path = Path(path)
    with machine_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
        try:
            os.chmod(temporary, 0o777 & ~_umask())
            yield temporary
            for file in temporary.rglob("*"):
                if file.is_file():
                    _finish(file)
            if path.exists():
                old = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".old", dir=path.parent))
                os.replace(path, old / "old")
                os.replace(temporary, path)
                shutil.rmtree(old, ignore_errors=True)
            else:
                os.replace(temporary, path)
            _flush(path.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def is_leftover(path: Path) -> bool:
    """Whether `path` is a temporary file or folder of this module, which only a killed process leaves behind."""
    return path.name.startswith(".") and path.name.endswith((".part", ".old"))


def sweep(folder: Path) -> None:
    """Remove what killed processes left half-written under `folder`, and put back a folder they had just set aside."""
    for path in [path for path in folder.rglob(".*") if is_leftover(path)]:
        target = path.with_name(path.name[1:].rsplit(".", 2)[0])
        if path.suffix == ".old" and (path / "old").exists() and not target.exists():
            os.replace(path / "old", target)
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


@contextlib.contextmanager
def machine_errors(path: Path | str) -> Iterator[None]:
    """Turn the operating system's refusals into a MachineError that names the path and what to do."""
    try:
        yield
    except Exception as error:
        number = error.errno if isinstance(error, OSError) else _number_told(error)
        advice = {
            errno.ENOSPC: "The disk is full: free some space, or choose another folder with --out (or TMPDIR, for temporary files).",
            errno.EDQUOT: "Your disk quota is used up: free some space, or choose another folder with --out.",
            errno.EACCES: "No permission to write there: choose another folder with --out, or change its rights.",
            errno.EPERM: "No permission to write there: choose another folder with --out, or change its rights.",
            errno.EROFS: "That file system is read-only: choose another folder with --out.",
            errno.ENOTDIR: "A part of that path is a file, not a folder: choose another path with --out.",
            errno.EISDIR: "A folder stands where a file is needed: choose another path.",
            errno.EEXIST: "A file stands where a folder is needed: choose another path with --out.",
            errno.ENOENT: "That folder cannot be made there: choose another path with --out.",
            errno.EFBIG: "The file is larger than this file system or your limits allow: choose another folder with --out.",
            errno.ENAMETOOLONG: "The path is too long: choose a shorter one.",
        }.get(number)
        if advice is None:
            raise
        why = getattr(error, "strerror", None) or os.strerror(number)
        raise MachineError(f"Cannot write {path}: {why}. {advice}") from error


def _number_told(error: Exception) -> int | None:
    """The system's number in an error of a library written in Rust, which has it in its message alone."""
    told = re.search(r"\(os error (\d+)\)", str(error))
    return int(told[1]) if told else None


def sha256(path: Path | str) -> str:
    """Return the file's SHA-256 as hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _finish(file: Path) -> None:
    """Give a written file the rights of any new one, which libraries with temporary files of their own do not, and flush it."""
    os.chmod(file, 0o666 & ~_umask())
    _flush(file)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
