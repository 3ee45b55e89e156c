"""Mark known entities, and relate two as most of their kind are: by the words between them, or else by types and order."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from tunewright.core import gazetteer, graphs, lexical
from tunewright.core.contracts import Baseline, Given, Task
from tunewright.core.types import Example, Graph, Prediction, Span, Triple

SHARES = (0.0, 0.25, 0.5, 0.75)  # of an entity and of a relation, tried on validation
OFTEN = 3  # times that the words between two entities have to be seen for them to count

Found = tuple[tuple[Span, ...], list[Triple]]  # entities, and of each pair the likeliest relation, with its share


@dataclass(frozen=True)
class KnownPairs(Baseline):
    """What can be had without a network: entities of the training rows where they occur again, and the relation that most
    pairs with these words between them have, or most of these types in this order with as many entities between."""

    least_share: Annotated[float, Field(ge=0, le=1)] | None = (
        None  # relations that fewer of the like training pairs have are not said; null: what is best on validation
    )

    def suits(self, task: Task) -> bool:
        """See Baseline.suits: tasks whose answers are entities and the relations between them."""
        return isinstance(task.measures, graphs.GraphMeasures)

    def predict(self, given: Given) -> list[Prediction]:
        """See Baseline.predict. Among shares that are equally good on validation, the least."""
        texts = _texts(given.train)
        known = gazetteer.learn(texts, [example.label.entities for example in given.train])  # type: ignore[union-attr]
        counts = _counts(texts, [example.label for example in given.train])  # type: ignore[misc]
        held_out = {share: _found(_texts(given.validation), known, share, counts) for share in SHARES}
        relations = SHARES if self.least_share is None else (self.least_share,)

        def quality(shares: tuple[float, float]) -> tuple[float, ...]:
            said = [_said(found, shares[1]) for found in held_out[shares[0]]]
            values = given.task.measures.metrics([one.label for one in given.validation], said, given.labels)
            return values["triple_f1"], values["entity_f1"]

        entity, relation = max(itertools.product(SHARES, relations), key=quality)
        return [_said(found, relation) for found in _found(_texts(given.test), known, entity, counts)]


def _found(
    texts: Sequence[str], known: gazetteer.Gazetteer, least: float, counts: dict[Hashable, Counter[str]]
) -> list[Found]:
    found = []
    for text, entities in zip(texts, gazetteer.mark(texts, known, least), strict=True):
        likely = (_likeliest(head, tail, kinds, counts) for head, tail, kinds in _pairs(text, entities))
        found.append((entities, [triple for triple in likely if triple is not None]))
    return found


def _said(found: Found, least: float) -> Prediction:
    entities, likely = found
    triples = tuple(triple for triple in likely if triple.score >= least)
    return Prediction(Graph(entities, triples), min((one.score for one in (*entities, *triples)), default=1.0))


def _counts(texts: Sequence[str], gold: Sequence[Graph]) -> dict[Hashable, Counter[str]]:
    """What pairs have in common → how often each relation holds between such pairs; "" for none."""
    counts: dict[Hashable, Counter[str]] = defaultdict(Counter)
    for text, graph in zip(texts, gold, strict=True):
        related = {(triple.head, triple.tail): triple.relation for triple in graph.triples}
        for head, tail, kinds in _pairs(text, graph.entities):
            for kind in kinds:
                counts[kind][related.get((head, tail), "")] += 1
    return counts


def _likeliest(
    head: Span, tail: Span, kinds: Sequence[Hashable], counts: dict[Hashable, Counter[str]]
) -> Triple | None:
    """The commonest relation between such pairs, by the first of `kinds` that was seen often enough."""
    narrow, wide = (counts.get(kind, Counter()) for kind in kinds)
    seen = narrow if narrow.total() >= OFTEN else wide
    relations = [(times, name) for name, times in seen.items() if name]
    if not relations:
        return None
    times, name = max(relations)
    return Triple(head, name, tail, times / seen.total())


def _pairs(text: str, entities: Sequence[Span]) -> Iterator[tuple[Span, Span, tuple[Hashable, Hashable]]]:
    """Every two entities, and what they have in common with others, the narrower kind first."""
    for one, other in itertools.combinations(range(len(entities)), 2):
        left, right = entities[one], entities[other]
        words = tuple(lexical.units(text[left.end : right.start]))
        for head, tail in ((left, right), (right, left)):
            types = head.label, tail.label, head is left
            yield head, tail, ((*types, words), (*types, other - one))


def _texts(examples: Sequence[Example]) -> list[str]:
    return [str(example.inputs["text"]) for example in examples]
