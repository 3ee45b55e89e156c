"""Mark every entity of the training rows wherever it occurs again: what can be had without learning."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from tunewright.core import measures, spans
from tunewright.core.contracts import Baseline, Given, Task
from tunewright.core.types import Example, Prediction, Span

SHARES = (0.0, 0.25, 0.5, 0.75)  # tried on validation
Entry = tuple[str, float]  # label, and how often the text is an entity of it where it occurs


@dataclass(frozen=True)
class Dictionary(Baseline):
    """The longest known entity from each place on, with the label it mostly has."""

    least_share: Annotated[float, Field(ge=0, le=1)] | None = (
        None  # entries that are an entity less often, where they occur in training texts, are left out; null: what is best on validation
    )

    def suits(self, task: Task) -> bool:
        """See Baseline.suits: tasks whose answers are spans."""
        return isinstance(task.measures, spans.SpanMeasures)

    def predict(self, given: Given) -> list[Prediction]:
        """See Baseline.predict."""
        entries, share = _entries(given.train), self.least_share
        if share is None:
            share = max(SHARES, key=lambda least: _f1(given.validation, entries, least, given.labels))
        return [
            Prediction(found, min((span.score for span in found), default=1.0))
            for found in _marked(given.test, entries, share)
        ]


def _entries(train: Sequence[Example]) -> dict[tuple[str, ...], Entry]:
    """The units of every entity's text → its label, and in what share of its occurrences it is that entity."""
    labels: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for example in train:
        for span in example.label:
            labels[_units(_text(example)[span.start : span.end])][span.label] += 1
    longest, occurs = max(map(len, labels), default=0), Counter()
    for example in train:
        pieces = _units(_text(example))
        for start in range(len(pieces)):
            for stop in range(start + 1, min(start + longest, len(pieces)) + 1):
                if (key := pieces[start:stop]) in labels:
                    occurs[key] += 1
    found = {}
    for key, counts in labels.items():
        [(label, times)] = counts.most_common(1)
        found[key] = (label, min(1.0, times / max(1, occurs[key])))
    return found


def _marked(examples: Sequence[Example], entries: dict[tuple[str, ...], Entry], least: float) -> list[tuple[Span, ...]]:
    kept = {key: entry for key, entry in entries.items() if entry[1] >= least}
    longest = max(map(len, kept), default=0)
    found = []
    for example in examples:
        text = _text(example)
        bounds = spans.bounds(text)
        pieces = tuple(text[start:end] for start, end in bounds)
        own, place = [], 0
        while place < len(pieces):
            sizes = range(min(longest, len(pieces) - place), 0, -1)
            size = next((size for size in sizes if pieces[place : place + size] in kept), 0)
            if size:
                label, share = kept[pieces[place : place + size]]
                own.append(Span(int(bounds[place, 0]), int(bounds[place + size - 1, 1]), label, share))
            place += max(size, 1)
        found.append(tuple(own))
    return found


def _f1(
    examples: Sequence[Example], entries: dict[tuple[str, ...], Entry], least: float, labels: Sequence[str]
) -> float:
    counts = spans.count([example.label for example in examples], _marked(examples, entries, least), labels)
    return float(measures.micro_f1(counts))


def _text(example: Example) -> str:
    return str(example.inputs["text"])


def _units(text: str) -> tuple[str, ...]:
    return tuple(text[start:end] for start, end in spans.bounds(text))
