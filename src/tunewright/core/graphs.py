"""Graphs: entities and the relations between them under one list of labels; how pairs are scored, and how both are measured.

Of two entities, one stands on the left. A relation from it to the right one and one back are scored apart, each by a biaffine
map of low rank (Dozat and Manning 2017, with the matrix factored) and by what stands between (as Eberts and Ulges 2020 look
there): score(left, right) = <u(left), v(right)> + a(left) + b(right) + max(0, the largest c of the tokens between, entities
aside), and 0 for no relation. u, v, a, b and c are linear in a token's hidden state, so one token classifier holds
entities and relations.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from tunewright.core import measures, spans
from tunewright.core.contracts import Measures
from tunewright.core.measures import Counts
from tunewright.core.types import RELATION, Graph, Label, Prediction, Triple

# Columns of the labels of a window. A tag stands at its token; entities and relations are lists that begin at the first row.
TAG, FIRST, LAST, HEAD, TAIL, NAME, TAGS, RELATIONS = range(8)
COLUMNS = 8


def entities(labels: Sequence[str]) -> tuple[str, ...]:
    """The names of entities among `labels`."""
    return tuple(label for label in labels if not label.startswith(RELATION))


def relations(labels: Sequence[str]) -> tuple[str, ...]:
    """The relations among `labels`, without the sign before them."""
    return tuple(label.removeprefix(RELATION) for label in labels if label.startswith(RELATION))


def width(rank: int) -> int:
    """How many numbers a token gives for a relation in one direction: u and a, v and b, and c."""
    return 2 * (rank + 1) + 1


def pair_scores(outputs: np.ndarray, stretches: np.ndarray, count: int) -> np.ndarray:
    """(entities, entities, 1 + relations) the logits of each relation from the first entity to the second; none comes first.

    outputs: (tokens, 2 * relations * width), first those of relations to the right; stretches: (entities, 2) the first and the
    last token of each entity, in order, over whose tokens u, v, a and b are averaged; count: how many relations there are.
    """
    outputs, size = outputs.reshape(len(outputs), 2, count, -1), len(stretches)
    ends = np.array([np.mean(outputs[first : last + 1, ..., :-1], axis=0) for first, last in stretches.tolist()])
    left, right = np.split(ends.transpose(1, 2, 0, 3), 2, axis=-1)  # (directions, relations, entities, rank + 1)
    scores = left[..., :-1] @ right[..., :-1].swapaxes(-1, -2) + left[..., -1:] + right[..., -1:].swapaxes(-1, -2)
    scores += _between(outputs[..., -1], stretches).transpose(2, 3, 0, 1)
    ahead, back = scores
    scores = np.where(np.arange(size)[:, None] < np.arange(size), ahead, back.swapaxes(-1, -2))
    return np.concatenate([np.zeros((1, size, size)), scores]).transpose(1, 2, 0)


def _between(evidence: np.ndarray, stretches: np.ndarray) -> np.ndarray:
    """(entities, entities, directions, relations) the largest evidence (tokens, directions, relations) between two, 0 at least."""
    found = np.zeros((len(stretches), len(stretches), *evidence.shape[1:]))
    for index, (stop, start) in enumerate(zip(stretches[:-1, 1] + 1, stretches[1:, 0], strict=True)):
        found[: index + 1, index + 1] = np.max(evidence[stop:start], axis=0, initial=0.0)
    return np.maximum.accumulate(found, axis=1)


class GraphMeasures(Measures):
    """Of answers that are graphs. A triple is right where its relation and both entities are, boundaries and types: "Rel+" of
    Zhong and Chen (2021), who call it "Rel" where the types of the entities do not count."""

    def metrics(
        self, gold: Sequence[Label], predictions: Sequence[Prediction], labels: Sequence[str]
    ) -> dict[str, Any]:
        """See Measures.metrics: "triple_f1", "triple_precision" and "triple_recall"; "untyped_triple_f1", in which the types of
        entities do not count; "entity_f1"; "accuracy" (rows without a mistake); all micro; and "per_class", in which
        entities and relations count themselves."""
        both = [(true, said.value) for true, said in zip(gold, predictions, strict=True) if true is not None]
        gold, said = [true for true, _ in both], [value for _, value in both]
        once = np.ones((1, len(both)))
        found = {name: float(_weighed(name, gold, said)(once)[0]) for name in METRICS}
        return {"n": len(both), **found, "per_class": _per_class(gold, said, labels)}

    def quality(self, gold: Label, prediction: Prediction) -> float:
        """See Measures.quality: half for the row's F1 of entities, and half for that of triples."""
        said = prediction.value
        return (spans.row_f1(gold.entities, said.entities) + spans.row_f1(gold.triples, said.triples)) / 2

    def weighed(
        self, metric: str, gold: Sequence[Label], predictions: Sequence[Prediction], labels: Sequence[str]
    ) -> Callable[[np.ndarray], np.ndarray] | None:
        """See Measures.weighed."""
        return _weighed(metric, gold, [said.value for said in predictions]) if metric in METRICS else None


Items = Callable[[Graph], set[Hashable]]


def _untyped(graph: Graph) -> set[Hashable]:
    ends = (((one.head.start, one.head.end), (one.tail.start, one.tail.end)) for one in graph.triples)
    return {(*pair, one.relation) for pair, one in zip(ends, graph.triples, strict=True)}


def _triples(graph: Graph) -> set[Hashable]:
    return set(graph.triples)


# What is counted of a graph, and how hits, true and said ones make up the measure.
METRICS: dict[str, tuple[Items, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]]] = {
    "triple_f1": (_triples, lambda hits, true, said: _share(2 * hits, true + said)),
    "triple_precision": (_triples, lambda hits, true, said: _share(hits, said)),
    "triple_recall": (_triples, lambda hits, true, said: _share(hits, true)),
    "untyped_triple_f1": (_untyped, lambda hits, true, said: _share(2 * hits, true + said)),
    "entity_f1": (lambda graph: set(graph.entities), lambda hits, true, said: _share(2 * hits, true + said)),
    "accuracy": (lambda graph: {graph}, lambda hits, true, said: _share(hits, true)),
}


def _weighed(metric: str, gold: Sequence[Graph], said: Sequence[Graph]) -> Callable[[np.ndarray], np.ndarray]:
    items, measure = METRICS[metric]
    pairs = [(items(true), items(given)) for true, given in zip(gold, said, strict=True)]
    counts = np.array([(len(a & b), len(a), len(b)) for a, b in pairs], dtype=float).reshape(-1, 3)
    return lambda weights: measure(*(weights @ counts).T)


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)


def _per_class(gold: Sequence[Graph], said: Sequence[Graph], labels: Sequence[str]) -> dict[str, Any]:
    names = relations(labels)
    inside = spans.count([true.entities for true in gold], [given.entities for given in said], entities(labels))
    sides = [[set(graph.triples) for graph in side] for side in (gold, said)]
    hits = [true & given for true, given in zip(*sides, strict=True)]
    counted = (_by_relation(side, names) for side in (hits, *sides))
    between = Counts(*counted, exact=np.asarray(0), rows=np.asarray(len(gold)))
    found = {
        **measures.per_class(inside, entities(labels)),
        **measures.per_class(between, [RELATION + name for name in names]),
    }
    return {label: found[label] for label in labels}


def _by_relation(rows: Sequence[set[Triple]], names: Sequence[str]) -> np.ndarray:
    index = {name: place for place, name in enumerate(names)}
    return np.bincount([index[one.relation] for row in rows for one in row], minlength=len(names))
