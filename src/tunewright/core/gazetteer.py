"""A list of the entities of training texts, and where they occur in others: what baselines mark without a network."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from tunewright.core import spans
from tunewright.core.types import Span

Entry = tuple[str, float]  # label, and how often the text is an entity of it where it occurs
Gazetteer = dict[tuple[str, ...], Entry]  # the units of an entity's text → what it mostly is


def learn(texts: Sequence[str], gold: Sequence[Sequence[Span]]) -> Gazetteer:
    """The units of every entity's text → its label, and in what share of its occurrences it is that entity."""
    labels: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for text, own in zip(texts, gold, strict=True):
        for span in own:
            labels[_units(text[span.start : span.end])][span.label] += 1
    longest, occurs = max(map(len, labels), default=0), Counter()
    for text in texts:
        pieces = _units(text)
        for start in range(len(pieces)):
            for stop in range(start + 1, min(start + longest, len(pieces)) + 1):
                if (key := pieces[start:stop]) in labels:
                    occurs[key] += 1
    found = {}
    for key, counts in labels.items():
        [(label, times)] = counts.most_common(1)
        found[key] = (label, min(1.0, times / max(1, occurs[key])))
    return found


def mark(texts: Sequence[str], known: Mapping[tuple[str, ...], Entry], least: float) -> list[tuple[Span, ...]]:
    """Of each text the longest known entity from each place on; entries of a lesser share than `least` are left out."""
    kept = {key: entry for key, entry in known.items() if entry[1] >= least}
    longest = max(map(len, kept), default=0)
    found = []
    for text in texts:
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


def _units(text: str) -> tuple[str, ...]:
    return tuple(text[start:end] for start, end in spans.bounds(text))
