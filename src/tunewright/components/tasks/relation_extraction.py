"""Say how two entities in a text relate: one label for a text with its head and tail marked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tunewright.core import classes
from tunewright.core.contracts import Measures
from tunewright.core.relations import RelationMeasures
from tunewright.core.types import Label
from tunewright.data.cell import is_empty, plain
from tunewright.data.places import located

# Signs around head and tail: every tokenizer knows them, and they do as well as new tokens (Zhou and Chen 2022, section 3.1).
MARKS = {"head": "@", "tail": "#"}


@dataclass(frozen=True)
class RelationExtraction(classes.LabelTask):
    """A text, and where its head and its tail stand, to the name of their relation."""

    negative: str = "Other"  # the label of pairs that have none of the relations; it stands in no measure of relations

    inputs: ClassVar[tuple[str, ...]] = ("text", "head", "tail")
    target: ClassVar[str] = "relation"
    metric: ClassVar[str] = "relation_f1"
    baselines: ClassVar[tuple[str, ...]] = ("majority", "tfidf", "linear_probe")
    placed: ClassVar[bool] = True
    marks: ClassVar[tuple[str, ...]] = tuple(MARKS.values())

    @property
    def measures(self) -> Measures:  # type: ignore[override]
        """See Task.measures and core.relations."""
        return RelationMeasures(negative=self.negative)

    def read(self, cells: Mapping[str, Any]) -> tuple[dict[str, Any], Label]:
        """See Task.read: one text with both marked, "… @ head @ … # tail # …".

        head and tail are places as data.places has them.
        """
        text = located(cells.get("text"))
        told = {role: plain(cells.get(role)) for role in MARKS}
        marked = text.text
        if not any(map(is_empty, (marked, *told.values()))):
            marked = _marked(str(marked), {role: text.place(value, f"The {role}") for role, value in told.items()})
        value = plain(cells.get("relation"))
        return {"text": marked}, None if is_empty(value) else classes.one(value)


def _marked(text: str, ends: Mapping[str, tuple[int, int]]) -> str:
    """The text with both marked; where one stands inside the other, the marks nest."""
    marks = []
    for role, (start, end) in ends.items():
        marks += [(start, 1, start - end, f"{MARKS[role]} "), (end, 0, end - start, f" {MARKS[role]}")]
    for place, *_, mark in sorted(marks, reverse=True):
        text = text[:place] + mark + text[place:]
    return text


def sample(folder: Any) -> list[dict[str, Any]]:
    """Rows for the conformance suite (tunewright/testing/conformance.py)."""
    triples = {
        "Works(e1,e2)": (("Anna", " works for ", "Acme"), ("王明", "在", "北京"), ("a", "b", "c")),
        "Cause(e2,e1)": (("flood", " came from ", "rain " * 30), ("病", "源自", "寒冷"), ("😀 x", " by ", "y!")),
        "Other": (("Bob", " met ", "Eve"), ("书", "和", "电影"), ("movie", ", ", "music")),
    }
    return [
        {
            "text": one + between + other,
            "head": [0, len(one)],
            "tail": {"start": len(one + between), "end": len(one + between + other)},
            "relation": relation,
        }
        for relation, parts in triples.items()
        for one, between, other in parts
    ]
