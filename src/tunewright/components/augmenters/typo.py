"""Make slips of the keyboard: a neighbouring key, two letters or characters swapped, one left out or doubled."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from tunewright.core.contracts import Augmenter
from tunewright.core.edits import Edit, Edits, Passage, Place, each
from tunewright.data import words

ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")  # of the keyboard, each half a key further to the right
SHORTEST = 4  # letters of a word that gets a slip: shorter ones become another word too easily
Slip = Literal["neighbour", "swap", "omit", "double"]


@dataclass(frozen=True)
class Typo(Augmenter):
    """One slip in each chosen word of four letters or more, or pair of Chinese characters; never in the first letter."""

    share: Annotated[float, Field(gt=0, le=1)] = (
        0.1  # of the words, one at least: people misspell fewer than one in ten
    )
    slips: Annotated[tuple[Slip, ...], Field(min_length=1)] = (
        "neighbour",
        "swap",
        "omit",
        "double",
    )  # those that are made, equally often; a neighbouring key is no slip of Chinese input

    def open(self) -> Edits:
        """See Augmenter.open."""
        return each(self._edits)

    def _edits(self, passage: Passage) -> list[Edit]:
        chosen = passage.some(_places(passage.text), self.share)
        return [edit for place in chosen for edit in self._slip(passage, place)]

    def _slip(self, passage: Passage, place: Place) -> list[Edit]:
        start, end = place
        text = passage.text[start:end]
        at = 0 if words.is_han(text) else int(passage.draw.integers(1, len(text) - 1))
        here, following = text[at], text[at + 1]
        keys = _neighbours(here)
        forms = {
            "swap": following + here if here != following else "",
            "omit": following,
            "double": here + here + following,
            "neighbour": keys[int(passage.draw.integers(len(keys)))] + following if keys else "",
        }
        possible = [forms[slip] for slip in self.slips if forms[slip]]
        if not possible:
            return []
        return [Edit(start + at, start + at + 2, possible[int(passage.draw.integers(len(possible)))])]


def _places(text: str) -> list[Place]:
    found: list[Place] = []
    for start, end in words.runs(text):
        if words.is_han(text[start]):
            found += [(at, at + 2) for at in range(start, end - 1, 2)]
        elif end - start >= SHORTEST:
            found.append((start, end))
    return found


def _neighbours(letter: str) -> str:
    """The keys around a letter's, in its case and width; "" for letters that this keyboard lacks."""
    plain = unicodedata.normalize("NFKC", letter).lower()
    found = _AROUND.get(plain, "")
    found = found.upper() if letter.isupper() else found
    return "".join(chr(ord(key) + 0xFEE0) for key in found) if 0xFF01 <= ord(letter) <= 0xFF5E else found


def _around() -> dict[str, str]:
    centres = {key: (row, column + row / 2) for row, keys in enumerate(ROWS) for column, key in enumerate(keys)}
    return {
        key: "".join(
            other for other, (r, c) in centres.items() if other != key and abs(r - row) <= 1 and abs(c - column) <= 1
        )
        for key, (row, column) in centres.items()
    }


_AROUND = _around()
