"""Swap words, leave some out, or say some twice: easy data augmentation without synonyms (EDA, Wei and Zou 2019)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from tunewright.core.contracts import Augmenter
from tunewright.core.edits import Edit, Edits, Passage, Place, each
from tunewright.data import words

Operation = Literal["swap", "delete", "insert"]


@dataclass(frozen=True)
class SwapDeleteInsert(Augmenter):
    """One operation a copy, drawn at random. Chinese words need the extra `augment`.

    As in the paper, with two differences: words that change places are neighbours, so that one edit does it, and what is
    put in is a word of the text itself, since a synonym needs a source; `synonym` has those.
    """

    share: Annotated[float, Field(gt=0, le=1)] = 0.1  # of the words, one at least: the paper's advice (section 4.3)
    operations: Annotated[tuple[Operation, ...], Field(min_length=1)] = (
        "swap",
        "delete",
        "insert",
    )  # those that are drawn from

    def open(self) -> Edits:
        """See Augmenter.open."""
        return each(self._edits)

    def _edits(self, passage: Passage) -> list[Edit]:
        places = words.words(passage.text)
        if len(places) < 2:
            return []
        operation = self.operations[int(passage.draw.integers(len(self.operations)))]
        return _OPERATIONS[operation](passage, places, self.share)


def _swapped(passage: Passage, places: list[Place], share: float) -> list[Edit]:
    text, edits = passage.text, []
    pairs = {(a, d): (b, c) for (a, b), (c, d) in itertools.pairwise(places)}
    for start, end in passage.some(list(pairs), share):
        if edits and start < edits[-1].end:
            continue  # a word changes places once
        first, second = pairs[start, end]
        edits.append(Edit(start, end, text[second:end] + text[first:second] + text[start:first]))
    return edits


def _deleted(passage: Passage, places: list[Place], share: float) -> list[Edit]:
    with_gaps = [_with_gap(passage.text, *place) for place in places]
    chosen = passage.some(with_gaps, share)[: len(places) - 1]  # something is left to read
    return [Edit(start, end, "") for start, end in chosen]


def _inserted(passage: Passage, places: list[Place], share: float) -> list[Edit]:
    edits = []
    for start, end in passage.some(places, share):
        first, last = places[int(passage.draw.integers(len(places)))]
        word = passage.text[first:last]
        apart = not (words.is_han(word) and words.is_han(passage.text[start]))
        edits.append(Edit(end, end, f" {word}" if apart else word))
    return edits


def _with_gap(text: str, start: int, end: int) -> Place:
    """A word with the blank behind it, or else before it."""
    if text[end : end + 1] == " ":
        return start, end + 1
    return (start - 1, end) if start and text[start - 1] == " " else (start, end)


_OPERATIONS = {"swap": _swapped, "delete": _deleted, "insert": _inserted}
