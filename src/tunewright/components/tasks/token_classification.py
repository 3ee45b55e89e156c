"""Mark the entities in a text: spans of characters, each with a label."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tunewright.core import measures, spans
from tunewright.core.contracts import Measures, Task
from tunewright.core.errors import DataError, LabelError, listing
from tunewright.core.numeric import softmax
from tunewright.core.types import Example, Label, Policy, Prediction, Span, Window
from tunewright.core.windows import window
from tunewright.data import conlltext
from tunewright.data.cell import is_empty, plain
from tunewright.data.places import SHOWN, Located, located

if TYPE_CHECKING:
    from tunewright.models.processor import Processor

IGNORED = -100  # the label of special tokens and of a unit's further pieces, as losses expect it


@dataclass(frozen=True, kw_only=True)
class UnitWindow(Window):
    """A window that knows which of its tokens begin a unit, and the units' characters (core/spans.py)."""

    units: spans.Units


@dataclass(frozen=True)
class TokenClassification(Task):
    """Texts to spans. Rows hold a text with spans, or words with a BIO or BIOES tag each."""

    inputs: ClassVar[tuple[str, ...]] = ("text",)
    target: ClassVar[str] = "spans"
    head: ClassVar[str] = "tokens"
    objective: ClassVar[str] = "cross_entropy"
    measures: ClassVar[Measures] = spans.SpanMeasures()
    metric: ClassVar[str] = "f1"
    baselines: ClassVar[tuple[str, ...]] = ("dictionary",)
    placed: ClassVar[bool] = True

    def read(self, cells: Mapping[str, Any]) -> tuple[dict[str, Any], Label]:
        """See Task.read. Spans are mappings of start, end and label in characters, or a tag a word.

        The text may be a list of words; start and end count words then.
        """
        text = located(cells.get("text"))
        return {"text": text.text}, _spans(plain(cells.get("spans")), text)

    def outputs(self, labels: Sequence[str]) -> tuple[str, ...]:
        """See Task.outputs: O, then B- and I- of every label."""
        return spans.tags(labels)

    def encode(self, examples: Sequence[Example], processor: Processor, labels: Sequence[str]) -> list[Window]:
        """See Task.encode. "labels" is (tokens,): a unit's tag at its first piece, -100 elsewhere."""
        texts = [str(example.inputs["text"]) for example in examples]
        found: list[Window] = []
        for index, parts in enumerate(processor.encode(texts)):
            inside = spans.bounds(texts[index])
            gold = _known(examples[index], labels)
            for part in parts:
                units = spans.units(texts[index], inside, part.offsets)
                tags = None
                if gold is not None:
                    tags = np.full(len(part.input_ids), IGNORED, dtype=np.int64)
                    tags[units.first] = spans.tag_indices(gold, units.places, labels)
                found.append(UnitWindow(**vars(window(index, part, tags)), units=units))
        return found

    def decode(
        self, logits: np.ndarray, windows: Sequence[Window], labels: Sequence[str], policy: Policy
    ) -> Prediction:
        """See Task.decode. The likeliest lawful tags; where windows overlap, those of the one that sees more around."""
        probabilities = softmax(np.asarray(logits, dtype=np.float64))
        rows, places = _chosen(windows)
        value, score = (), 1.0
        if len(rows):
            own = probabilities[rows]
            tags = spans.lawful(np.log(np.maximum(own, 1e-300)))
            sure = own[np.arange(len(own)), tags]
            value, score = spans.from_tags(tags, places, sure, labels), float(np.min(sure))
        decision = "abstain" if policy.accept is not None and score < policy.accept else "model"
        truncated = sum(part.truncated for part in windows)
        return Prediction(value, score, decision=decision, truncated_tokens=truncated)


def _spans(value: Any, text: Located) -> Label:
    """The spans in a cell: mappings or triples, or a tag for every word; as JSON too."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, str):
        value = _json(value) if value.lstrip().startswith("[") else value.split()
    if not isinstance(value, (list, tuple)):
        raise LabelError(f"A list of spans, or a tag for every word, is expected, not {value!r:.80}.")
    if value and all(isinstance(part, str) for part in value):
        return _from_tags(value, text)
    return _flat([_span(part, text) for part in value], str(text.text))


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise LabelError(f"The spans are no JSON: {text!r:.80}.") from None


def _from_tags(tags: Sequence[str], text: Located) -> tuple[Span, ...]:
    """Spans from a tag for every word; of a text that is no list, words are what blanks part, or else characters."""
    places = text.words
    if places is None:
        words, characters = ([one.span() for one in re.finditer(form, str(text.text))] for form in (r"\S+", r"\S"))
        places = characters if len(tags) == len(characters) else words
    if len(tags) != len(places):
        raise LabelError(f"{len(places)} words have {len(tags)} tags. Give each word one tag.")
    if wrong := next((tag for tag in tags if not conlltext.is_tag(tag)), None):
        raise LabelError(f"{wrong!r:.40} is no tag: BIO or BIOES tags are expected (O, B-PER, I-PER, …).")
    return tuple(Span(**found) for found in conlltext.spans(tags, places))


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


def _flat(found: Sequence[Span], text: str) -> tuple[Span, ...]:
    """In order, each once; refuses those that overlap."""
    ordered = sorted(set(found), key=lambda span: (span.start, span.end, span.label))
    for first, second in itertools.pairwise(ordered):
        if second.start < first.end:
            shown = listing(
                [f"{text[s.start : s.end]!r:.{SHOWN}} ({s.start}–{s.end}, {s.label})" for s in (first, second)]
            )
            raise LabelError(f"Two spans overlap: {shown}. A character can be in one span only: keep one of them.")
    return tuple(ordered)


def _known(example: Example, labels: Sequence[str]) -> Sequence[Span] | None:
    """The example's spans, if it has any label; refuses names that are not among the labels."""
    if example.label is None:
        return None
    measures.encode_labels([span.label for span in example.label], labels, [example.id] * len(example.label))
    return example.label


def _chosen(windows: Sequence[Window]) -> tuple[np.ndarray, np.ndarray]:
    """(units,) the row of each unit of the example among the joined logits, and (units, 2) its characters, in order.

    Of a unit that several windows hold, the row in the window where it is farthest from an edge.
    """
    best: dict[int, tuple[int, int, np.ndarray]] = {}
    start = 0
    for part in windows:
        length = len(part.offsets)
        for token, place, number in zip(part.units.first, part.units.places, part.units.number, strict=True):
            room = min(int(token), length - 1 - int(token))
            if int(number) not in best or room > best[int(number)][0]:
                best[int(number)] = (room, start + int(token), place)
        start += length
    chosen = [best[number] for number in sorted(best)]
    rows = np.array([row for _, row, _ in chosen], dtype=np.int64)
    return rows, np.array([place for *_, place in chosen], dtype=np.int64).reshape(-1, 2)
