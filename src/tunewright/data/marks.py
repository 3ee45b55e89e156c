"""Spans as cells tell them: mappings, triples, a tag for every word, or names with the texts they stand for."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tunewright.core.errors import DataError, LabelError, listing
from tunewright.core.spans import bounds
from tunewright.core.types import Span
from tunewright.data import conlltext
from tunewright.data.cell import is_empty
from tunewright.data.places import SHOWN, Located


def spans(value: Any, text: Located) -> tuple[Span, ...] | None:
    """The spans in a cell, in order; None where it says nothing. Any form may be given as JSON too.

    Forms: a list of {"start", "end", "label"}, with or without "text", or of [start, end, label]; a tag for every word; or
    {name: text} or {name: [texts]}, whose texts are looked up. Raises LabelError with what does not fit.
    """
    found = listed(value, text)
    return None if found is None else flat(found, text)


def listed(value: Any, text: Located) -> list[Span] | None:
    """The same in the order in which the cell lists them; those of tags and of names in the order of the text."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, str):
        value = _json(value) if value.lstrip().startswith(("[", "{")) else value.split()
    if isinstance(value, Mapping):
        return sorted(_looked_up(value, str(text.text)), key=_order)
    if not isinstance(value, (list, tuple)):
        raise LabelError(f"A list of spans, or a tag for every word, is expected, not {value!r:.80}.")
    if value and all(isinstance(part, str) for part in value):
        return _from_tags(value, text)
    return [_span(part, text) for part in value]


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise LabelError(f"The spans are no JSON: {text!r:.80}.") from None


def _from_tags(tags: Sequence[str], text: Located) -> list[Span]:
    """Spans from a tag for every word; of a text that is no list, words are what blanks part, or else characters."""
    places = text.words
    if places is None:
        words, characters = ([one.span() for one in re.finditer(form, str(text.text))] for form in (r"\S+", r"\S"))
        places = characters if len(tags) == len(characters) else words
    if len(tags) != len(places):
        raise LabelError(f"{len(places)} words have {len(tags)} tags. Give each word one tag.")
    if wrong := next((tag for tag in tags if not conlltext.is_tag(tag)), None):
        raise LabelError(f"{wrong!r:.40} is no tag: BIO or BIOES tags are expected (O, B-PER, I-PER, …).")
    return [Span(**found) for found in conlltext.spans(tags, places)]


def _span(part: Any, text: Located) -> Span:
    """A span from a mapping of start, end and label, or these three in a list."""
    if isinstance(part, (list, tuple)) and len(part) == 3:
        part = dict(zip(("start", "end", "label"), part, strict=True))
    if not isinstance(part, Mapping) or is_empty(part.get("label")):
        raise LabelError(f"A span has start, end and label; this one is {part!r:.80}.")
    try:
        return Span(*text.place(part, "A span"), str(part["label"]).strip())
    except DataError as error:  # of the label, and not of the text
        raise LabelError(str(error)) from None


def _looked_up(told: Mapping[str, Any], text: str) -> Iterator[Span]:
    """A span for every value of {name: text or texts}: where the text first has it and no other value stands.

    The longest are looked up first, so that none of them is taken apart; a name without a value has no span.
    """
    wanted = []
    for name, values in told.items():
        for value in values if isinstance(values, (list, tuple)) else [values]:
            if isinstance(value, (list, tuple, Mapping)):
                raise LabelError(f"{name!r:.{SHOWN}} stands for a text, or for a list of texts, not for {value!r:.80}.")
            if not is_empty(value):
                wanted.append((str(value).strip(), str(name).strip()))
    starts, ends = (set(edges) for edges in bounds(text).T.tolist())
    taken: list[tuple[int, int]] = []
    for value, name in sorted(wanted, key=lambda item: -len(item[0])):
        places = [(start, start + len(value)) for start in _occurrences(value, text)]
        free = [place for place in places if not any(place[0] < end and start < place[1] for start, end in taken)]
        if not free:
            again = ", or there only inside another" if places else ""
            raise LabelError(
                f"{name!r:.{SHOWN}} is {value!r:.{SHOWN}}, which does not stand in the text{again}. Give it as the text "
                "has it, or tell its start and end."
            )
        # Whole words go first: "to" is not meant in "tomorrow".
        place = next((place for place in free if place[0] in starts and place[1] in ends), free[0])
        taken.append(place)
        yield Span(*place, name)


def _occurrences(value: str, text: str) -> Iterator[int]:
    at = text.find(value)
    while at >= 0:
        yield at
        at = text.find(value, at + 1)


def flat(found: Sequence[Span], text: Located) -> tuple[Span, ...]:
    """In order, each once. Raises LabelError where two overlap."""
    ordered = sorted(set(found), key=_order)
    for first, second in itertools.pairwise(ordered):
        if second.start < first.end:
            stands = [f"{str(text.text)[s.start : s.end]!r:.{SHOWN}}" for s in (first, second)]
            shown = listing(
                [f"{t} ({s.start}–{s.end}, {s.label})" for t, s in zip(stands, (first, second), strict=True)]
            )
            raise LabelError(f"Two spans overlap: {shown}. A character can be in one span only: keep one of them.")
    return tuple(ordered)


def _order(span: Span) -> tuple[int, int, str]:
    return span.start, span.end, span.label
