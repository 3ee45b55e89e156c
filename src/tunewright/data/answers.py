"""Answers as rows tell them: texts of a context, alone or with their places, in any of the usual forms."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tunewright.core.errors import DataError, LabelError
from tunewright.core.types import Answer
from tunewright.data.cell import is_empty
from tunewright.data.places import SHOWN, Located

STARTS = ("start", "answer_start", "start_offset")  # how mappings name where an answer starts; the second is SQuAD's
ENDS = ("end", "answer_end", "end_offset")


def answers_in(cell: Any, context: Located) -> tuple[Answer, ...] | None:
    """The answers that a cell holds, each once; () where it says that there is none, None where it says nothing.

    A cell holds one answer or a list of them, as JSON too, or SQuAD's {"text": [...], "answer_start": [...]}. An answer
    is a mapping of text and start, or of start and end, or a text alone, which is taken where it first stands. Raises
    LabelError for one that does not stand in the context, or not there.
    """
    if is_empty(cell):
        return None
    return tuple(dict.fromkeys(_answer(part, context) for part in _parts(cell, str(context.text))))


def _parts(value: Any, context: str) -> list[Any]:
    """The answers in a cell one by one; those without a text are none."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{") and value not in context:
        try:
            value = json.loads(value)
        except ValueError:
            raise LabelError(f"The answers are no JSON, and do not stand in the context: {value!r:.80}.") from None
    if isinstance(value, Mapping) and isinstance(value.get("text"), (list, tuple)):
        value = _turned(value)
    parts = value if isinstance(value, (list, tuple)) else [value]
    return [part for part in parts if not is_empty(part.get("text", "-") if isinstance(part, Mapping) else part)]


def _turned(columns: Mapping[str, Any]) -> list[dict[str, Any]]:
    """{"text": [a, b], "answer_start": [1, 2]} as a mapping for each answer."""
    lists = {name: cells for name, cells in columns.items() if isinstance(cells, (list, tuple))}
    if len({len(cells) for cells in lists.values()}) > 1:
        raise LabelError(f"Each answer needs a text and a start; these lists differ in length: {columns!r:.80}.")
    return [dict(zip(lists, cells, strict=True)) for cells in zip(*lists.values(), strict=True)]


def _answer(part: Any, context: Located) -> Answer:
    if isinstance(part, (str, int)) and not isinstance(part, bool):
        part = {"text": str(part)}
    if isinstance(part, Mapping):
        start, end = (
            next((part[name] for name in names if part.get(name) is not None), None) for names in (STARTS, ENDS)
        )
        text = part.get("text")
        if start is None and isinstance(text, str):
            start, end = _found(text, str(context.text))
            return Answer(str(context.text)[start:end], start, end)
        if end is None and type(start) is int and isinstance(text, str) and context.words is None:
            end = start + len(text)
        part = {"start": start, "end": end, "text": text}
    try:
        start, end = context.place(part, "An answer")
    except DataError as error:  # of the label, and not of the context
        raise LabelError(f"{error}{_elsewhere(part, str(context.text))}") from None
    return Answer(str(context.text)[start:end], start, end)


def _found(text: str, context: str) -> tuple[int, int]:
    """Where an answer without a place first stands."""
    text = text if text in context else text.strip()
    start = context.find(text)
    if start < 0:
        near = " In other letter case it does." if text.lower() in context.lower() else ""
        raise LabelError(
            f"The answer {text!r:.{SHOWN}} does not stand in the context.{near} An answer is a stretch of the context, "
            "character by character: mend the row or leave it out."
        )
    return start, start + len(text)


def _elsewhere(part: Any, context: str) -> str:
    text = part.get("text") if isinstance(part, Mapping) else None
    start = context.find(text) if isinstance(text, str) and text else -1
    return f" It does stand at {start}." if start >= 0 else ""
