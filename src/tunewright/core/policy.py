"""Fit a decision policy on validation rows: per-label thresholds, and the score from which answers are accepted.

The guarantees hold for rows the model was not fitted on, drawn like those it will meet. numpy only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tunewright.core.types import Note

STARTS = 4  # independent places from which acceptance is widened; each is tested at a quarter of the allowed risk
STEPS = 20  # acceptance is tried at so many numbers of rows
NEVER = 1.1  # a threshold no score reaches


@dataclass(frozen=True)
class Acceptance:
    """When to answer, and what that costs.

    accept: least score at which to answer (for Policy.accept); coverage: share of rows that reach it; error: their
    measured share of wrong answers; upper: what their true error stays below with the stated confidence; both None
    where no row reaches it, and then reason says why.
    """

    accept: float
    coverage: float
    error: float | None = None
    upper: float | None = None
    reason: Note | None = None


def fit_thresholds(probabilities: np.ndarray, gold: np.ndarray, labels: Sequence[str]) -> dict[str, float]:
    """Label → the threshold of its probability with the best F1; 0.5 for a label that no row has.

    probabilities: (rows, labels); gold: (rows, labels) zeros and ones. A threshold lies half-way between two scores.
    """
    probabilities, gold = np.asarray(probabilities, dtype=float), np.asarray(gold) > 0.5
    return {label: _best_f1(probabilities[:, index], gold[:, index]) for index, label in enumerate(labels)}


def fit_threshold(scores: Sequence[float], yes: Sequence[float], no: Sequence[float]) -> float:
    """The threshold of a score from which "yes" is said so that the mean quality of the answers is best.

    scores, yes, no: (rows,) each row's score, and how good its answer is with yes and with no. Half-way between two
    scores; NEVER, or 0, where saying always the same is best; the one nearest to 0.5 of those that are equally good.
    """
    order = np.argsort(-np.asarray(scores, dtype=float), kind="stable")
    scores = np.asarray(scores, dtype=float)[order]
    gains = np.append(0.0, np.cumsum(np.asarray(yes, dtype=float)[order] - np.asarray(no, dtype=float)[order]))
    cuts = np.concatenate([[NEVER], (scores[:-1] + scores[1:]) / 2, [0.0]])
    parted = np.concatenate([[True], scores[:-1] > scores[1:], [True]])  # between equal scores there is nothing to cut
    best = parted & (gains >= np.max(gains[parted]) - 1e-9)
    return float(min(cuts[best], key=lambda cut: abs(cut - 0.5)))


def fit_accept(scores: np.ndarray, correct: np.ndarray, max_error: float, confidence: float = 0.95) -> Acceptance:
    """The lowest acceptance threshold whose answers are wrong at most `max_error` of the time, with this confidence.

    scores: (rows,) score of each answer; correct: (rows,) whether it is right; both (rows, levels) where a row has wider
    answers beside, of which the first that reaches the threshold is given (a score of -1: there is none).
    Thresholds are tested from strict to lax, by an exact binomial test each (Clopper and Pearson 1934), and widening
    stops at the first that fails: fixed-sequence testing from several starts (Angelopoulos et al. 2021, Learn then
    Test, section 3), so that choosing among thresholds costs none of the confidence. The starts share the allowed
    risk, so with one start 59 right answers would show an error below 5% at 95% confidence (0.95⁵⁹ < 0.05), and with
    four it takes 86 (0.95⁸⁶ < 0.0125); in return, one unlucky stretch among the surest answers does not end the search.
    """
    scores, correct = np.asarray(scores, dtype=float), np.asarray(correct, dtype=bool)
    scores, correct = scores.reshape(len(scores), -1), correct.reshape(len(scores), -1)
    risk = (1 - confidence) / STARTS
    least = int(np.ceil(np.log(risk) / np.log1p(-max_error))) if 0 < max_error < 1 else 1
    if max_error <= 0 or len(scores) < least:
        return Acceptance(NEVER, 0.0, reason=_too_few(len(scores), least, max_error))
    accept = _widest(scores, correct, least, max_error, risk)
    if accept is None:
        return Acceptance(NEVER, 0.0, reason=_too_wrong(len(scores), max_error))
    wrong, rows = _answered(scores, correct, accept)
    return Acceptance(accept, rows / len(scores), wrong / rows, upper_bound(wrong, rows, risk))


def upper_bound(errors: int, rows: int, risk: float) -> float:
    """The error rate that the true one exceeds with probability `risk` at most (Clopper and Pearson 1934)."""
    low, high = errors / rows, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if _binomial_cdf(errors, rows, middle) > risk else (low, middle)
    return high


def _widest(scores: np.ndarray, correct: np.ndarray, least: int, max_error: float, risk: float) -> float | None:
    """The lowest threshold that is reached from any start without a failed test; None when none is."""
    tried = _thresholds(scores, least)
    passed = [_binomial_cdf(*_answered(scores, correct, accept), max_error) <= risk for accept in tried]
    best = None
    for start in range(0, len(tried), -(-len(tried) // STARTS)):
        for accept, fine in zip(tried[start:], passed[start:], strict=True):
            if not fine:
                break
            best = accept if best is None else min(best, accept)
    return best


def _thresholds(scores: np.ndarray, least: int) -> list[float]:
    """The thresholds that are tested, from strict to lax: half-way between two scores, equal ones kept together."""
    falling = -np.sort(-scores[scores >= 0])
    numbers = np.unique(np.round(np.linspace(least, len(falling), STEPS)).astype(int))
    numbers = np.unique([np.searchsorted(-falling, -falling[number - 1], side="right") for number in numbers])
    ends = np.append(falling, min(falling[-1], 0.0))
    return [float((ends[n - 1] + ends[n]) / 2) if n < len(falling) else float(ends[n]) for n in numbers]


def _answered(scores: np.ndarray, correct: np.ndarray, accept: float) -> tuple[int, int]:
    """(wrong answers, answers) at this threshold: of each row the first of its answers that reaches it."""
    sure = scores >= accept
    given = np.argmax(sure, axis=1)
    answers = np.any(sure, axis=1)
    return int(np.sum(answers & ~correct[np.arange(len(given)), given])), int(np.sum(answers))


def _too_few(rows: int, least: int, max_error: float) -> Note:
    if max_error <= 0:
        return Note(
            "No finite number of rows can show that a model never errs: set decision.max_error above 0.",
            "再多的数据也无法说明模型从不出错：请让 decision.max_error 大于 0。",
        )
    limit = f"{100 * max_error:g}%"
    return Note(
        f"{rows} validation rows cannot show an error below {limit}: that takes at least {least}, all answered "
        "rightly. Give more validation rows, or allow a larger decision.max_error.",
        f"{rows} 条验证数据不足以说明错误率低于 {limit}：至少需要 {least} 条，而且全部答对。"
        "请提供更多验证数据，或调高 decision.max_error。",
    )


def _too_wrong(rows: int, max_error: float) -> Note:
    limit = f"{100 * max_error:g}%"
    return Note(
        f"Even the surest answers on {rows} validation rows are not shown to err below {limit}. "
        "Allow a larger decision.max_error, give more validation rows, or improve the model.",
        f"在 {rows} 条验证数据上，即使只看最有把握的回答，也无法说明错误率低于 {limit}。"
        "请调高 decision.max_error，提供更多验证数据，或改进模型。",
    )


def _best_f1(scores: np.ndarray, gold: np.ndarray) -> float:
    if not gold.any():
        return 0.5
    order = np.argsort(-scores, kind="stable")
    scores, hits = scores[order], np.cumsum(gold[order])
    f1 = 2 * hits / (np.arange(1, len(scores) + 1) + hits[-1])
    following = np.append(scores[1:], 0.0)
    cuts = np.flatnonzero(scores > following)  # between equal scores there is nothing to cut
    if not len(cuts):
        return 0.5
    best = cuts[np.argmax(f1[cuts])]
    return float((scores[best] + following[best]) / 2)


def _binomial_cdf(errors: int, rows: int, rate: float) -> float:
    """P(at most `errors` of `rows`) when each errs with probability `rate`."""
    if rate <= 0 or errors >= rows:
        return 1.0
    if rate >= 1:
        return 0.0
    factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, rows + 1)))])
    number = np.arange(errors + 1)
    ways = factorials[rows] - factorials[number] - factorials[rows - number]
    return float(np.sum(np.exp(ways + number * np.log(rate) + (rows - number) * np.log1p(-rate))))
