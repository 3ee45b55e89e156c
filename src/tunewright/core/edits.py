"""Edits of a text in characters, and how places in the text move with them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np

from tunewright.core.types import Answer, Frame, Graph, Label, Span, placed

Place = tuple[int, int]  # characters from a start up to, not including, an end


class Edit(NamedTuple):
    """Characters `start` up to, not including, `end` become `text`; start equal to end puts it in."""

    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Passage:
    """A text to be changed. fixed: places that stay as they are; draw: chance, the same for the same row and seed."""

    text: str
    fixed: Sequence[Place]
    draw: np.random.Generator

    def free(self, start: int, end: int) -> bool:
        """Whether a place is apart from everything fixed: what stands beside it would change where a word ends."""
        return not any(start <= last and end >= first for first, last in self.fixed)

    def some(self, places: Sequence[Place], share: float) -> list[Place]:
        """A share of those of `places` that are free, one at least where there are any, drawn at random, in order."""
        free = [place for place in places if self.free(*place)]
        if not free:
            return []
        count = max(1, round(share * len(free)))
        return [free[index] for index in sorted(self.draw.choice(len(free), size=count, replace=False))]


Placed = TypeVar("Placed", Span, Answer)
Edits = Callable[[Sequence[Passage]], list[list[Edit]]]  # what an opened augmenter is


def each(edits: Callable[[Passage], list[Edit]]) -> Edits:
    """A function of one passage as one of many."""
    return lambda passages: [edits(passage) for passage in passages]


def kept(edits: Sequence[Edit], passage: Passage) -> list[Edit]:
    """Those edits, in order, that touch nothing fixed; of two that overlap, the first."""
    found: list[Edit] = []
    for edit in sorted(edits):
        behind = found[-1].end if found else 0
        if behind <= edit.start <= edit.end <= len(passage.text) and passage.free(edit.start, edit.end):
            found.append(edit)
    return found


def applied(text: str, edits: Sequence[Edit]) -> str:
    """The text after `edits`, which are in order and do not overlap."""
    parts, at = [], 0
    for start, end, new in edits:
        parts += [text[at:start], new]
        at = end
    return "".join((*parts, text[at:]))


def moved(spans: Sequence[Placed], edits: Sequence[Edit]) -> tuple[Placed, ...]:
    """Spans or answers at the places where their characters stand after `edits`, none of which touches one."""
    return tuple(_shifted(span, sum(_growth(edit) for edit in edits if edit.end <= span.start)) for span in spans)


def moved_label(label: Label, edits: Sequence[Edit]) -> Label:
    """A label of places, a frame or a graph, with its places moved; see moved."""
    if isinstance(label, Frame):
        return dataclasses.replace(label, slots=moved(label.slots, edits))
    if isinstance(label, Graph):
        ends = [moved((one.head, one.tail), edits) for one in label.triples]
        pairs = zip(label.triples, ends, strict=True)
        triples = tuple(dataclasses.replace(one, head=head, tail=tail) for one, (head, tail) in pairs)
        return Graph(moved(label.entities, edits), triples)
    if isinstance(label, Mapping):
        return {name: moved_label(part, edits) if placed(part) else part for name, part in label.items()}
    return moved(label, edits)  # type: ignore[arg-type, type-var]


def _growth(edit: Edit) -> int:
    return len(edit.text) - (edit.end - edit.start)


def _shifted(span: Placed, by: int) -> Placed:
    return dataclasses.replace(span, start=span.start + by, end=span.end + by)
