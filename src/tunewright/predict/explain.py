"""Which words moved an answer: each is left out once, and what the score loses is its contribution.

Occlusion asks the model itself, by whatever runtime answers (Zeiler and Fergus 2014, section 4.2; Li, Monroe and Jurafsky
2016). It needs no gradients and no torch, and costs a pass a word. An answer with places, such as entities, is explained one
claim at a time, by the words around its places; a pass tells of all of them. Contributions do not add up to the score: words
that say the same can each be missed without loss.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tunewright.core import catalog
from tunewright.core.contracts import Task
from tunewright.core.errors import MachineError, UsageError, listing, nearest
from tunewright.core.masking import KINDS
from tunewright.core.types import BELOW, INTENT, RELATION, Claim, Example, Prediction
from tunewright.data import words
from tunewright.data.cell import plain
from tunewright.data.places import located
from tunewright.predict.infer import Inferred

MOST = 64  # parts that a text is cut into unless said otherwise: as many further passes
CLAIMS = 64  # of one answer that are explained at a time: each has as many numbers as the text has parts
_OTHER = rf"[^\W{words.HAN}]"
_SIGNS = "|".join(re.escape(f"[{kind.upper()}]") for kind in KINDS)
_RUNS = re.compile(rf"{_SIGNS}|[{words.HAN}]+|{_OTHER}+(?:['’.,:@-]{_OTHER}+)*")
PROBABILITY, VALUE = "probability", "value"
LEAST = 1e-9  # a probability is taken to be so far from 0 and 1 where its odds are asked for


@dataclass(frozen=True)
class Part:
    """A word, or several that stand beside each other, in an input: characters `start` up to, not including, `end`."""

    role: str
    start: int
    end: int


@dataclass(frozen=True)
class Explanation:
    """What each part adds to the `score` of `label`: positive ones speak for it.

    label: None for a number, whose `score` is the number itself, and for an answer that is a stretch of the text; claim: what
    the answer says of which places, where it has places. measure: what the score is, "probability" or "value".
    log_odds: what each adds to the logarithm of the odds, which tells words apart where the model is sure whatever is left
    out, and a probability hardly moves; None for a number.
    """

    label: Any
    score: float
    measure: str
    contributions: Sequence[tuple[Part, float]]
    log_odds: Sequence[float] | None = None
    claim: Claim | None = None


@dataclass(frozen=True)
class Occlusion:
    """An example in parts. `examples`: itself, then without each part; whoever has a predictor lets it answer them."""

    parts: Sequence[Part]
    examples: Sequence[Example]

    def explained(self, predictions: Sequence[Prediction], label: str | None = None) -> Explanation:
        """What the answers to `examples`, in order, tell. label: the one to explain; by default the one with the best score.

        Raises UsageError for a label that the model does not give here.
        """
        whole, *without = predictions
        if not whole.scores:
            if label is not None:
                raise UsageError("This model gives numbers, and has no labels: leave `label` out.")
            found = [float(whole.value) - float(one.value) for one in without]
            return Explanation(None, float(whole.value), VALUE, list(zip(self.parts, found, strict=True)))
        if label is None:
            label = max(whole.scores, key=lambda name: whole.scores[name])
        if label not in whole.scores:
            near = nearest(label, whole.scores)
            raise UsageError(f"There is no label {label!r:.40} here.{near} Labels: {listing(whole.scores)}.")
        # Of a search, a document beyond the nearest has no score, and counts as 0.
        others = [one.scores.get(label, 0.0) for one in without]
        return _explanation(label, whole.scores[label], zip(self.parts, others, strict=True))

    def claims(
        self,
        answers: Sequence[tuple[Inferred, Prediction]],
        task: Task,
        labels: Sequence[str],
        label: str | None = None,
    ) -> list[Explanation]:
        """The same of each thing that the answer to the example claims, for a task that has claims; of `label` alone where one
        is named. answers: to `examples`, in order, with their logits; labels: the model's.

        Words inside a claim's own places stay: without them there is nothing to claim. Raises UsageError for a label that the
        model does not have, and for an answer with more than CLAIMS of them.
        """
        _require_label(label, labels)
        (whole, said), *without = answers
        role = task.located or task.inputs[0]

        def chances(claims: Sequence[Claim], item: Inferred) -> list[float]:
            return task.claims.chances(claims, item.logits, item.windows, labels)  # type: ignore[union-attr]

        claimed = [one for one in task.claims.of(said) if label in (None, one.label)]  # type: ignore[union-attr]
        if not claimed:
            return []
        _require_few(claimed)
        around: list[list[tuple[Part, float]]] = [
            [] for _ in claimed
        ]  # of each claim the parts, and what it is without
        for part, (item, _) in zip(self.parts, without, strict=True):
            moved = [_moved(claim, part, role) for claim in claimed]
            there = [place for place, one in enumerate(moved) if one is not None]
            scores = chances([moved[place] for place in there], item)  # type: ignore[misc]
            for place, score in zip(there, scores, strict=True):
                around[place].append((part, score))
        whole_scores = chances(claimed, whole)
        return [
            _explanation(claim.label, score, own, claim)
            for claim, score, own in zip(claimed, whole_scores, around, strict=True)
        ]


def occlusion(example: Example, task: Task, most: int = MOST) -> Occlusion:
    """The example without each of its parts, `most` of them. Raises UsageError for a task that does not say how likely each
    thing is that its answers claim."""
    if not is_explained(task):
        able = [name for name in catalog.names("tasks") if is_explained(catalog.create("tasks", name))]  # type: ignore[arg-type]
        raise UsageError(
            f"The task {catalog.name_of(task)} has several answers a text, and does not say how likely each is, so leaving words "
            f"out explains none. Tasks that are explained: {listing(able, len(able))}."
        )
    places = [Part(role, *place) for role in task.inputs for place in _words(example.inputs.get(role))]
    parts = list(_grouped(places, most))
    return Occlusion(parts, [example, *(_without(example, part) for part in parts)])


def is_explained(task: Task) -> bool:
    """Whether it has one answer a text, or says how likely each thing is that an answer claims (Task.claims)."""
    return task.claims is not None or catalog.create("heads", task.head).pools  # type: ignore[attr-defined]


def explain(
    predict: Callable[[Sequence[Example]], Sequence[Prediction]],
    example: Example,
    task: Task,
    *,
    label: str | None = None,
    most: int = MOST,
) -> Explanation:
    """Which words moved what `predict` says of the example; see Occlusion."""
    found = occlusion(example, task, most)
    return found.explained(predict(found.examples), label)


def explain_claims(
    answers: Callable[[Sequence[Example]], Iterable[tuple[Inferred, Prediction]]],
    example: Example,
    task: Task,
    labels: Sequence[str],
    *,
    label: str | None = None,
    most: int = MOST,
) -> list[Explanation]:
    """Which words moved each thing that `answers`, as a predictor gives them, claim of the example; see Occlusion.claims."""
    found = occlusion(example, task, most)
    return found.claims(list(answers(found.examples)), task, labels, label)


def as_given(example: Example, task: Task) -> Callable[[int], int]:
    """Where a character of the text that the model reads stands in the text of the row: the same place, unless the task
    has written marks around places that the row tells (relation_extraction)."""
    marked = [role for role in task.inputs if role not in example.inputs and example.columns.get(role) is not None]
    if not marked:
        return lambda place: place
    first = task.inputs[0]
    text = located(example.columns[first])
    told = {role: list(text.place(plain(example.columns[role]), role)) for role in marked}
    blank, _ = task.read({first: "x" * len(text.text), **told})  # a text in which only what was written is no x
    before = list(itertools.accumulate((sign == "x" for sign in blank[first]), initial=0))
    return lambda place: before[place]


def _explanation(
    label: Any, score: float, others: Iterable[tuple[Part, float]], claim: Claim | None = None
) -> Explanation:
    """others: each part with the score without it."""
    others = list(others)
    found = [(part, score - other) for part, other in others]
    log_odds = [_log_odds(score) - _log_odds(other) for _, other in others]
    return Explanation(label, score, PROBABILITY, found, log_odds, claim)


def _moved(claim: Claim, part: Part, role: str) -> Claim | None:
    """The claim of the text without the part; None where they touch."""
    if part.role != role:
        return claim
    length, places = part.end - part.start, []
    for start, end in claim.places:
        if part.start < end and start < part.end:
            return None
        ahead = length if part.end <= start else 0
        places.append((start - ahead, end - ahead))
    return replace(claim, places=tuple(places))


def _require_few(claims: Sequence[Claim]) -> None:
    if len(claims) > CLAIMS:
        raise UsageError(
            f"This answer has {len(claims):,} parts that are explained one by one: {CLAIMS} at a time. Name a `label`, or give "
            "a shorter text."
        )


def _require_label(label: str | None, labels: Sequence[str]) -> None:
    if label is None:
        return
    plainly = [name.removeprefix(INTENT).removeprefix(RELATION) for name in labels]
    known = list(dict.fromkeys([*plainly, *(name.partition(BELOW)[2] for name in labels if BELOW in name)]))
    if not known:
        raise UsageError("This model's answers are stretches of the text, and have no labels: leave `label` out.")
    if label not in known:
        raise UsageError(f"There is no label {label!r:.40} here.{nearest(label, known)} Labels: {listing(known)}.")


def _log_odds(score: float) -> float:
    bounded = min(max(score, LEAST), 1 - LEAST)
    return math.log(bounded / (1 - bounded))


def _words(text: Any) -> Iterator[tuple[int, int]]:
    """Words and numbers; of Chinese the words that jieba cuts, where its package is there, else single characters."""
    for match in _RUNS.finditer(text if isinstance(text, str) else ""):
        start, end = match.span()
        if not words.is_han(match[0]):
            yield start, end
            continue
        try:
            cut = words.words(match[0])
        except MachineError:
            cut = [(place, place + 1) for place in range(end - start)]
        yield from ((start + a, start + b) for a, b in cut)


def _grouped(places: Sequence[Part], most: int) -> Iterator[Part]:
    """Neighbours of one input joined, evenly, until there are `most` at most."""
    roles: Mapping[str, list[Part]] = {}
    for place in places:
        roles.setdefault(place.role, []).append(place)  # type: ignore[attr-defined]
    room = max(1, most // max(1, len(roles)))
    for own in roles.values() if len(places) > most else ():
        size = -(-len(own) // room)
        for start in range(0, len(own), size):
            yield replace(own[start], end=own[start : start + size][-1].end)
    if len(places) <= most:
        yield from places


def _without(example: Example, part: Part) -> Example:
    text = example.inputs[part.role]
    shorter = text[: part.start] + text[part.end :]
    return replace(example, inputs={**example.inputs, part.role: shorter})
