"""Words and tags in columns (CoNLL): sentences, and the spans that their tags mark."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

_TAG = re.compile(r"^(?:O|[BIESLUM][-_]\S+)$")
_WIDE = re.compile(r"[\u2e80-\u9fff\uac00-\ud7a3\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]")
_MARKS = re.compile(r"^(?:-DOCSTART-|#\s)")


def is_tag(text: str) -> bool:
    """Whether a word is O, or a BIO, BIOES or BILOU tag."""
    return _TAG.match(text) is not None


def looks_tagged(lines: Sequence[str]) -> bool:
    """Whether sample lines are words with a tag in their last column."""
    filled = [line.split() for line in lines if line.strip() and not _MARKS.match(line)]
    return len(filled) > 1 and all(len(cells) >= 2 and _TAG.match(cells[-1]) for cells in filled)


def sentences(lines: Iterable[tuple[int, str]], delimiter: str | None) -> Iterator[tuple[int, list[list[str]], int]]:
    """Give (first line, columns of every word, line of the first word with another number of columns or 0).

    delimiter: None splits at any white space. Document marks (-DOCSTART-) and comments (# …) are passed over.
    """
    words: list[list[str]] = []
    first = broken = 0
    for number, line in lines:
        if not line.strip():
            if words:
                yield first, words, broken
            words, broken = [], 0
            continue
        if not words and _MARKS.match(line):
            continue
        cells = line.rstrip("\r\n").split(delimiter)
        first = number if not words else first
        if len(cells) < 2 or (words and len(cells) != len(words[0])):
            broken = broken or number
        words.append(cells)
    if words:
        yield first, words, broken


def join(words: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """Return the words as one text and each word's (start, end) in it; no blank between Chinese characters."""
    text, places = "", []
    for word in words:
        if text and not (_WIDE.match(word[:1]) and _WIDE.match(text[-1])):
            text += "" if _single(words) else " "
        places.append((len(text), len(text) + len(word)))
        text += word
    return text, places


def spans(tags: Sequence[str], places: Sequence[tuple[int, int]]) -> list[dict[str, Any]]:
    """Return the spans that BIO, BIOES or IOB1 tags (see `is_tag`) mark, as {"start", "end", "label"} in characters."""
    found: list[dict[str, Any]] = []
    open_label = ""
    for tag, (start, end) in zip(tags, places, strict=True):
        prefix, label = tag[:1], tag[2:]  # the sign between them is "-" or "_"
        if not label:
            open_label = ""
        elif prefix in ("I", "E", "M", "L") and label == open_label:
            found[-1]["end"] = end
        else:
            found.append({"start": start, "end": end, "label": label})
            open_label = label
        if prefix in ("E", "S", "L", "U"):
            open_label = ""
    return found


def _single(words: Sequence[str]) -> bool:
    """Whether a sentence is split into characters rather than words, as Chinese sets are (digits and letters too)."""
    return any(_WIDE.match(word) for word in words) and sum(len(word) == 1 for word in words) > 0.9 * len(words)
