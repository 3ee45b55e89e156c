"""An answer as plain data: the keys that `predict`, its files and the server give, in one place."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tunewright.core.contracts import Task
from tunewright.core.ranking import SEARCH
from tunewright.core.types import Answer, Example, Prediction, Span, Triple, by_name

DIGITS = 6  # of a score that is shown


@dataclass(frozen=True)
class Form:
    """Which keys an answer of this task has.

    all_scores: every label's probability too; reranked: what the search alone says of a document that was put first.
    """

    task: Task
    all_scores: bool = False
    reranked: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """All keys in order; `error` stands only in an answer that could not be given."""
        scores = ("scores",) if self.all_scores else ()
        search = ("search_score", "search_rank") if self.reranked else ()
        searches = ("search_scores",) if self.all_scores and self.reranked else ()
        first = (*self.task.answers, *self.task.shown, "score", *search)
        return (*first, "decision", "truncated_tokens", *scores, *searches, "error")

    def answered(self, example: Example, prediction: Prediction) -> dict[str, Any]:
        """What is said of an example."""
        value, score = prediction.given
        plain, answers = answer(value, example.inputs.get("text")), self.task.answers
        said = {
            **dict.fromkeys(answers),
            **(plain if len(answers) > 1 else {answers[0]: plain}),
            **{name: getattr(value, name, None) for name in self.task.shown},
            "score": round(score, DIGITS),
            **(_searched(prediction) if self.reranked else {}),
            "decision": prediction.decision,
            "truncated_tokens": prediction.truncated_tokens,
        }
        if self.all_scores:
            said["scores"] = _rounded(prediction.scores)
        if self.all_scores and self.reranked:
            found = prediction.parts[SEARCH].scores
            said["search_scores"] = _rounded({document: found[document] for document in prediction.scores})
        return said

    def failed(self, problem: str) -> dict[str, Any]:
        """What stands in the place of an answer that could not be given."""
        return {**dict.fromkeys(self.columns), "decision": "error", "error": problem}


def answer(value: Any, text: Any = None) -> Any:
    """A prediction's value, or a label, as plain data: several labels or spans become a list, a frame {"intent", "slots"},
    a graph {"entities", "triples"}, an Answer its text, answers of several tasks a mapping of their names. With the `text`
    that spans are of, each has what stands there."""
    if (named := by_name(value)) is not None:
        return {name: answer(part, text) for name, part in named.items()}
    if isinstance(value, tuple):
        return [answer(part, text) for part in value]
    if isinstance(value, Answer):
        return value.text
    if isinstance(value, Triple):
        head, tail = answer(value.head, text), answer(value.tail, text)
        return {"head": head, "relation": value.relation, "tail": tail, "score": value.score}
    if isinstance(value, Span):
        stands = {"text": text[value.start : value.end]} if isinstance(text, str) else {}
        return {**stands, **dataclasses.asdict(value)}
    return value


def _searched(prediction: Prediction) -> dict[str, Any]:
    """What the search alone says of the document that was put first."""
    found = prediction.parts[SEARCH].scores
    rank = list(found).index(prediction.value) + 1
    return {"search_score": round(found[prediction.value], DIGITS), "search_rank": rank}


def _rounded(scores: Mapping[str, float]) -> dict[str, float]:
    return {label: round(score, DIGITS) for label, score in scores.items()}
