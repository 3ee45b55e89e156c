"""Places in a text as rows tell them: in characters, or in words where the text is a list of words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tunewright.core.errors import DataError
from tunewright.data import conlltext
from tunewright.data.cell import plain

ENDS = (("start", "end"), ("start_offset", "end_offset"))  # how mappings name a place's ends
SHOWN = 40  # characters of a text in a message


class Located(NamedTuple):
    """A text, and its words' characters where it came as a list of words."""

    text: Any  # the cell itself where it is neither
    words: Sequence[tuple[int, int]] | None

    def place(self, told: Any, what: str) -> tuple[int, int]:
        """The characters, start and end, of a place told as {"start", "end"} with or without its "text", or [start, end].

        what: how a message names it, as "A span". Raises DataError where the text has no such place.
        """
        start, end, said = _ends(told, what)
        count, unit = (len(str(self.text)), "character") if self.words is None else (len(self.words), "word")
        if not 0 <= start < end <= count:
            raise DataError(
                f"{what} goes from {unit} {start} to {end}, and the text has {count}: {told!r:.80}. Offsets count {unit}s "
                f"from 0, and the end is the first {unit} behind it."
            )
        if self.words is not None:
            start, end = self.words[start][0], self.words[end - 1][1]
        stands = str(self.text)[start:end]
        if said is not None and said != stands:
            raise DataError(
                f"{what} says that its text is {str(said)!r:.{SHOWN}}, and {stands!r:.{SHOWN}} stands there. Offsets count "
                f"{unit}s from 0 (not bytes), and the end is the first {unit} behind it."
            )
        return start, end


def located(cell: Any) -> Located:
    """The text in a cell; a list of words is joined. Raises DataError where these are no words."""
    cell = plain(cell)
    if not isinstance(cell, (list, tuple)):
        return Located(cell, None)
    if not all(isinstance(word, str) and word.strip() for word in cell):
        raise DataError(f"A text, or a list of words that are not empty, is expected, not {cell!r:.80}.")
    return Located(*conlltext.join(cell))


def _ends(told: Any, what: str) -> tuple[int, int, Any]:
    if isinstance(told, Mapping):
        names = next((names for names in ENDS if set(names) <= told.keys()), ENDS[0])
        ends, said = tuple(told.get(name) for name in names), told.get("text")
    else:
        ends, said = (tuple(told) if isinstance(told, (list, tuple)) else ()), None
    if len(ends) != 2 or not all(type(end) is int for end in ends):
        raise DataError(
            f"{what} has a start and an end, whole numbers, as {{start: 4, end: 9}} or [4, 9]; this one is {told!r:.80}."
        )
    return *ends, said
