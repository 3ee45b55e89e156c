"""Which words moved an answer: each is left out once, and what the score loses is its contribution.

Occlusion asks the model itself, by whatever runtime answers (Zeiler and Fergus 2014, section 4.2; Li, Monroe and Jurafsky
2016). It needs no gradients and no torch, works for every task whose answer is one a text, and costs a pass a word.
Contributions do not add up to the score: words that say the same can each be missed without loss.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tunewright.core import catalog
from tunewright.core.contracts import Task
from tunewright.core.errors import MachineError, UsageError, listing, nearest
from tunewright.core.masking import KINDS
from tunewright.core.types import Example, Prediction
from tunewright.data import words

MOST = 64  # parts that a text is cut into unless said otherwise: as many further passes
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

    label: None for a number, whose `score` is the number itself. measure: what the score is, "probability" or "value".
    log_odds: what each adds to the logarithm of the odds, which tells words apart where the model is sure whatever is left
    out, and a probability hardly moves; None for a number.
    """

    label: Any
    score: float
    measure: str
    contributions: Sequence[tuple[Part, float]]
    log_odds: Sequence[float] | None = None


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
        score = whole.scores[label]
        # Of a search, a document beyond the nearest has no score, and counts as 0.
        others = [one.scores.get(label, 0.0) for one in without]
        found = [(part, score - other) for part, other in zip(self.parts, others, strict=True)]
        return Explanation(label, score, PROBABILITY, found, [_log_odds(score) - _log_odds(other) for other in others])


def occlusion(example: Example, task: Task, most: int = MOST) -> Occlusion:
    """The example without each of its parts, `most` of them. Raises UsageError for a task whose answers have places."""
    if not catalog.create("heads", task.head).pools or task.placed:  # type: ignore[attr-defined]
        raise UsageError(
            "Only what has one answer a text, and reads no places in it, is explained by leaving words out."
        )
    places = [Part(role, *place) for role in task.inputs for place in _words(example.inputs.get(role))]
    parts = list(_grouped(places, most))
    return Occlusion(parts, [example, *(_without(example, part) for part in parts)])


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
