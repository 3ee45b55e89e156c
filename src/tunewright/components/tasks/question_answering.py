"""Answer a question from a context: the stretch of characters that answers it, or that none does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from tunewright.core import spans
from tunewright.core.answers import NO_ANSWER, AnswerMeasures, Counting
from tunewright.core.contracts import Claims, Measures, Task
from tunewright.core.errors import LabelError
from tunewright.core.numeric import log_softmax, sigmoid
from tunewright.core.types import Answer, Claim, Example, Label, Policy, Prediction, Window
from tunewright.core.windows import window
from tunewright.data.answers import answers_in
from tunewright.data.cell import plain
from tunewright.data.places import located

if TYPE_CHECKING:
    from tunewright.models.processor import Encoded, Processor

NOTHING = -100.0  # the label of tokens where no answer can start or end, as padding has it


@dataclass(frozen=True, kw_only=True)
class ContextWindow(Window):
    """A window that knows which of its tokens are the context's.

    context: the example's; inside: (n,) those tokens; places: (n, 2) the characters of each, without space around;
    begins, ends: (n,) whether a unit of the text (core/spans.py) begins, or ends, with it.
    """

    context: str
    inside: np.ndarray
    places: np.ndarray
    begins: np.ndarray
    ends: np.ndarray


@dataclass(frozen=True)
class QuestionAnswering(Task):
    """A question and a context to a stretch of the context. Long contexts are read in windows, each with the question."""

    no_answer: bool = False  # rows may have an empty list of answers, and the model may say that the context holds none; from which score on is fitted on validation
    longest: Annotated[int, Field(ge=1)] = (
        64  # tokens of an answer at most: 30 is usual for SQuAD, whose answers are names and numbers; CMRC's may be a whole sentence
    )
    counting: Counting = "auto"  # how exact match and F1 are counted: squad (words, articles left out), cmrc (Chinese by character, longest common stretch); auto: cmrc where Chinese stands in an answer

    inputs: ClassVar[tuple[str, ...]] = ("question", "context")
    target: ClassVar[str] = "answer"
    head: ClassVar[str] = "start_end"
    objective: ClassVar[str] = "start_end"
    metric: ClassVar[str] = "f1"
    classes: ClassVar[bool] = False
    baselines: ClassVar[tuple[str, ...]] = ("best_sentence", "near_words")
    stride: ClassVar[int] = 128  # as for SQuAD (Devlin et al. 2019): an answer at a window's edge is whole in the next
    located: ClassVar[str | None] = "context"
    placed: ClassVar[bool] = True
    shown: ClassVar[tuple[str, ...]] = ("start", "end")

    @property
    def measures(self) -> Measures:  # type: ignore[override]
        """See Task.measures and core.answers."""
        return AnswerMeasures(self.counting, self.no_answer)

    @property
    def claims(self) -> Claims:  # type: ignore[override]
        """See Task.claims: the answer, or that there is none."""
        return _Claims(self)

    @property
    def thresholds(self) -> tuple[str, ...]:  # type: ignore[override]
        """See Task.thresholds."""
        return (NO_ANSWER,) if self.no_answer else ()

    def outputs(self, labels: Sequence[str]) -> tuple[str, ...]:
        """See Task.outputs."""
        return ("start", "end")

    def read(self, cells: Mapping[str, Any]) -> tuple[dict[str, Any], Label]:
        """See Task.read; data/answers.py says what the cell of the answers may hold. Each of them is right."""
        question, context = located(cells.get("question")), located(cells.get("context"))
        gold = answers_in(plain(cells.get("answer")), context)
        if gold == () and not self.no_answer:
            raise LabelError(
                "The row has no answer. If a context may hold none, set task: {name: question_answering, no_answer: true}."
            )
        return {"question": question.text, "context": context.text}, gold

    def encode(self, examples: Sequence[Example], processor: Processor, labels: Sequence[str]) -> list[Window]:
        """See Task.encode. "labels" is (tokens, 2): 1 where an answer that is whole in the window starts, and where it
        ends, or else at the first token; 0 where one could, -100 elsewhere."""
        questions, contexts = ([str(example.inputs[role]) for example in examples] for role in self.inputs)
        texts = {context: _Text(context) for context in contexts}
        found: list[Window] = []
        for index, parts in enumerate(processor.encode(questions, contexts)):
            own = [texts[contexts[index]].window(index, part) for part in parts]
            gold = examples[index].label
            found += own if gold is None else _labelled(own, gold)
        return found

    def decode(
        self, logits: np.ndarray, windows: Sequence[Window], labels: Sequence[str], policy: Policy
    ) -> Prediction:
        """See Task.decode: the likeliest stretch of all windows; its score is the probability that it starts and ends there.

        With no_answer, the chance of that against the likeliest stretch is among the scores. It is the least of all
        windows: one that holds an answer is enough.
        """
        logits = np.asarray(logits, dtype=np.float64)
        best, place, none, start = -np.inf, None, 0.0, 0
        for part in windows:
            score, own, nothing = _likeliest(logits[start : start + len(part.offsets)], part, self.longest)
            best, place = (score, own) if score > best else (best, place)
            none, start = min(none, nothing), start + len(part.offsets)
        value = None if place is None else Answer(windows[0].context[slice(*place)], *place)
        score, scores = float(np.exp(none if value is None else best)), {}
        if self.no_answer:
            scores = {NO_ANSWER: float(sigmoid(none - best)) if value else 1.0}
            if scores[NO_ANSWER] >= policy.thresholds.get(NO_ANSWER, 0.5):
                value, score = None, scores[NO_ANSWER]
        decision = policy.decision(score)
        return Prediction(value, score, scores, decision, sum(part.truncated for part in windows))


# ---------------------------------------------------------------------------------------------- windows and tokens


class _Text:
    """A context with what every window of it needs, worked out once however many questions it has."""

    def __init__(self, text: str) -> None:
        self.text = text
        blank = np.array([character.isspace() for character in text] or [True])
        count = np.arange(len(blank))
        # The first character from each place on, and the end of the last one up to it, that is no space.
        self._next = np.minimum.accumulate(np.where(blank, len(blank), count)[::-1])[::-1]
        self._last = np.maximum.accumulate(np.where(blank, 0, count + 1))
        self._units = spans.bounds(text)

    def window(self, example: int, encoded: Encoded) -> ContextWindow:
        inside = np.flatnonzero(encoded.second & (encoded.offsets[:, 1] > encoded.offsets[:, 0]))
        starts, ends = encoded.offsets[inside].T
        places = np.stack([self._next[starts], self._last[ends - 1]], axis=1)
        real = places[:, 0] < places[:, 1]  # a token of space alone is none
        inside, places = inside[real], places[real].astype(np.int64)
        return ContextWindow(
            **vars(window(example, encoded)),
            context=self.text,
            inside=inside,
            places=places,
            begins=np.isin(places[:, 0], self._units[:, 0]),
            ends=np.isin(places[:, 1], self._units[:, 1]),
        )


def _labelled(windows: Sequence[ContextWindow], gold: Sequence[Answer]) -> list[Window]:
    """One example's windows with their "labels"."""
    marks = [np.full((len(part.offsets), 2), NOTHING, dtype=np.float32) for part in windows]
    for part, own in zip(windows, marks, strict=True):
        own[part.inside] = 0.0
        own[0] = 0.0
    for answer in gold:
        for (part, first, last), own in zip(_whole(windows, answer), marks, strict=True):
            if first >= 0:
                own[part.inside[first], 0] = own[part.inside[last], 1] = 1.0
    for own in marks:
        if not (own == 1.0).any():
            own[0] = 1.0
    return [_with(part, labels=own) for part, own in zip(windows, marks, strict=True)]


def _whole(windows: Sequence[ContextWindow], answer: Answer) -> list[tuple[ContextWindow, int, int]]:
    """Each window with the first and the last of its inside tokens that the answer touches; -1 where it is not whole.

    It is whole where no other window has more of it: characters that have no token belong to nobody.
    """
    touched = [(part.places[:, 0] < answer.end) & (part.places[:, 1] > answer.start) for part in windows]
    ends = [(part.places[own][0, 0], part.places[own][-1, 1]) if own.any() else None for part, own in zip(windows, touched, strict=True)]  # fmt: skip
    known = [end for end in ends if end is not None]
    all_of_it = (min(start for start, _ in known), max(end for _, end in known)) if known else None
    found = []
    for part, own, its in zip(windows, touched, ends, strict=True):
        tokens = np.flatnonzero(own) if its is not None and its == all_of_it else np.array([-1])
        found.append((part, int(tokens[0]), int(tokens[-1])))
    return found


def _with(part: ContextWindow, **features: np.ndarray) -> ContextWindow:
    return ContextWindow(**{**vars(part), "features": {**part.features, **features}})


def _likeliest(logits: np.ndarray, part: ContextWindow, longest: int) -> tuple[float, tuple[int, int] | None, float]:
    """The likeliest stretch of a window: its log-probability and characters (-inf and None without any), and the
    log-probability that there is none. logits: (tokens, 2)."""
    start, end = _ends(logits, part)
    none = float(start[0] + end[0])
    starts, ends = np.where(part.begins, start[1:], -np.inf), np.where(part.ends, end[1:], -np.inf)
    if not len(starts):
        return -np.inf, None, none
    padded = np.append(ends, np.full(longest - 1, -np.inf))
    both = starts[:, None] + np.lib.stride_tricks.sliding_window_view(
        padded, longest
    )  # (from token, to so many further)
    first, more = divmod(int(np.argmax(both)), longest)
    if both[first, more] == -np.inf:
        return -np.inf, None, none
    return float(both[first, more]), (int(part.places[first, 0]), int(part.places[first + more, 1])), none


def _ends(logits: np.ndarray, part: ContextWindow) -> np.ndarray:
    """(2, 1 + inside) the log-probability that the answer starts, and ends, at no token and at each inside one."""
    return log_softmax(logits[np.concatenate([[0], part.inside])].T)


@dataclass(frozen=True)
class _Claims(Claims):
    """The answer, or that the context holds none."""

    task: QuestionAnswering

    def of(self, prediction: Prediction) -> list[Claim]:
        if (found := prediction.value) is not None:
            return [Claim(self.task.target, None, ((found.start, found.end),))]
        return [Claim(self.task.target, NO_ANSWER)] if self.task.no_answer else []

    def chances(
        self, claims: Sequence[Claim], logits: np.ndarray, windows: Sequence[Window], labels: Sequence[str]
    ) -> list[float]:
        logits = np.asarray(logits, dtype=np.float64)
        return [self._chance(claim, logits, windows, labels) for claim in claims]  # one, as an answer makes no more

    def _chance(self, claim: Claim, logits: np.ndarray, windows: Sequence[Window], labels: Sequence[str]) -> float:
        if not claim.places:
            return self.task.decode(logits, windows, labels, Policy()).scores[NO_ANSWER]
        best, begins = 0.0, 0
        for part, first, last in _whole(windows, Answer("", *claim.places[0])):  # type: ignore[arg-type]
            start, end = _ends(logits[begins : begins + len(part.offsets)], part)
            begins += len(part.offsets)
            if first >= 0:
                best = max(best, float(np.exp(start[1 + first] + end[1 + last])))
        return best


def sample(folder: Any) -> list[dict[str, Any]]:
    """Rows for the conformance suite (tunewright/testing/conformance.py)."""
    long = "bad " * 40
    return [
        {"question": "who met", "context": "Anna met Bob", "answer": [{"text": "Anna", "start": 0}]},
        {"question": "谁在北京", "context": "王明在北京", "answer": [{"start": 0, "end": 2}]},
        {"question": "where", "context": "😀 in 北京 now", "answer": {"text": ["北京"], "answer_start": [5]}},
        {"question": "什么", "context": "这家ＡＢＣ公司很好", "answer": "ＡＢＣ公司"},
        {"question": "what", "context": f"{long}a good film {long}", "answer": ["film", "good film"]},
        {"question": "x", "context": "  y  z", "answer": [{"text": "z", "answer_start": 5, "id": 7}]},
        {"question": "how", "context": "e\u0301\u200d\ufe0f slow!", "answer": '[{"text": "slow", "start": 5}]'},
        {"question": "多少", "context": "共 308 分", "answer": 308},
    ]
