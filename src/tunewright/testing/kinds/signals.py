"""What a signal of a monitor promises: sums without text, quiet where nothing changes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from tunewright.core.contracts import Traffic
from tunewright.core.drift import Drift
from tunewright.core.files import jsonable
from tunewright.testing.conformance import Subject

ROWS, WINDOW, TRIES = 600, 100, 40
WORDS = ("card", "lost", "bank", "weather", "rain", "天气", "丢了", "song", "music", "today", "please", "now")


def sketches_add_up(subject: Subject) -> None:
    """The sketch of rows is the sum of the sketches of their parts, and rows in another order have the same one."""
    usual, traffic = _learned(subject), _traffic(1)
    whole = subject.create().sketch(traffic, usual)
    parts = [subject.create().sketch(traffic.part(start, start + 70), usual) for start in range(0, ROWS, 70)]
    assert np.allclose(whole, np.sum(parts, axis=0)) and np.ndim(whole) == 1
    assert np.allclose(whole, subject.create().sketch(_traffic(1, reverse=True), usual))


def what_is_usual_is_plain_data_without_text(subject: Subject) -> None:
    """It can be written as JSON, works as read back, and holds no word of the texts."""
    usual = _learned(subject)
    back = _arrays(json.loads(json.dumps(jsonable(usual))))
    assert not set(" ".join(_strings(usual)).split()) & set(WORDS)
    sketch = subject.create().sketch(_traffic(1), usual)
    assert subject.create().compare(back, sketch, ROWS) == subject.create().compare(usual, sketch, ROWS)


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
    return [text for one in inner for text in _strings(one)]


def _arrays(usual: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: np.array(value) if isinstance(value, list) and not _strings(value) else value
        for name, value in usual.items()
    }


def rows_like_the_usual_ones_are_seldom_called_different(subject: Subject) -> None:
    """Of windows drawn as the usual rows were, few have a small p-value; p and distance lie between 0 and 1."""
    found = [_compared(subject, _traffic(seed).part(0, WINDOW)) for seed in range(2, 2 + TRIES)]
    assert all(0 <= drift.p <= 1 and 0 <= drift.distance <= 1 for drift in found)
    assert sum(drift.p < 0.01 for drift in found) <= 3, sorted(drift.p for drift in found)[:5]


def rows_unlike_the_usual_ones_are_called_different(subject: Subject) -> None:
    """Longer texts of other letters, other labels, unsure answers: whatever it looks at, p is small."""
    assert _compared(subject, _traffic(1, strange=True).part(0, 300)).p < 1e-3


def _learned(subject: Subject):
    usual = subject.create().learn(_traffic(0))
    assert usual is not None
    return usual


def _compared(subject: Subject, traffic: Traffic) -> Drift:
    usual = _learned(subject)
    return subject.create().compare(usual, subject.create().sketch(traffic, usual), len(traffic))


def _traffic(seed: int, strange: bool = False, reverse: bool = False) -> Traffic:
    random = np.random.default_rng(seed)
    rows = [random.integers(0, len(WORDS), random.integers(3, 9 if not strange else 20)) for _ in range(ROWS)]
    rows = [row + 50 if strange else row for row in rows][:: -1 if reverse else 1]
    texts = [" ".join(f"ж{word}" if strange else WORDS[word] for word in row) for row in rows]
    kinds = [int(row.sum()) % (2 if strange else 3) for row in rows]
    outputs = np.array([[np.sin(row).sum(), np.cos(row).sum(), len(row)] for row in rows])
    sure = np.array([0.5 + 0.5 * abs(np.sin(float(row.sum()))) for row in rows])
    return Traffic(
        texts=texts,
        tokens=rows,
        lengths=np.array([len(row) for row in rows], dtype=float),
        outputs=outputs,
        names=[("abc"[kind],) for kind in kinds],
        scores=sure**4 if strange else sure,
    )
