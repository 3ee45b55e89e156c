"""Say how two entities in a text relate: one label for a text with its head and tail marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tunewright.core import classes
from tunewright.core.contracts import Measures, Task
from tunewright.core.errors import DataError, LabelError
from tunewright.core.relations import RelationMeasures
from tunewright.core.types import Example, Label, Policy, Prediction, Window
from tunewright.core.windows import weighted_mean, window
from tunewright.data import conlltext
from tunewright.data.cell import is_empty, plain

if TYPE_CHECKING:
    from tunewright.models.processor import Processor

# Signs around head and tail: every tokenizer knows them, and they do as well as new tokens (Zhou and Chen 2022, section 3.1).
MARKS = {"head": "@", "tail": "#"}


@dataclass(frozen=True)
class RelationExtraction(Task):
    """A text, and where its head and its tail stand, to the name of their relation."""

    negative: str = "Other"  # the label of pairs that have none of the relations; it stands in no measure of relations

    inputs: ClassVar[tuple[str, ...]] = ("text", "head", "tail")
    target: ClassVar[str] = "relation"
    head: ClassVar[str] = "pooled"
    objective: ClassVar[str] = "cross_entropy"
    metric: ClassVar[str] = "relation_f1"
    probe: ClassVar[bool] = True
    baselines: ClassVar[tuple[str, ...]] = ("majority", "tfidf", "linear_probe")

    @property
    def measures(self) -> Measures:  # type: ignore[override]
        """See Task.measures and core.relations."""
        return RelationMeasures(negative=self.negative)

    def read(self, cells: Mapping[str, Any]) -> tuple[dict[str, Any], Label]:
        """See Task.read: one text with both marked, "… @ head @ … # tail # …".

        head and tail: a mapping with start and end, or [start, end], in characters; in words where the text is a list.
        """
        text, places = plain(cells.get("text")), None
        if isinstance(text, (list, tuple)):
            if not all(isinstance(word, str) and word.strip() for word in text):
                raise DataError(f"A text, or a list of words that are not empty, is expected, not {text!r:.80}.")
            text, places = conlltext.join(text)
        ends = {role: _ends(role, plain(cells.get(role)), str(text), places) for role in MARKS}
        marked = _marked(str(text), ends) if not is_empty(text) and all(ends.values()) else text
        value = plain(cells.get("relation"))
        if isinstance(value, (list, tuple)):
            raise LabelError(f"One relation is expected, not a list: {value!r:.80}.")
        return {"text": marked}, None if is_empty(value) else classes.one(value)

    def encode(self, examples: Sequence[Example], processor: Processor, labels: Sequence[str]) -> list[Window]:
        """See Task.encode. "labels" is () int64."""
        targets = classes.targets(examples, labels)
        encoded = processor.encode([str(example.inputs["text"]) for example in examples])
        return [window(index, part, targets.get(index)) for index, parts in enumerate(encoded) for part in parts]

    def join(self, windows: Sequence[Window], outputs: Sequence[np.ndarray]) -> np.ndarray:
        """See Task.join: the mean of the windows' logits, weighted by their tokens. Returns (labels,)."""
        return weighted_mean(windows, outputs)

    def decode(
        self, logits: np.ndarray, windows: Sequence[Window], labels: Sequence[str], policy: Policy
    ) -> Prediction:
        """See Task.decode and core.classes."""
        return classes.decode(logits, windows, labels, policy)


def _ends(role: str, value: Any, text: str, places: Sequence[tuple[int, int]] | None) -> tuple[int, int] | None:
    """Characters of head or tail; None where the cell is empty."""
    if value is None or value == "":
        return None
    if isinstance(value, Mapping):
        value = (value.get("start"), value.get("end"), value.get("text"))
    if not isinstance(value, (list, tuple)) or len(value) < 2 or not all(type(end) is int for end in value[:2]):
        raise DataError(f"The {role} has a start and an end, as {{start: 4, end: 9}} or [4, 9]; it is {value!r:.80}.")
    start, end = value[:2]
    count, what = (len(text), "characters") if places is None else (len(places), "words")
    if not 0 <= start < end <= count:
        raise DataError(f"The {role} goes from {start} to {end}, and the text has {count} {what}.")
    if places is not None:
        start, end = places[start][0], places[end - 1][1]
    if len(value) > 2 and isinstance(value[2], str) and value[2] != text[start:end]:
        raise DataError(
            f"The {role} says that its text is {value[2]!r:.40}, and {text[start:end]!r:.40} stands there. Offsets count "
            "characters from 0 (words, where the text is a list of words), and the end is behind the last."
        )
    return start, end


def _marked(text: str, ends: Mapping[str, tuple[int, int]]) -> str:
    """The text with both marked; where one stands inside the other, the marks nest."""
    marks = []
    for role, (start, end) in ends.items():
        length = end - start
        marks += [(start, 1, -length, f"{MARKS[role]} "), (end, 0, length, f" {MARKS[role]}")]
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
