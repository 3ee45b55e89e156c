"""Spans over a text's units: where units begin, tags for them and back, the best lawful sequence of tags, counts.

A unit is what a span may begin or end at: a Chinese or Japanese character, a run of letters, a run of digits, or a single
other sign. Tags are BIO (Ramshaw and Marcus 1995): B- begins a span, I- continues it, O is outside.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from tunewright.core import chains, measures
from tunewright.core.contracts import Measures
from tunewright.core.measures import Counts
from tunewright.core.types import Label, Prediction, Span

OUTSIDE = "O"
_WIDE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_SIGNS = (
    "!-/:-@\\[-`{-~\u00a1-\u00a9\u00ab-\u00b1\u00b4\u00b6-\u00b8\u00bb\u00bf\u00d7\u00f7\u2000-\u200b\u200e-\u206f"
    "\u20a0-\u20cf\u2190-\u2bff\u3000-\u303f\ufe10-\ufe1f\ufe30-\ufe6f\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65"
    "\U0001f000-\U0001faff"
)
_UNITS = re.compile(rf"[{_WIDE}]|\d+|[^\s\d{_WIDE}{_SIGNS}]+|\S")


class Units(NamedTuple):
    """The units that a window's tokens make up.

    first: (units,) the token that each begins with; places: (units, 2) characters; number: (units,) which one of the text.
    """

    first: np.ndarray
    places: np.ndarray
    number: np.ndarray


def bounds(text: str) -> np.ndarray:
    """(units, 2) the characters of each unit of a text: start, and end which is not part of it."""
    return np.array([match.span() for match in _UNITS.finditer(text)], dtype=np.int64).reshape(-1, 2)


def units(text: str, inside: np.ndarray, offsets: np.ndarray) -> Units:
    """What the tokens of a window make up, given `bounds` of the text and each token's characters (tokens, 2).

    Special tokens have (0, 0). A token over several units counts for the first and takes their characters; a unit that is
    cut by the window's edge is whole.
    """
    tokens = [(index, *_trimmed(text, int(start), int(end))) for index, (start, end) in enumerate(offsets)]
    tokens = [token for token in tokens if token[1] < token[2]]
    owners = np.searchsorted(inside[:, 0], [start for _, start, _ in tokens], side="right") - 1
    first, places, number = [], [], []
    for (index, _, end), owner in zip(tokens, owners.tolist(), strict=True):
        if not number or number[-1] != owner:
            first.append(index)
            places.append(inside[owner].tolist())
            number.append(owner)
        places[-1][1] = max(places[-1][1], end)
    return Units(
        np.array(first, dtype=np.int64),
        np.array(places, dtype=np.int64).reshape(-1, 2),
        np.array(number, dtype=np.int64),
    )


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), end - (len(piece) - len(piece.rstrip()))


def tags(labels: Sequence[str]) -> tuple[str, ...]:
    """The tags for spans of these labels: O, then B- and I- of each."""
    return (OUTSIDE, *(f"{prefix}-{label}" for label in labels for prefix in "BI"))


def tag_indices(spans: Sequence[Span], places: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    """(units,) the index among `tags(labels)` of each unit with these places; what a span touches belongs to it."""
    found = np.zeros(len(places), dtype=np.int64)
    order = {label: index for index, label in enumerate(labels)}
    for span in sorted(spans, key=lambda span: span.start, reverse=True):  # of two that touch one unit, the first wins
        touched = np.flatnonzero((places[:, 0] < span.end) & (places[:, 1] > span.start))
        begins = 1 + 2 * order[span.label]
        found[touched] = begins + 1
        # A window that starts in the middle of a span continues it.
        if len(touched) and places[touched[0], 0] <= span.start < places[touched[0], 1]:
            found[touched[0]] = begins
    return found


def lawful(logs: np.ndarray) -> np.ndarray:
    """(units,) the likeliest sequence of tags in which every I- continues a span of its label (Viterbi 1967).

    logs: (units, tags) logarithms of each tag's probability, tags as `tags` orders them.
    """
    best = np.argmax(logs, axis=1)
    may = _may_follow(logs.shape[1])
    before = np.append(0, best[:-1])
    if may[before, best].all():
        return best
    return chains.best(within_law(logs[:, None]))


def within_law(scores: np.ndarray) -> Iterator[np.ndarray]:
    """Of each unit (tags before, tags) its scores, -inf where a tag may not follow: an I- only its own B- or I-, and none at
    the beginning. scores: (units, tags before, tags), or (units, 1, tags) where they do not depend on the tag before."""
    may = _may_follow(scores.shape[-1])
    for number, unit in enumerate(scores):
        yield np.where(may if number else may & (np.arange(len(may)) == 0)[:, None], unit, -np.inf)


def _may_follow(count: int) -> np.ndarray:
    """(tags, tags) whether the second may follow the first: an I- (even index) only its own B- or I-."""
    index = np.arange(count)
    continues = (index > 0) & (index % 2 == 0)
    return ~continues[None, :] | (index[None, :] == index[:, None]) | (index[None, :] == index[:, None] + 1)


def from_tags(indices: np.ndarray, places: np.ndarray, sure: np.ndarray, labels: Sequence[str]) -> tuple[Span, ...]:
    """The spans that a lawful sequence of tags marks; the score of one is that of its least certain unit.

    indices, sure: (units,) tags, and the probability of each; places: (units, 2) characters.
    """
    found = []
    starts = np.flatnonzero(indices % 2 == 1)
    for start in starts.tolist():
        stop = start + 1
        while stop < len(indices) and indices[stop] == indices[start] + 1:
            stop += 1
        label = labels[(int(indices[start]) - 1) // 2]
        found.append(Span(int(places[start, 0]), int(places[stop - 1, 1]), label, float(np.min(sure[start:stop]))))
    return tuple(found)


def count(gold: Sequence[Sequence[Span]], said: Sequence[Sequence[Span]], labels: Sequence[str]) -> Counts:
    """Spans by label: a hit has the same characters and label (the CoNLL-2003 measure); exact: rows without a mistake."""
    rows = count_rows(gold, said, labels)
    return Counts(*(np.sum(part, axis=0) for part in rows[:3]), exact=np.sum(rows[3]), rows=np.asarray(len(gold)))


def count_rows(
    gold: Sequence[Sequence[Span]], said: Sequence[Sequence[Span]], labels: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The same row by row: hits, true and said spans (rows, labels), and whether a row is without a mistake (rows,)."""
    index = {label: place for place, label in enumerate(labels)}
    hits, true, found = (np.zeros((len(gold), len(labels)), dtype=np.int64) for _ in range(3))
    exact = np.zeros(len(gold), dtype=bool)
    for row, (wanted, given) in enumerate(zip(map(set, gold), map(set, said), strict=True)):
        exact[row] = wanted == given
        for numbers, spans in ((true, wanted), (found, given), (hits, wanted & given)):
            for span in spans:
                numbers[row, index[span.label]] += 1
    return hits, true, found, exact


METRICS: dict[str, Callable[[Counts], np.ndarray]] = {
    "f1": measures.micro_f1,
    "macro_f1": measures.macro_f1,
    "accuracy": measures.accuracy,
    "precision": lambda counts: _share(counts.hits, counts.predicted),
    "recall": lambda counts: _share(counts.hits, counts.gold),
}


class SpanMeasures(Measures):
    """Of answers that are spans, which count only when exact, as seqeval counts them."""

    def metrics(
        self, gold: Sequence[Label], predictions: Sequence[Prediction], labels: Sequence[str]
    ) -> dict[str, Any]:
        """See Measures.metrics: METRICS over whole spans, and "per_class", whose support counts spans.

        accuracy: rows without a mistake; macro_f1: mean of the labels' F1.
        """
        both = [(true, said.value) for true, said in zip(gold, predictions, strict=True) if true is not None]
        counts = count([true for true, _ in both], [said for _, said in both], labels)
        found = {name: float(measure(counts)) for name, measure in METRICS.items()}
        return {"n": len(both), **found, "per_class": measures.per_class(counts, labels)}

    def quality(self, gold: Label, prediction: Prediction) -> float:
        """See Measures.quality: the row's own F1; 1 where there is nothing to find and nothing found."""
        return row_f1(gold, prediction.value)

    def weighed(
        self, metric: str, gold: Sequence[Label], predictions: Sequence[Prediction], labels: Sequence[str]
    ) -> Callable[[np.ndarray], np.ndarray] | None:
        """See Measures.weighed."""
        return weighed(metric, gold, [said.value for said in predictions], labels)


def row_f1(gold: Sequence[Span], said: Sequence[Span]) -> float:
    """The F1 of one row by itself; 1 where there is nothing to find and nothing found."""
    return 2 * len(set(gold) & set(said)) / (len(gold) + len(said)) if gold or said else 1.0


def weighed(
    metric: str, gold: Sequence[Sequence[Span]], said: Sequence[Sequence[Span]], labels: Sequence[str]
) -> Callable[[np.ndarray], np.ndarray] | None:
    """One of METRICS as a function of how often each row counts: (resamples, rows) → (resamples,)."""
    if metric not in METRICS:
        return None
    hits, true, found, exact = count_rows(gold, said, labels)

    def measure(weights: np.ndarray) -> np.ndarray:
        sums = (weights @ part for part in (hits, true, found))
        return METRICS[metric](Counts(*sums, exact=weights @ exact, rows=np.sum(weights, axis=1)))

    return measure


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    part, whole = np.sum(part, axis=-1), np.sum(whole, axis=-1)
    return part / np.maximum(whole, 1)
