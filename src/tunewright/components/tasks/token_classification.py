"""Mark the entities in a text: a BIO tag for every word."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tunewright.core.contracts import Task
from tunewright.core.errors import LabelError
from tunewright.core.measures import encode_labels
from tunewright.core.numeric import softmax
from tunewright.core.types import Example, Label, Policy, Prediction, Span, Window
from tunewright.core.windows import window

if TYPE_CHECKING:
    from tunewright.models.processor import Processor

IGNORED = -100  # the label of special tokens and of a word's further pieces, as losses expect it
HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
WORDS = re.compile(rf"{HAN.pattern}|[^\s{HAN.pattern[1:-1]}]+")


@dataclass(frozen=True)
class WordSpan(Span):
    """A span that also knows its words, `first` up to, not including, `last`, so that it compares with gold tags."""

    first: int = 0
    last: int = 0


@dataclass(frozen=True)
class WordWindow(Window):
    """A window that also knows which word each token begins or continues: (tokens,), -1 for special ones."""

    words: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))


@dataclass(frozen=True)
class TokenClassification(Task):
    """Words to BIO tags; predictions are spans with their characters in the text (words joined by a space)."""

    inputs: ClassVar[tuple[str, ...]] = ("tokens",)
    target: ClassVar[str] = "tags"
    head: ClassVar[str] = "tokens"
    objective: ClassVar[str] = "cross_entropy"
    metric: ClassVar[str] = "f1"

    def parse(self, value: Any) -> Label:
        """See Task.parse: a list of tags, one a word, or the same as JSON or joined by spaces."""
        value = value.tolist() if hasattr(value, "tolist") else value
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        if isinstance(value, str):
            value = _json(value) if value.lstrip().startswith("[") else value.split()
        if not isinstance(value, (list, tuple)) or not all(re.fullmatch(r"O|[BI]-.+", str(tag)) for tag in value):
            raise LabelError(f"A list of BIO tags is expected (O, B-PER, I-PER, …), not {value!r:.80}.")
        return tuple(str(tag) for tag in value)

    def encode(self, examples: Sequence[Example], processor: Processor, labels: Sequence[str]) -> list[Window]:
        """See Task.encode. "labels" is (tokens,): a word's tag at its first piece, -100 elsewhere."""
        joined = [_joined(example.inputs["tokens"]) for example in examples]
        found = []
        for index, parts in enumerate(processor.encode([text for text, _ in joined])):
            bounds = joined[index][1]
            tags = _indices(examples[index], len(bounds), labels)
            for part in parts:
                words = _words_of(part.offsets, bounds)
                plain = window(index, part, None if tags is None else _token_labels(words, tags))
                found.append(WordWindow(**vars(plain), words=words))
        return found

    def join(self, windows: Sequence[Window], outputs: Sequence[np.ndarray]) -> np.ndarray:
        """See Task.join: the windows' logits (tokens, labels) one after the other."""
        return np.concatenate(outputs)

    def decode(
        self, logits: np.ndarray, windows: Sequence[Window], labels: Sequence[str], policy: Policy
    ) -> Prediction:
        """See Task.decode. A word takes the tag of its first piece; where windows overlap, the surest one's."""
        probabilities = softmax(np.asarray(logits, dtype=np.float64))
        words, offsets = (np.concatenate([getattr(part, name) for part in windows]) for name in ("words", "offsets"))
        first, last = {}, {}
        for token in np.flatnonzero(words >= 0):
            word, start = int(words[token]), int(offsets[token][0])
            last[word] = max(last.get(word, 0), int(offsets[token][1]))
            rank = (start, -float(np.max(probabilities[token])))
            if word not in first or rank < first[word][0]:
                first[word] = (rank, int(np.argmax(probabilities[token])))
        tags = [labels[first[word][1]] if word in first else "O" for word in range(max(first, default=-1) + 1)]
        value = tuple(WordSpan(first[a][0][0], last[b - 1], label, a, b) for a, b, label in _entities(tags))
        score = min((-rank[1] for rank, _ in first.values()), default=1.0)
        decision = "abstain" if policy.accept is not None and score < policy.accept else "model"
        truncated = sum(part.truncated for part in windows)
        return Prediction(value, score, decision=decision, truncated_tokens=truncated)

    def metrics(
        self, gold: Sequence[Label], predictions: Sequence[Prediction], labels: Sequence[str]
    ) -> dict[str, Any]:
        """See Task.metrics: precision, recall and F1 of whole entities, which count only when exact."""
        both = [(tags, said) for tags, said in zip(gold, predictions, strict=True) if tags is not None]
        rows = [(set(_entities(tags)), said.value) for tags, said in both]
        true = sum(len(entities) for entities, _ in rows)
        said = sum(len(spans) for _, spans in rows)
        hits = sum(len(entities & {(span.first, span.last, span.label) for span in spans}) for entities, spans in rows)
        precision, recall = hits / max(said, 1), hits / max(true, 1)
        return {"n": len(rows), "precision": precision, "recall": recall, "f1": 2 * hits / max(true + said, 1)}


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text  # the caller refuses it, as it refuses any text that is no list of tags


def _joined(tokens: Sequence[str] | str) -> tuple[str, list[tuple[int, int]]]:
    """The text of the words, and the characters of each. Chinese words are joined without a space."""
    if isinstance(tokens, str):
        return tokens, [match.span() for match in WORDS.finditer(tokens)]
    text, bounds = "", []
    for token in tokens:
        if text and not (HAN.match(text[-1]) and HAN.match(token)):
            text += " "
        bounds.append((len(text), len(text) + len(token)))
        text += token
    return text, bounds


def _indices(example: Example, words: int, labels: Sequence[str]) -> np.ndarray | None:
    if example.label is None:
        return None
    if len(example.label) != words:
        raise LabelError(f"{example.id}: {words} words have {len(example.label)} tags. Give each word one tag.")
    return encode_labels(example.label, labels, [example.id] * words)


def _words_of(offsets: np.ndarray, bounds: Sequence[tuple[int, int]]) -> np.ndarray:
    """(tokens,) the word each token belongs to, by its last character; -1 for special tokens."""
    starts = np.array([start for start, _ in bounds], dtype=np.int64)
    inside = np.searchsorted(starts, np.asarray(offsets)[:, 1] - 1, side="right") - 1
    return np.where(np.asarray(offsets)[:, 1] > np.asarray(offsets)[:, 0], inside, -1)


def _token_labels(words: np.ndarray, tags: np.ndarray) -> np.ndarray:
    begins = np.append(True, words[1:] != words[:-1]) & (words >= 0)
    return np.where(begins, tags[np.maximum(words, 0)] if len(tags) else IGNORED, IGNORED)


def _entities(tags: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """(first word, word after the last, type) of every entity; an I that continues nothing begins one."""
    start, kind = 0, ""
    for word, tag in enumerate([*tags, "O"]):
        if kind and tag != f"I-{kind}":
            yield start, word, kind
            kind = ""
        if tag != "O" and not kind:
            start, kind = word, tag[2:]
