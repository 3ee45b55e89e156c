"""Answers that stand in a text: exact match and F1 as the scripts of SQuAD and CMRC 2018 count them. numpy only."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from tunewright.core.contracts import Measures
from tunewright.core.types import Answer, Label, Prediction

Counting = Literal["auto", "squad", "cmrc"]
NO_ANSWER = "no_answer"  # among a prediction's scores: that the text holds no answer

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_HAN = re.compile("[\u4e00-\u9fa5]")  # the characters that CMRC's script takes one by one
# What CMRC's script leaves out; its "……" is two characters there, and so never met by one.
_SIGNS = str.maketrans("", "", "-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
# Where that script parts what is no Chinese into words with NLTK: numbers and words with what is inside them, or a sign.
_PIECES = re.compile("[\u4e00-\u9fa5]|[^\\W\u4e00-\u9fa5]+(?:[.,'][^\\W\u4e00-\u9fa5]+)*|[^\\w\\s]")


def exact_match(gold: Sequence[Answer], said: Answer | None, counting: Counting = "auto") -> float:
    """1 where the answer is, but for what does not count, one of those that are right; without any, where none is given.

    squad: letter case, ASCII punctuation, articles and spaces do not count (Rajpurkar et al. 2016, evaluate-v1.1.py);
    cmrc: letter case and the punctuation that its script names (Cui et al. 2019, cmrc2018_evaluate.py);
    auto: as cmrc where a Chinese character stands in either, else as squad.
    """
    return _best(gold, said, counting, lambda true, found, cmrc: float(_plain(true, cmrc) == _plain(found, cmrc)))


def f1(gold: Sequence[Answer], said: Answer | None, counting: Counting = "auto") -> float:
    """F1 of what the answer shares with that of the right ones that it is most like; see `exact_match`.

    squad: shared words; cmrc: the longest common stretch of Chinese characters and other words.
    """
    return _best(
        gold, said, counting, lambda true, found, cmrc: _stretch_f1(true, found) if cmrc else _words_f1(true, found)
    )


def _best(
    gold: Sequence[Answer], said: Answer | None, counting: Counting, measure: Callable[[str, str, bool], float]
) -> float:
    if not gold or said is None:
        return float(not gold and said is None)
    return max(measure(true.text, said.text, _as_cmrc(true.text, said.text, counting)) for true in gold)


def _as_cmrc(true: str, said: str, counting: Counting) -> bool:
    return counting == "cmrc" or (counting == "auto" and bool(_HAN.search(true) or _HAN.search(said)))


def _plain(text: str, cmrc: bool) -> str:
    if cmrc:
        return text.lower().strip().translate(_SIGNS)
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def _words_f1(true: str, said: str) -> float:
    wanted, found = (_plain(text, False).split() for text in (true, said))
    if not wanted or not found:
        return float(wanted == found)
    return _harmonic(sum((Counter(wanted) & Counter(found)).values()), len(wanted), len(found))


def _stretch_f1(true: str, said: str) -> float:
    wanted, found = (_PIECES.findall(_plain(text, True)) for text in (true, said))
    return _harmonic(_longest_common(wanted, found), len(wanted), len(found))


def _longest_common(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest stretch that both have."""
    best, before = 0, [0] * (len(other) + 1)
    for piece in one:
        row = [0] * (len(other) + 1)
        for index, its in enumerate(other):
            if piece == its:
                row[index + 1] = before[index] + 1
        best, before = max(best, *row), row
    return best


def _harmonic(common: int, wanted: int, found: int) -> float:
    return 2 * common / (wanted + found) if common else 0.0


@dataclass(frozen=True)
class AnswerMeasures(Measures):
    """Of answers of which each row has some right ones, or none: exact match, and F1 of what is shared.

    counting: whose script is followed; no_answer: rows may have no answer, and are measured apart too.
    """

    counting: Counting = "auto"
    no_answer: bool = False

    def metrics(
        self, gold: Sequence[Label], predictions: Sequence[Prediction], labels: Sequence[str]
    ) -> dict[str, Any]:
        """See Measures.metrics. With no_answer also "answerable_f1", over rows that have an answer, and
        "no_answer_accuracy", over those that have none."""
        known = [(true, said.value) for true, said in zip(gold, predictions, strict=True) if true is not None]
        exact = [exact_match(*pair, self.counting) for pair in known]
        shared = [f1(*pair, self.counting) for pair in known]
        found = {"n": len(known), "exact_match": _mean(exact), "f1": _mean(shared)}
        if self.no_answer:
            has = [bool(true) for true, _ in known]
            found["answerable_f1"] = _mean([value for value, answer in zip(shared, has, strict=True) if answer])
            found["no_answer_accuracy"] = _mean(
                [value for value, answer in zip(shared, has, strict=True) if not answer]
            )
        return found

    def right(self, gold: Label, value: Any) -> bool:
        """See Measures.right: an exact match."""
        return exact_match(gold, value, self.counting) == 1.0

    def quality(self, gold: Label, prediction: Prediction) -> float:
        """See Measures.quality: the row's F1."""
        return f1(gold, prediction.value, self.counting)

    def weighed(
        self, metric: str, gold: Sequence[Label], predictions: Sequence[Prediction], labels: Sequence[str]
    ) -> Callable[[np.ndarray], np.ndarray] | None:
        """See Measures.weighed: means of rows are."""
        of_row = {"exact_match": exact_match, "f1": f1}.get(metric)
        if of_row is None:
            return None
        values = [of_row(true, said.value, self.counting) for true, said in zip(gold, predictions, strict=True)]
        return lambda weights: weights @ np.array(values) / np.sum(weights, axis=1)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else 0.0
