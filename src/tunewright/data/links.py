"""Relations as cells tell them: which of a text's entities each goes from and to, and its name."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tunewright.core.errors import DataError, LabelError, listing, nearest
from tunewright.core.names import is_empty, one
from tunewright.core.types import Span, Triple
from tunewright.data.places import SHOWN, Located

NAMES = ("relation", "label", "type", "predicate")  # keys that a relation's name stands under
KEYS = ("head", "tail", *NAMES, "score")


def triples(value: Any, text: Located, entities: Sequence[Span]) -> tuple[Triple, ...]:
    """The relations in a cell, by their places in the text; none where it says nothing. They may be given as JSON too.

    Each is a mapping of "head", "tail" and "relation" (or another of NAMES). Head and tail are entities of the row, told by
    their number in the row's list (from 0), by their place as data.places has it, or by their text where only one entity has
    it. `entities` are those, in the order of that list. Raises LabelError with what does not fit.
    """
    if is_empty(value):
        return ()
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise LabelError(f"The relations are no JSON: {value!r:.80}.") from None
    if not isinstance(value, (list, tuple)):
        raise LabelError(f"A list of relations is expected, not {value!r:.80}.")
    found = {_triple(told, text, entities) for told in value}
    return _one_a_pair(sorted(found, key=_order), str(text.text))


def _order(triple: Triple) -> tuple[int, int, str]:
    return triple.head.start, triple.tail.start, triple.relation


def _triple(told: Any, text: Located, entities: Sequence[Span]) -> Triple:
    if not isinstance(told, Mapping) or not {"head", "tail"} <= told.keys():
        raise LabelError(f"A relation has head, tail and relation; this one is {told!r:.80}.")
    if unknown := [key for key in told if key not in KEYS]:
        raise LabelError(
            f"A relation has the key {str(unknown[0])!r:.{SHOWN}}.{nearest(str(unknown[0]), KEYS)} Known: {listing(KEYS)}."
        )
    names = [name for name in NAMES if not is_empty(told.get(name))]
    if len(names) != 1:
        has = f"several names ({listing(names)})" if names else "no name"
        raise LabelError(f"A relation has {has}: {told!r:.80}. Give it one, under one of {listing(NAMES)}.")
    head, tail = (_entity(told[role], role, text, entities) for role in ("head", "tail"))
    if head == tail:
        raise LabelError(f"A relation has the same entity as head and tail: {told!r:.80}. It needs two.")
    return Triple(head, one(told[names[0]]), tail)


def _entity(told: Any, role: str, text: Located, entities: Sequence[Span]) -> Span:
    """The entity that is a relation's head or tail."""
    stands = {span: str(text.text)[span.start : span.end] for span in entities}
    if type(told) is int:
        if not 0 <= told < len(entities):
            known = f"numbers 0 to {len(entities) - 1}" if entities else "none"
            raise LabelError(f"A relation's {role} is entity number {told}, and the row's entities are {known}.")
        return entities[told]
    if isinstance(told, str):
        found = [span for span in stands if stands[span] == told]
        if len(found) != 1:
            many = f"{len(found)} entities have" if found else "no entity has"
            raise LabelError(
                f"A relation's {role} is {told!r:.{SHOWN}}, and {many} this text.{nearest(told, set(stands.values()))} "
                "Tell its number among the entities, or its start and end."
            )
        return found[0]
    try:
        place = text.place(told, f"A relation's {role}")
    except DataError as error:  # of the label, and not of the text
        raise LabelError(str(error)) from None
    if (found := next((span for span in stands if (span.start, span.end) == place), None)) is None:
        known = [f"{stands[span]!r:.{SHOWN}} ({span.start}–{span.end})" for span in stands]
        raise LabelError(
            f"A relation's {role} {told!r:.80} is {str(text.text)[slice(*place)]!r:.{SHOWN}}, which is no entity of the row. "
            f"Its entities: {listing(known, 6) or 'none'}."
        )
    return found


def _one_a_pair(found: Sequence[Triple], text: str) -> tuple[Triple, ...]:
    """Refuses two relations from one entity to another."""
    seen: dict[tuple[Span, Span], str] = {}
    for triple in found:
        if other := seen.get((triple.head, triple.tail)):
            ends = [repr(text[span.start : span.end])[:SHOWN] for span in (triple.head, triple.tail)]
            raise LabelError(
                f"Two relations go from {ends[0]} to {ends[1]}: {other} and {triple.relation}. A pair has one in each "
                "direction: keep one of them."
            )
        seen[triple.head, triple.tail] = triple.relation
    return tuple(found)
