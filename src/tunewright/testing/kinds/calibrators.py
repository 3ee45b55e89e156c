"""What a calibrator promises: scores that mean more, and no worse answers."""

from __future__ import annotations

import numpy as np

from tunewright.core.numeric import negative_log_likelihood
from tunewright.testing.conformance import Subject

ROWS, LABELS = 400, 4


def scores_mean_more_than_before(subject: Subject) -> None:
    """On the rows it was fitted on, over-confident and under-confident scores get a lower negative log-likelihood."""
    for multi_label in (False, True):
        for sureness in (0.2, 1.0, 6.0):
            logits, gold = _made(sureness, multi_label)
            before = float(np.mean(negative_log_likelihood(logits, gold)))
            after = float(np.mean(negative_log_likelihood(_apply(subject, logits, gold, multi_label), gold)))
            assert after <= before + 1e-6, f"logits {sureness} times too sure: {before:.4f} became {after:.4f}"
            assert sureness == 1.0 or after < before - 1e-3


def answers_get_no_worse(subject: Subject) -> None:
    """Calibration makes scores right, not answers: those it keeps, or improves."""
    for sureness in (0.2, 6.0):
        logits, gold = _made(sureness, multi_label=False)
        before, after = (
            np.mean(rows.argmax(axis=1) == gold) for rows in (logits, _apply(subject, logits, gold, False))
        )
        assert after >= before


def it_is_one_affine_map(subject: Subject) -> None:
    """(scale, shift), each a number or one a label, finite, scale above 0: it folds into the last linear map."""
    for multi_label in (False, True):
        logits, gold = _made(3.0, multi_label)
        for rows in (slice(None), slice(0, 1), slice(0, 0)):
            scale, shift = subject.create().fit(logits[rows], gold[rows], multi_label)
            assert np.shape(scale) in ((), (LABELS,)) and np.shape(shift) in ((), (LABELS,))
            assert np.all(np.isfinite(scale)) and np.all(np.isfinite(shift)) and np.all(np.asarray(scale) > 0)


def the_same_rows_give_the_same_map(subject: Subject) -> None:
    """Runs repeat."""
    logits, gold = _made(3.0, multi_label=False)
    first, second = (subject.create().fit(logits, gold, False) for _ in range(2))
    assert np.array_equal(first[0], second[0]) and np.array_equal(first[1], second[1])


def _apply(subject: Subject, logits: np.ndarray, gold: np.ndarray, multi_label: bool) -> np.ndarray:
    scale, shift = subject.create().fit(logits, gold, multi_label)
    return logits * scale + shift


def _made(sureness: float, multi_label: bool) -> tuple[np.ndarray, np.ndarray]:
    """Logits `sureness` times what they should be, and gold labels drawn by what they should be."""
    random = np.random.default_rng(0)
    right = random.normal(size=(ROWS, LABELS)) * 1.5
    if multi_label:
        gold = (random.random((ROWS, LABELS)) < 1 / (1 + np.exp(-right))).astype(np.float32)
    else:
        gold = (right + random.gumbel(size=(ROWS, LABELS))).argmax(axis=1)
    return right * sureness, gold
