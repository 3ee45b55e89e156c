"""Find the entities in a text and the relations between them at once: triples of head, relation and tail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from tunewright.core import graphs, measures, spans, units
from tunewright.core.contracts import Claims, Measures, Task
from tunewright.core.errors import LabelError
from tunewright.core.numeric import softmax
from tunewright.core.types import RELATION, Claim, Example, Graph, Label, Policy, Prediction, Span, Triple, Window
from tunewright.core.units import IGNORED, UnitWindow
from tunewright.data import links, marks
from tunewright.data.cell import is_empty, plain
from tunewright.data.places import located

if TYPE_CHECKING:
    from tunewright.models.processor import Processor


@dataclass(frozen=True)
class Triples(Task):
    """Texts to graphs, by one pass of one network: each token gives its tag, and numbers for itself as head and as tail of
    each relation, of which pairs of entities are scored (core/graphs.py)."""

    rank: Annotated[int, Field(ge=1)] = (
        16  # how many products a pair's score adds up, for each relation and direction; each takes two outputs of a token
    )

    inputs: ClassVar[tuple[str, ...]] = ("text",)
    targets: ClassVar[tuple[str, ...]] = ("entities", "triples")  # type: ignore[assignment]
    head: ClassVar[str] = "tokens"
    objective: ClassVar[str] = "entities_and_relations"
    measures: ClassVar[Measures] = graphs.GraphMeasures()
    metric: ClassVar[str] = "triple_f1"
    baselines: ClassVar[tuple[str, ...]] = ("known_pairs",)
    placed: ClassVar[bool] = True
    rate: ClassVar[float] = (
        3.0  # a fresh map to hundreds of outputs learns from few pairs a row: SciERC's validation F1 rises faster
    )

    @property
    def claims(self) -> Claims:  # type: ignore[override]
        """See Task.claims: the entities, and the relations between two of them each."""
        return _Claims()

    def read(self, cells: Mapping[str, Any]) -> tuple[dict[str, Any], Label]:
        """See Task.read; data.marks says what a cell of entities may hold, and data.links one of relations.

        Entities without relations are a whole label.
        """
        text = located(cells.get("text"))
        told, triples = marks.listed(plain(cells.get("entities")), text), plain(cells.get("triples"))
        if told is None:
            if not is_empty(triples) and triples not in ("[]", []):
                raise LabelError("The row has relations and no entities. Give it its entities, or leave both empty.")
            return {"text": text.text}, None
        if wrong := next((span.label for span in told if span.label.startswith(RELATION)), None):
            raise LabelError(f"The entity {wrong!r:.40} begins with {RELATION}, which marks relations. Rename it.")
        return {"text": text.text}, Graph(marks.flat(told, text), links.triples(triples, text, told))

    def outputs(self, labels: Sequence[str]) -> tuple[str, ...]:
        """See Task.outputs: O, B- and I- of every entity, then numbers for every relation to the right, and to the left."""
        names, numbers = graphs.relations(labels), range(graphs.width(self.rank))
        pairs = (f"{sign} {name} {n}" for sign in (RELATION, "<-") for name in names for n in numbers)
        return (*spans.tags(graphs.entities(labels)), *pairs)

    def encode(self, examples: Sequence[Example], processor: Processor, labels: Sequence[str]) -> list[Window]:
        """See Task.encode. "labels" is (rows, 8), as core.graphs has its columns; as many rows as tokens, or as relations."""
        names, kinds = graphs.entities(labels), [label for label in labels if label.startswith(RELATION)]
        gold = [None if example.label is None else example.label.entities for example in examples]
        found = units.windows(examples, gold, processor, names)
        own: dict[int, list[UnitWindow]] = {}
        for window in found:
            own.setdefault(window.example, []).append(window)
        for index, windows in own.items():
            if (graph := examples[index].label) is None:
                continue
            wanted = [RELATION + triple.relation for triple in graph.triples]
            numbers = measures.encode_labels(wanted, kinds, [examples[index].id] * len(wanted))
            for window, stretch in zip(windows, units.stretches(graph.entities, windows), strict=True):
                tags = window.features["labels"]
                window.features["labels"] = _labels(tags, stretch, graph, numbers, (len(spans.tags(names)), len(kinds)))
        return list(found)

    def decode(
        self, logits: np.ndarray, windows: Sequence[Window], labels: Sequence[str], policy: Policy
    ) -> Prediction:
        """See Task.decode. The likeliest lawful tags, then the likeliest relation of every two entities, or none.

        A pair is looked at in the window where it is farthest from an edge, and has no relation where no window holds both.
        The score is that of the least certain decision, a tag or a pair.
        """
        names, kinds = graphs.entities(labels), graphs.relations(labels)
        logits, tags = np.asarray(logits, dtype=np.float64), len(spans.tags(names))
        found, sure = units.marked(logits[:, :tags], windows, names)
        triples = []
        for (head, tail), probabilities in _pairs(logits[:, tags:], windows, found, len(kinds)).items():
            best = int(np.argmax(probabilities))
            sure = min(sure, float(probabilities[best]))
            if best:
                triples.append(Triple(found[head], kinds[best - 1], found[tail], float(probabilities[best])))
        return Prediction(
            value=Graph(found, tuple(triples)),
            score=sure,
            decision=policy.decision(sure),
            truncated_tokens=sum(part.truncated for part in windows),
        )


def _labels(
    tags: np.ndarray, stretch: np.ndarray, graph: Graph, numbers: np.ndarray, sizes: tuple[int, int]
) -> np.ndarray:
    """A window's labels (rows, 8), with the entities and relations that are whole in it.

    tags: (tokens,); stretch: (entities, 2) their first and last tokens; numbers: (relations,) which relation each is;
    sizes: how many tags and relations there are.
    """
    whole = np.flatnonzero(stretch[:, 0] >= 0)
    place = {graph.entities[index]: number for number, index in enumerate(whole)}
    inside = [
        (place[one.head], place[one.tail], number)
        for one, number in zip(graph.triples, numbers, strict=True)
        if one.head in place and one.tail in place
    ]
    found = np.full((max(len(tags), len(inside)), graphs.COLUMNS), IGNORED, dtype=np.int64)
    found[: len(tags), graphs.TAG] = tags
    found[: len(whole), [graphs.FIRST, graphs.LAST]] = stretch[whole]
    found[: len(inside), [graphs.HEAD, graphs.TAIL, graphs.NAME]] = np.array(inside, dtype=np.int64).reshape(-1, 3)
    found[:, [graphs.TAGS, graphs.RELATIONS]] = sizes
    return found


def _pairs(
    outputs: np.ndarray, windows: Sequence[UnitWindow], found: Sequence[Span], count: int
) -> dict[tuple[int, int], np.ndarray]:
    """Head and tail, by their numbers → (1 + relations,) the probabilities of none and of each relation."""
    best: dict[tuple[int, int], tuple[int, np.ndarray]] = {}
    start = 0
    for part, stretch in zip(windows, units.stretches(found, windows), strict=True):
        length, whole = len(part.offsets), np.flatnonzero(stretch[:, 0] >= 0)
        if count and len(whole) > 1:
            stretch = stretch[whole]
            probabilities = softmax(graphs.pair_scores(outputs[start : start + length], stretch, count))
            rooms = np.minimum(stretch[:, 0], length - 1 - stretch[:, 1])
            for i, head in enumerate(whole.tolist()):
                for j, tail in enumerate(whole.tolist()):
                    room = int(min(rooms[i], rooms[j]))
                    if i != j and ((head, tail) not in best or room > best[head, tail][0]):
                        best[head, tail] = room, probabilities[i, j]
        start += length
    return {pair: probabilities for pair, (_, probabilities) in sorted(best.items(), key=lambda item: item[0])}


class _Claims(Claims):
    """Each entity, and each relation, whose places are its head's and its tail's."""

    def of(self, prediction: Prediction) -> list[Claim]:
        graph = prediction.value
        ends = [tuple((one.start, one.end) for one in (triple.head, triple.tail)) for triple in graph.triples]
        related = [Claim("triples", one.relation, own) for one, own in zip(graph.triples, ends, strict=True)]
        return [*units.of_spans("entities", graph.entities), *related]

    def chances(
        self, claims: Sequence[Claim], logits: np.ndarray, windows: Sequence[Window], labels: Sequence[str]
    ) -> list[float]:
        names, kinds = graphs.entities(labels), graphs.relations(labels)
        logits, tags = np.asarray(logits, dtype=np.float64), len(spans.tags(names))
        placed = units.as_spans([claim for claim in claims if len(claim.places) == 1])
        entities = iter(units.chances(logits[:, :tags], windows, names, placed))
        marked = units.marked(logits[:, :tags], windows, names)[0] if len(placed) < len(claims) else ()
        pairs: dict[tuple[Span, ...], dict[tuple[int, int], np.ndarray]] = {}  # by the entities that a text has

        def related(claim: Claim) -> float:
            ends = [Span(*place, "") for place in claim.places]
            apart = [one for one in marked if all(one.end <= end.start or end.end <= one.start for end in ends)]
            among = sorted([*apart, *ends], key=lambda span: span.start)  # what stands between two counts for them
            key = tuple(Span(one.start, one.end, "") for one in among)
            if key not in pairs:
                pairs[key] = _pairs(logits[:, tags:], windows, key, len(kinds))
            found = pairs[key].get((key.index(ends[0]), key.index(ends[1])))
            return 0.0 if found is None else float(found[1 + kinds.index(claim.label)])

        return [next(entities) if len(claim.places) == 1 else related(claim) for claim in claims]


def sample(folder: Any) -> list[dict[str, Any]]:
    """Rows for the conformance suite (tunewright/testing/conformance.py)."""
    long = "bad " * 50
    works = {"head": 0, "tail": 1, "relation": "works for"}
    return [
        {
            "text": "Anna works for Acme",
            "entities": [{"start": 0, "end": 4, "label": "person"}, {"start": 15, "end": 19, "label": "firm"}],
            "triples": [works],
        },
        {
            "text": "王明在北京大学",
            "entities": [[3, 7, "firm"], [0, 2, "person"]],
            "triples": [{"head": [0, 2], "tail": {"start": 3, "end": 7}, "label": "works for"}],
        },
        {
            "text": ["😀", "Bob", "owns", "it"],
            "entities": ["O", "B-person", "O", "B-firm"],
            "triples": [{"head": [1, 2], "tail": [3, 4], "relation": "owns"}],
        },
        {"text": "  slow  ", "entities": [], "triples": []},
        {"text": "x", "entities": {"person": "x"}, "triples": None},
        {
            "text": f"{long}Eve and Acme {long}",
            "entities": [[0, 3, "person"], [200, 203, "person"], [208, 212, "firm"]],
            "triples": [{"head": "Acme", "tail": "Eve", "relation": "owns"}],
        },
    ]
