"""What a start promises: a linear map of the right size, the same every time, for every task that it says it suits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tunewright.core import catalog
from tunewright.core.contracts import Beginning, Start, Task
from tunewright.core.types import Example
from tunewright.testing import tiny
from tunewright.testing.conformance import Subject

LABELS = ("card", "music", "weather")
ROWS, WIDTH = 24, 16


def its_head_fits_the_model_and_is_the_same_every_time(subject: Subject) -> None:
    """Weight (outputs, hidden) and bias (outputs,), finite, in float32; or none at all."""
    for task in _suited(subject):
        found = [_created(subject).head(_given(task)) for _ in range(2)]
        if found[0] is None:
            assert found[1] is None
            continue
        (weight, bias), again = found
        outputs = len(task.outputs(LABELS))
        assert weight.shape == (outputs, WIDTH) and bias.shape == (outputs,)
        assert weight.dtype == bias.dtype == np.float32
        assert np.isfinite(weight).all() and np.isfinite(bias).all()
        assert np.array_equal(weight, again[0]) and np.array_equal(bias, again[1])


def its_head_tells_apart_what_the_features_tell_apart(subject: Subject) -> None:
    """Where each label's rows lie apart from the others' a head that is given at all answers nearly all of them rightly."""
    task = catalog.create("tasks", "text_classification")
    given = _given(task)
    if not _created(subject).suits(task) or (found := _created(subject).head(given)) is None:  # type: ignore[arg-type]
        return
    logits = given.features(given.train) @ found[0].T + found[1]
    right = [LABELS[best] == row.label for best, row in zip(np.argmax(logits, axis=1), given.train, strict=True)]
    assert np.mean(right) > 0.9


def it_suits_some_task(subject: Subject) -> None:
    """There is something that it can begin."""
    assert _suited(subject)


def its_steps_are_counted(subject: Subject) -> None:
    """`steps` are those that it makes, and none where it makes none."""
    for task in _suited(subject):
        made: list[int] = []
        _created(subject).head(_given(task, made))
        assert sum(made) == _created(subject).steps


def its_settings_go_with_the_labels(subject: Subject) -> None:
    """What suits a task lets labels through whose names are words."""
    assert _created(subject).check(LABELS) is None


def _created(subject: Subject) -> Start:
    """The start: with its module's own `sample` as settings, or a tiny masked language model where it needs one."""
    if subject.sample is not None:
        return subject.create(**subject.sample(subject.folder))
    needed = [name for name, value in vars(subject.create()).items() if value == ""]
    return subject.create(**{name: str(_knowing(subject.folder / name)) for name in needed})


def _knowing(folder: Path) -> Path:
    return folder if folder.exists() else tiny.tiny_masked_lm(folder, echoes=True)


def _suited(subject: Subject) -> list[Task]:
    """Tasks of labels as they come, with several labels a row, and of two texts, that it suits."""
    given = ("text_classification", {"name": "text_classification", "multi_label": True}, "sentence_pair")
    tasks = [catalog.create("tasks", one) for one in given]
    return [task for task in tasks if _created(subject).suits(task)]


def _given(task: Task, made: list[int] | None = None) -> Beginning:
    """Rows about each label's name; their features lie around a point of the label's own, of one length.

    Of two texts each lies at its place on a circle, the first at the top and the second as far from it as the label says; read
    at once they lie anywhere.
    """
    several, second = task.multi_label, task.inputs[1:]
    names = [LABELS[row % len(LABELS)] for row in range(ROWS)]
    rows = [
        Example(
            f"rows.csv:{row}",
            {task.inputs[0]: f"{'card' if second else name} {row}", **dict.fromkeys(second, f"{name} {row}")},
            (name,) if several else name,
        )
        for row, name in enumerate(names)
    ]

    def features(examples: list[Example]) -> np.ndarray:
        found = np.zeros((len(examples), WIDTH))
        for row, example in enumerate(examples):
            texts = list(example.inputs.values())
            own = np.random.default_rng([ord(sign) for sign in "".join(texts)])
            found[row] = (1 if len(texts) > 1 else 0.1) * own.normal(size=WIDTH)
            about = LABELS.index(texts[0].split()[0])
            if second:
                found[row, :2] += 0.0 if len(texts) > 1 else 3 * np.array([np.cos(about), np.sin(about)])
            else:
                found[row, about] += 1
        return (found * np.sqrt(WIDTH) / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)

    def gather(steps: int, more: Sequence[Example]) -> None:
        if made is not None:
            made.append(steps)

    def teach(steps: int, examples: Sequence[Example], numbers: np.ndarray) -> None:
        assert len(examples) == len(numbers) and all(one.label is None for one in examples)
        if made is not None:
            made.append(steps)

    return Beginning(task, rows[6:], rows[:6], LABELS, features, gather, teach)
