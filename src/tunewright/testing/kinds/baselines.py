"""What a baseline promises: an answer for every test row, in order, from the training rows alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tunewright.core import catalog
from tunewright.core.contracts import Given, Task
from tunewright.core.graphs import GraphMeasures
from tunewright.core.types import Example, Prediction, label_names
from tunewright.testing.conformance import Subject

WORDS = {"bad": ("bad poor awful", "坏差丑"), "good": ("good great nice", "好美棒")}
MARKS = ("film", "店", "music", "书", "food", "菜")


def every_test_row_gets_an_answer_among_the_labels(subject: Subject) -> None:
    """As many predictions as rows, labels that exist, scores that are probabilities; one label a row, or several."""
    for task in _tasks(subject):
        train, test = _examples(task, 24), _examples(task, 9, first=100)
        found = _predict(subject, task, train, test)
        assert len(found) == len(test)
        for prediction in found:
            assert set(label_names(prediction.value)) <= set(_labels(train)), prediction.value
            assert 0 <= prediction.score <= 1
            assert not task.probe or set(prediction.scores) == set(WORDS)


def the_same_rows_give_the_same_answers(subject: Subject) -> None:
    """Runs repeat, and no answer depends on the other test rows."""
    for task in _tasks(subject):
        train, test = _examples(task, 24), _examples(task, 6, first=100)
        whole = _predict(subject, task, train, test)
        assert whole == _predict(subject, task, train, test)
        alone = _predict(subject, task, train, test[2:3])[0]
        assert alone.value == whole[2].value
        assert np.isclose(alone.score, whole[2].score)


def it_does_without_validation_rows_and_with_one_row_a_label(subject: Subject) -> None:
    """The smallest training data still give an answer."""
    for task in _tasks(subject):
        found = _predict(subject, task, _examples(task, 2), _examples(task, 3, first=100), validation=[])
        assert len(found) == 3


def the_training_labels_matter(subject: Subject) -> None:
    """With every training label the same, that is the answer."""
    task = catalog.create("tasks", "text_classification")
    if not subject.create().suits(task):
        return
    train = [Example(example.id, example.inputs, "good") for example in _examples(task, 8)]
    found = _predict(subject, task, train, _examples(task, 4, first=100), validation=train[:2])
    assert {prediction.value for prediction in found} == {"good"}


def _tasks(subject: Subject) -> list[Task]:
    """One label a row, several, one for a pair, spans, both at once, and relations, as far as the baseline says it can do them."""
    several = {"name": "text_classification", "multi_label": True}
    kinds = (
        "text_classification",
        several,
        "sentence_pair",
        "token_classification",
        "slot_filling",
        "triples",
        "question_answering",
        "matching",
    )
    made = (catalog.create("tasks", kind) for kind in kinds)
    return [task for task in made if subject.create().suits(task)]


def _examples(task: Task, count: int, first: int = 0) -> list[Example]:
    """Rows in English and Chinese by turns, half of them good, all different."""
    made = []
    for index in range(first, first + count):
        label, language = ("good", "bad")[index % 2], index // 2 % 2
        words = WORDS[label][language]
        word = words.split()[index % 3] if language == 0 else words[index % 3]
        text = f"{word} {MARKS[index % len(MARKS)]} {index}"
        inputs = dict(zip(task.inputs, (text, f"{word} {index}"), strict=False))
        cells = dict(zip(task.targets, _cells(task, text, word, label), strict=True))
        made.append(Example(f"rows.csv:{index}", *task.read({**inputs, **cells})))
    return made


def _cells(task: Task, text: str, word: str, label: str) -> list[Any]:
    """The label's cells: a name, a span over the word, both, or spans over the word and the next and a relation of them."""
    start = text.index(word)
    span = [{"start": start, "end": start + len(word), "label": label}]
    if isinstance(task.measures, GraphMeasures):
        mark = text.split(" ")[1]
        second = {
            "start": text.index(f" {mark} ") + 1,
            "end": text.index(f" {mark} ") + 1 + len(mark),
            "label": "thing",
        }
        return [[*span, second], [{"head": 0, "tail": 1, "relation": "of"}]]
    if len(task.targets) > 1:
        return [label, span]
    return [label] if task.probe or task.retrieves else [span]


def _labels(examples: Sequence[Example]) -> tuple[str, ...]:
    """All labels that rows can have, as they are sorted in a run."""
    return tuple(sorted({*WORDS} | {name for example in examples for name in label_names(example.label)}))


def _predict(
    subject: Subject,
    task: Task,
    train: Sequence[Example],
    test: Sequence[Example],
    validation: Sequence[Example] | None = None,
) -> list[Prediction]:
    held_out = _examples(task, 8, first=50) if validation is None else validation
    unlabelled = [Example(example.id, example.inputs) for example in test]
    return subject.create().predict(Given(task, train, held_out, unlabelled, _labels(train), _embed, 13))


def _embed(examples: Sequence[Example]) -> np.ndarray:
    """Features that tell good from bad, beside some noise that depends on the row alone."""
    good = set("".join(WORDS["good"]).replace(" ", ""))
    texts = [" ".join(example.inputs.values()) for example in examples]
    rows = [[sum(c in good for c in t), len(t), len(e.id) % 7] for t, e in zip(texts, examples, strict=True)]
    return np.array(rows, dtype=np.float32).reshape(len(examples), 3)
