"""The nouns that travel between layers: Example, Window, Prediction, Policy, Note."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Span:
    """A labelled stretch of an example's text: characters `start` up to, not including, `end`.

    score: how sure a model is of it, in [0, 1]; no part of what it is.
    """

    start: int
    end: int
    label: str
    score: float | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Rejected:
    """A document of which it is known that it does not answer the query it stands beside."""

    document: str


@dataclass(frozen=True)
class Answer:
    """A stretch of a text that answers a question: what stands there, characters `start` up to, not including, `end`."""

    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Frame:
    """What a request wants, and the stretches of its text that say of what."""

    intent: str
    slots: tuple[Span, ...] = ()


@dataclass(frozen=True)
class Triple:
    """Two entities of a text and the name of the relation that goes from the head to the tail.

    score: how sure a model is of the relation, given both; no part of what it is.
    """

    head: Span
    relation: str
    tail: Span
    score: float | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Graph:
    """The entities of a text in order, and the relations between them."""

    entities: tuple[Span, ...] = ()
    triples: tuple[Triple, ...] = ()


# What a label may be: a name, several names, spans, intent and slots, entities and relations, a number (regression), a text
# (generation), the answers of which each is right (none of them: the text has no answer), of several tasks each one's by its
# name, or unknown.
Label = str | tuple[str, ...] | tuple[Span, ...] | tuple[Answer, ...] | Frame | Graph | Mapping[str, Any] | float | None
BELOW = "/"  # between a task's name and a label of it, where a list holds those of several tasks
RELATION = "->"  # before a relation among label names: one list holds entities and relations, and none collide
INTENT = "#"  # before an intent among label names, as other tools write it: one list holds intents and slots, and none collide


@dataclass(frozen=True)
class Note:
    """One sentence for people, in English and Chinese. As a string it is the English one, for terminals and logs."""

    en: str
    zh: str

    def __str__(self) -> str:
        return self.en


@dataclass(frozen=True)
class Example:
    """One input with its label and id.

    id: where it came from, as "file:line" or "file#row"; inputs: role → value ("text" → str, "image" → path, …);
    columns: everything else its row held.
    """

    id: str
    inputs: Mapping[str, Any]
    label: Label = None
    columns: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Window:
    """What the model sees of one example at a time. A long example under `overflow: split` has several.

    example: index of its example in the list that was encoded;
    features: name → array without the batch axis ("input_ids" (tokens,), "labels" () or (tokens,), …);
    tokens: real tokens of the text in this window, without the special ones; shared: how many of them an earlier window
    of the example holds too; truncated: tokens cut off after it;
    offsets: (tokens, 2) character positions in the text of every token, special ones (0, 0); None where a task needs none.
    """

    example: int
    features: Mapping[str, np.ndarray]
    tokens: int
    shared: int = 0
    truncated: int = 0
    offsets: np.ndarray | None = None


@dataclass(frozen=True)
class Claim:
    """One thing that an answer says of a text, which a model takes to be more or less likely by itself.

    name: the key of the answer that it belongs to, as "slots"; label: what is said, None where that has no name;
    places: the characters it is said of, (start, end) each, in the input in which answers have places; none: of the whole.
    """

    name: str
    label: str | None
    places: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Policy:
    """How scores become decisions: what a bundle's decision.json holds.

    thresholds: label → least score at which a multi-label task says yes (0.5 where absent);
    accept: least score at which a single answer is given instead of abstaining (None: always answer).
    """

    thresholds: Mapping[str, float] = field(default_factory=dict)
    accept: float | None = None

    def decision(self, score: float) -> str:
        """What becomes of a single answer with this score: "model", it is given, or "abstain"."""
        return "model" if self.accept is None or score >= self.accept else "abstain"


@dataclass(frozen=True)
class Prediction:
    """What the model says of one example.

    value: the task's answer (a label name, several names, spans, intent and slots, entities and relations, a number, a text,
    an Answer or None for none; of several tasks each one's by its name);
    score: its calibrated probability in [0, 1]; scores: label → probability of every label;
    decision: "model", "abstain" when the score is below what the policy accepts, "parent" when it is and a wider answer is
    sure enough, or "error" when there was nothing to answer from (value None, score 0);
    truncated_tokens: how many of the input's tokens the model did not see;
    wider: answers that say less and hold where `value` does, the nearest first, each with its probability; under
    "parent" from the one on that is given;
    parts: of several tasks at once, each one's own prediction by its name; of a search whose documents another bundle has put
    into its own order, the search's under "search".
    """

    value: Any
    score: float
    scores: Mapping[str, float] = field(default_factory=dict)
    decision: str = "model"
    truncated_tokens: int = 0
    wider: tuple[tuple[Any, float], ...] = ()
    parts: Mapping[str, Prediction] = field(default_factory=dict)

    @property
    def given(self) -> tuple[Any, float]:
        """What is answered, with its score: the value, or under "parent" the wider answer in its place."""
        return self.wider[0] if self.decision == "parent" else (self.value, self.score)


def by_name(value: Any) -> Mapping[str, Any] | None:
    """The parts of a label or an answer by their names: intent and slots of a frame, entities and triples of a graph, those of
    several tasks; None: it has none."""
    if isinstance(value, Frame):
        return {"intent": value.intent, "slots": value.slots}
    if isinstance(value, Graph):
        return {"entities": value.entities, "triples": value.triples}
    return value if isinstance(value, Mapping) else None


def placed(label: Label) -> tuple[Span | Answer, ...]:
    """The stretches of its text in `label`: its spans, or answers, a frame's slots, or a graph's entities."""
    if (named := by_name(label)) is not None:
        return tuple(place for part in named.values() for place in placed(part))
    parts = label if isinstance(label, tuple) else ()
    return tuple(part for part in parts if isinstance(part, (Span, Answer)))


def by_task(label: Label) -> Mapping[str, Label]:
    """A label by the name of its task, where it is one of several tasks; any other under ""."""
    return label if isinstance(label, Mapping) else {"": label}


def label_names(label: Label) -> tuple[str, ...]:
    """Return the label names that `label` uses: none for numbers, answers, texts that are no labels, and the unknown.

    Of a frame: its intent with INTENT before it, and the names of its slots. Of a graph: those of its entities, and its
    relations with RELATION before each. Of several tasks: with the task before each. Of documents: they themselves.
    """
    if isinstance(label, Mapping):
        return tuple(f"{name}{BELOW}{own}" for name, part in label.items() for own in label_names(part))
    if isinstance(label, Rejected):
        return (label.document,)
    if isinstance(label, Frame):
        return (INTENT + label.intent, *label_names(label.slots))
    if isinstance(label, Graph):
        return (*label_names(label.entities), *(RELATION + triple.relation for triple in label.triples))
    if isinstance(label, str):
        return (label,)
    if isinstance(label, tuple):
        return tuple(part.label if isinstance(part, Span) else part for part in label if not isinstance(part, Answer))
    return ()
