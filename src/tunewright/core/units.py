"""Windows whose tokens make up units, and what a model says of units: shared by tasks that mark spans. numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tunewright.core import chains, measures, spans
from tunewright.core.contracts import Claims
from tunewright.core.numeric import softmax
from tunewright.core.types import Claim, Example, Prediction, Span, Window
from tunewright.core.windows import window

if TYPE_CHECKING:
    from tunewright.models.processor import Processor

IGNORED = -100  # the label of special tokens and of a unit's further pieces, as losses expect it


@dataclass(frozen=True, kw_only=True)
class UnitWindow(Window):
    """A window that knows which of its tokens begin a unit, and the units' characters (core/spans.py)."""

    units: spans.Units


def windows(
    examples: Sequence[Example],
    gold: Sequence[Sequence[Span] | None],
    processor: Processor,
    labels: Sequence[str],
    *,
    chained: bool = False,
) -> list[UnitWindow]:
    """Windows of every example's "text", in order, with the spans in `gold` as tags where they are known.

    Their "labels" is (tokens,) int64: a unit's index among `spans.tags(labels)` at its first piece, IGNORED elsewhere; chained:
    the output of the pair that it makes with the tag before it (core/chains.py).
    Raises LabelError, with the row, for a span whose label is not among `labels`.
    """
    texts = [str(example.inputs["text"]) for example in examples]
    found: list[UnitWindow] = []
    for index, parts in enumerate(processor.encode(texts)):
        inside, own = spans.bounds(texts[index]), gold[index]
        if own is not None:
            measures.encode_labels([span.label for span in own], labels, [examples[index].id] * len(own))
        for part in parts:
            units, tags = spans.units(texts[index], inside, part.offsets), None
            if own is not None:
                tags = np.full(len(part.input_ids), IGNORED, dtype=np.int64)
                tags[units.first] = spans.tag_indices(own, units.places, labels)
                if chained and len(units.first):
                    outside = not units.number[0]  # before the text; before a window's first unit stands another
                    before = 0 if outside else spans.tag_indices(own, inside[units.number[:1] - 1], labels)[0]
                    said = tags[units.first]
                    tags[units.first] = chains.pairs(np.append(before, said[:-1]), said, len(spans.tags(labels)))
            found.append(UnitWindow(**vars(window(index, part, tags)), units=units))
    return found


def stretches(spans: Sequence[Span], windows: Sequence[UnitWindow]) -> list[np.ndarray]:
    """Of each of an example's windows (spans, 2) the first and the last token of every span; -1 where it is not whole there.

    It is whole where no other window has more of its units: characters that have no token belong to nobody.
    """
    starts, ends = (np.array([getattr(one, end) for one in spans], dtype=np.int64) for end in ("start", "end"))
    touched = [
        (part.units.places[:, 0] < ends[:, None]) & (part.units.places[:, 1] > starts[:, None]) for part in windows
    ]
    most = np.max([np.sum(own, axis=1) for own in touched], axis=0)
    return [_stretch(own, np.sum(own, axis=1) == most, part) for own, part in zip(touched, windows, strict=True)]


def _stretch(touched: np.ndarray, whole: np.ndarray, part: UnitWindow) -> np.ndarray:
    found = np.full((len(touched), 2), -1, dtype=np.int64)
    real = np.flatnonzero(part.offsets[:, 1] > part.offsets[:, 0])  # special tokens have no characters
    stops = np.append(part.units.first[1:], real[-1:] + 1)
    for row in np.flatnonzero(whole & touched.any(axis=1)):
        own = np.flatnonzero(touched[row])
        found[row] = part.units.first[own[0]], stops[own[-1]] - 1
    return found


def marked(
    logits: np.ndarray, windows: Sequence[UnitWindow], labels: Sequence[str], *, chained: bool = False
) -> tuple[tuple[Span, ...], float]:
    """The spans of one example by the likeliest lawful tags, and the probability of the least certain tag (1 without any).

    logits: (tokens, tags) of its windows one after the other, or (tokens, outputs) of core/chains.py where they are chained.
    Where windows overlap, the one that sees more around decides.
    """
    rows, places = _chosen(windows)
    if not len(rows):
        return (), 1.0
    own = np.asarray(logits, dtype=np.float64)[rows]
    if chained:
        scores = _scores(own)
        own, tags = chains.probabilities(scores), chains.best(scores)
    else:
        own = softmax(own)
        tags = spans.lawful(np.log(np.maximum(own, 1e-300)))
    sure = own[np.arange(len(own)), tags]
    return spans.from_tags(tags, places, sure, labels), float(np.min(sure))


def chances(
    logits: np.ndarray,
    windows: Sequence[UnitWindow],
    labels: Sequence[str],
    found: Sequence[Span],
    *,
    chained: bool = False,
) -> list[float]:
    """Of each span the probability of the least certain of the tags that would mark it, as `marked` scores a span; 0 where no
    window holds it."""
    rows, places = _chosen(windows)
    if not len(rows) or not found:
        return [0.0] * len(found)
    own = np.asarray(logits, dtype=np.float64)[rows]
    own = chains.probabilities(_scores(own)) if chained else softmax(own)
    tags = [spans.tag_indices([span], places, labels) for span in found]
    return [float(np.min(own[said > 0, said[said > 0]], initial=1.0)) if said.any() else 0.0 for said in tags]


def _scores(outputs: np.ndarray) -> np.ndarray:
    return np.stack(list(spans.within_law(chains.scores(outputs))))


@dataclass(frozen=True)
class SpanClaims(Claims):
    """Each span of an answer by itself. chained: its outputs are those of core/chains.py."""

    chained: bool = False

    def of(self, prediction: Prediction) -> list[Claim]:
        """See Claims.of."""
        return of_spans("spans", prediction.value)

    def chances(
        self, claims: Sequence[Claim], logits: np.ndarray, windows: Sequence[Window], labels: Sequence[str]
    ) -> list[float]:
        """See Claims.chances."""
        return chances(logits, windows, labels, as_spans(claims), chained=self.chained)  # type: ignore[arg-type]


def of_spans(name: str, found: Sequence[Span]) -> list[Claim]:
    """Each of these spans as a claim."""
    return [Claim(name, span.label, ((span.start, span.end),)) for span in found]


def as_spans(claims: Sequence[Claim]) -> list[Span]:
    """The spans that claims are of."""
    return [Span(*claim.places[0], claim.label or "") for claim in claims]


def _chosen(windows: Sequence[UnitWindow]) -> tuple[np.ndarray, np.ndarray]:
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
