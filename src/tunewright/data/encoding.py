"""Find out how a file's bytes are to be read: encoding, lines, delimiter; and say what a binary file is."""

from __future__ import annotations

import codecs
import csv
import errno
import functools
import os
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from tunewright.core.errors import DataError, MachineError

# What undecodable bytes become. A lone surrogate cannot come from a well-formed file, so a row that holds it is broken.
MARK = "\udcff"
LONGEST_LINE = (
    16 * 1024 * 1024
)  # characters; one text is never longer, and a file without line ends must not fill memory
_SAMPLE = 1 << 18  # bytes
MARKING = "tunewright-mark"
codecs.register_error(MARKING, lambda error: (MARK, error.end))

_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SIGNATURES = (
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"%PDF", "a PDF document"),
    (b"PAR1", "a Parquet file"),
    (b"ARROW1", "an Arrow file"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Word file"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x7fELF", "a program"),
    (b"RIFF", "a sound or image file"),
    (b"ID3", "an MP3 file"),
    (b"fLaC", "a FLAC file"),
    (b"OggS", "an Ogg file"),
    (b"\x80\x02", "a Python pickle"),
    (b"\x80\x03", "a Python pickle"),
    (b"\x80\x04", "a Python pickle"),
    (b"\x80\x05", "a Python pickle"),
)
# The commonest characters of written Chinese: real text holds some, another encoding read as GB18030 hardly any.
_COMMON_CHINESE = frozenset(
    "，。、的一是不了在人有我他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可里后"
    "小么心多天而能好都然没日于起还发成事只作当想看文无开手用主行方又如前所本见经头面公同三已老从动两长"
    "性分法理力化与及研究基高体"
)


def detect_encoding(path: Path | str) -> str:
    """Return the encoding of a text file: utf-8, utf-8-sig, utf-16, utf-16-le, utf-16-be, utf-32 or gb18030.

    Reads the file once. A file in which only some lines are broken keeps its encoding; those rows get dropped later.
    Raises DataError when the file is binary, or when no encoding fits, naming the first line that does not decode.
    """
    with reading(path), open(path, "rb") as file:
        head = file.read(_SAMPLE)
    for bom, name in _BOMS:
        if head.startswith(bom):
            return name
    _refuse_binary(path, head)
    valid = _is_utf8(path)
    if b"\0" in head and (not valid or head.count(b"\0") > len(head) / 5):
        wide = _wide(head)
        if wide:
            return wide
    if valid:
        return "utf-8"
    return _legacy(path)


def check_encoding(name: str, path: Path | str) -> str:
    """Return `name`, or what detect_encoding finds when it is "auto". Raises DataError for a name Python lacks."""
    if name == "auto":
        stat = os.stat(path)
        return _remembered(str(path), stat.st_size, stat.st_mtime_ns)
    try:
        b" ".decode(name, MARKING)
        return codecs.lookup(name).name
    except (LookupError, ValueError):  # not known, or nothing that text is written in, as rot13
        raise DataError(
            f"There is no encoding {name!r}. Usual ones: utf-8, gb18030, utf-16, big5, shift_jis, latin-1."
        ) from None


@functools.lru_cache(maxsize=64)
def _remembered(path: str, size: int, changed: int) -> str:
    return detect_encoding(path)


def lines(path: Path | str, encoding: str, *, keep_ends: bool = False) -> Iterator[tuple[int, str]]:
    """Give (1-based number, text) of every line; undecodable bytes become MARK.

    A line longer than LONGEST_LINE is cut there and ends with MARK, so whoever reads it sees that it is broken.
    """
    with reading(path), open(path, encoding=encoding, errors=MARKING, newline="" if keep_ends else None) as file:
        yield from lines_of(file, keep_ends=keep_ends)


def lines_of(file: TextIO, *, keep_ends: bool = False) -> Iterator[tuple[int, str]]:
    """Give the lines of an open text stream as `lines` does; open it with `errors=MARKING`."""
    number = 0
    while line := file.readline(LONGEST_LINE):
        number += 1
        if len(line) == LONGEST_LINE and not line.endswith(("\n", "\r")):
            while (rest := file.readline(LONGEST_LINE)) and not rest.endswith(("\n", "\r")):
                pass
            line = line[:-1] + MARK + "\n"
        yield number, line if keep_ends else line.rstrip("\n")


def read_text(path: Path | str, encoding: str) -> str:
    """Return a whole file's text; undecodable bytes become MARK."""
    with reading(path), open(path, encoding=encoding, errors=MARKING) as file:
        return file.read()


def detect_delimiter(sample: list[str], suffix: str = "") -> str:
    """Return the delimiter under which the sample lines split into the same number of columns, at least two.

    One of tab, comma, semicolon, bar; the one that belongs to the file's ending where nothing splits.
    """
    default = "\t" if suffix in (".tsv", ".tab") else ","
    order = [default, *(mark for mark in ("\t", ",", ";", "|") if mark != default)]
    best, best_score = default, 0.5
    for mark in order:
        score = _consistency(sample, mark)
        if score > best_score + 1e-9:
            best, best_score = mark, score
    return best


def looks_tabular(sample: list[str]) -> bool:
    """Whether every line holds the same number, at least one, of tabs: a table, whatever the file's ending says."""
    counts = {line.count("\t") for line in sample if line.strip()}
    return len(counts) == 1 and counts != {0}


def sample_lines(path: Path | str, encoding: str, most: int = 200) -> list[str]:
    """Return the first lines of a file, up to `most` and about a megabyte, without their ends."""
    found: list[str] = []
    size = 0
    for _, line in lines(path, encoding):
        found.append(line)
        size += len(line)
        if len(found) >= most or size > 1 << 20:
            break
    return found


def first_lines(path: Path | str) -> list[str]:
    """Return the first lines of a file as text whatever it holds, for telling forms apart; [] for a binary file."""
    with reading(path), open(path, "rb") as file:
        head = file.read(1 << 14)
    for bom, name in _BOMS:
        if head.startswith(bom):
            return _whole_lines(head.decode(name, errors="replace"))
    if binary_kind(path, head):
        return []
    try:
        return _whole_lines(head.decode("utf-8"))
    except UnicodeDecodeError:
        return _whole_lines(head.decode(_wide(head) or "gb18030", errors="replace"))


def _whole_lines(text: str) -> list[str]:
    found = text.splitlines()
    return found[:-1] if len(found) > 1 and not text.endswith("\n") else found


class reading:
    """Context that turns the operating system's refusals while reading into an error that names the file."""

    def __init__(self, path: Path | str) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, OSError) or error.errno is None:
            return
        if error.errno in (errno.EACCES, errno.EPERM):
            raise MachineError(
                f"No permission to read {self._path}: change its rights, or run as its owner."
            ) from error
        if error.errno == errno.ENOENT:
            raise DataError(f"There is no file {self._path}.") from error
        if error.errno == errno.EISDIR:
            raise DataError(f"{self._path} is a folder, not a file: name the file inside it.") from error
        if error.errno == errno.ENOTDIR:
            raise DataError(f"{self._path} is a file, not a folder: name its folder, or mend data.reader.") from error
        if error.errno == errno.EIO:
            raise MachineError(f"The disk could not deliver {self._path}: {error.strerror}. Copy it again.") from error


def binary_kind(path: Path | str, head: bytes) -> str:
    """Return what a binary file looks like ("an Excel workbook"), or "" for what may be text."""
    if head.startswith(b"PK\x03\x04"):
        return _zip_kind(path)
    return next((kind for signature, kind in _SIGNATURES if head.startswith(signature)), "")


def _refuse_binary(path: Path | str, head: bytes) -> None:
    kind = binary_kind(path, head)
    if not kind and _control_share(head) > 0.1 and not _wide(head) and b"\0" in head:
        kind = "binary data"
    if kind:
        advice = {
            "an Excel workbook": "save it as CSV (UTF-8)",
            "an old Excel or Word file": "save it as CSV (UTF-8)",
            "a Word document": "save its rows as CSV (UTF-8)",
            "a PDF document": "save its rows as CSV (UTF-8)",
            "a Parquet file": "give it the ending .parquet",
        }.get(kind, "unpack it first" if "archive" in kind else "give a CSV, JSONL, Parquet or text file")
        raise DataError(f"{path} is not a text file (it looks like {kind}): {advice}.")


def _zip_kind(path: Path | str) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return "a zip archive"
    if any(name.startswith("xl/") for name in names):
        return "an Excel workbook"
    if any(name.startswith("word/") for name in names):
        return "a Word document"
    return "a zip archive"


def _control_share(head: bytes) -> float:
    controls = sum(head.count(bytes([code])) for code in (*range(9), *range(14, 32)) if code != 27)
    return controls / max(1, len(head))


def _is_utf8(path: Path | str) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with reading(path), open(path, "rb") as file:
            while block := file.read(1 << 20):
                decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _wide(head: bytes) -> str:
    """The UTF-16 without byte order mark that `head` is, or ""."""
    # Every line of UTF-16 holds zero bytes: its delimiter, its end. A stray one is only in its own line.
    found = head.split(b"\n")
    if sum(b"\0" in line for line in found) * 2 <= len(found):
        return ""
    scores = {}
    for name in ("utf-16-le", "utf-16-be"):
        text = head[: len(head) // 2 * 2].decode(name, errors="replace")
        usual = sum(1 for character in text if _usual(character))
        scores[name] = usual / max(1, len(text))
    best = max(scores, key=lambda name: scores[name])
    return best if scores[best] > 0.9 and head.find(b"\n") >= 0 else ""


def _usual(character: str) -> bool:
    code = ord(character)
    return (
        0x20 <= code < 0x7F
        or character in "\t\r\n"
        or 0xA0 <= code < 0x600
        or 0x2010 <= code <= 0x2026
        or 0x3000 <= code <= 0x30FF
        or 0x4E00 <= code <= 0x9FFF
        or 0xAC00 <= code <= 0xD7A3
        or 0xFF00 <= code <= 0xFF65
    )


def _legacy(path: Path | str) -> str:
    """Decide between broken UTF-8 and GB18030 by the lines that hold other bytes than ASCII."""
    good_utf8 = good_gb = total = first_bad = 0
    gathered: list[str] = []
    with reading(path), open(path, "rb") as file:
        number = 0
        while (line := file.readline(LONGEST_LINE)) and total < 5000:
            number += 1
            if line.isascii():
                continue
            total += 1
            if _decodes(line, "utf-8"):
                good_utf8 += 1
                continue
            first_bad = first_bad or number
            if (text := _decodes(line, "gb18030")) is not None:
                good_gb += 1
                if len(gathered) < 500:
                    gathered.append(text)
    if good_utf8 * 2 >= total and good_utf8 >= 1:
        return "utf-8"
    if good_gb >= 0.9 * (total - good_utf8) and _reads_as_chinese("".join(gathered)):
        return "gb18030"
    # A line in a hundred, or a single one among a few: the file is UTF-8, and those rows are broken.
    if total - good_utf8 <= max(1, 0.01 * number) and number >= 5 * (total - good_utf8):
        return "utf-8"
    raise DataError(
        f"{path}:{first_bad} does not decode as UTF-8, UTF-16 or GB18030. Save the file as UTF-8, or name its encoding "
        "under data.reader, as {name: csv, encoding: latin-1}."
    )


def _decodes(line: bytes, encoding: str) -> str | None:
    try:
        return line.decode(encoding)
    except UnicodeDecodeError:
        return None


def _reads_as_chinese(text: str) -> bool:
    """Whether text decoded as GB18030 makes sense: runs of characters, some of them the common ones.

    Latin-1 read as GB18030 gives single characters between ASCII letters; Korean or Japanese encodings give runs of
    characters that Chinese hardly uses.
    """
    wide = re.findall(r"[^\x00-\x7f]+", text)
    count = sum(map(len, wide))
    in_runs = sum(len(run) for run in wide if len(run) > 1)
    if not count or in_runs < count / 2:
        return False
    common = sum(1 for run in wide for character in run if character in _COMMON_CHINESE)
    return count < 100 or common >= 0.04 * count


def _consistency(sample: list[str], mark: str) -> float:
    """Share of records with the commonest number of columns under `mark`, 0 when that is one column."""
    try:
        widths = [len(record) for record in csv.reader(sample, delimiter=mark) if record]
    except csv.Error:
        return 0.0
    if not widths:
        return 0.0
    common = max(set(widths), key=widths.count)
    return widths.count(common) / len(widths) if common > 1 else 0.0
