"""Changed copies of training rows, made as rows stream by; labels and places in texts move along."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunewright.core import catalog
from tunewright.core.contracts import Augmenter, Task
from tunewright.core.edits import Edit, Passage, Place, applied, kept, moved_label
from tunewright.core.errors import RecipeError
from tunewright.core.types import Example, placed
from tunewright.data import normalise
from tunewright.data.ledger import Ledger
from tunewright.data.table import KEY

SPLIT = "augmented"  # what the ledger calls copies: they are no rows of a source
UNCHANGED = "unchanged", "nothing in the text that could be changed, or nothing that counts as a difference"
SAME_TEXT = "same_text", "another training row, or copy of this one, has the same text"
LEAKAGE = "leakage", "the same text stands in validation or test"


@dataclass(frozen=True)
class Copy:
    """A changed copy. row: its original's place among the rows given; by: the augmenter's name.

    Its example carries the id of its original, where it came from: what keeps something by id must not be given both.
    """

    row: int
    by: str
    example: Example
    key: int  # of its normalised texts


class Augmentation:
    """The opened augmenters of a run. validation and test texts are known by their keys, 8 bytes each."""

    def __init__(self, augmenters: Sequence[Augmenter], task: Task, splits: Mapping[str, Any], seed: int) -> None:
        check(augmenters, task)
        self._task, self._seed = task, seed
        self._opened = [(augmenter, augmenter.open()) for augmenter in augmenters]
        self._train, self._judged = (
            np.unique(np.concatenate([_keys(splits[name]) for name in names if name in splits]))
            for names in (("train",), ("validation", "test"))
        )

    def with_copies(self, examples: Sequence[Example], first: int, ledger: Ledger) -> Iterator[tuple[int, Example]]:
        """(its row's place among `examples`, row or copy), each row followed by its copies, which the ledger accounts for.

        first: the place of the first row in its split: chance depends on seed and place, not on how rows are cut.
        """
        copies: list[list[Copy]] = [[] for _ in examples]
        for copy in self.copies(examples, first):
            copies[copy.row].append(copy)
        for row, example in enumerate(examples):
            yield row, example
            seen = {key_of(example)}
            for copy in copies[row]:
                ledger.read(SPLIT)
                if problem := self._problem(copy, example, seen):
                    file, _, line = example.id.rpartition(":")
                    kind, reason = problem
                    ledger.drop(SPLIT, file, int(line), f"{copy.by}: {reason}", kind)
                    continue
                seen.add(copy.key)
                ledger.use(SPLIT)
                yield row, copy.example

    def copies(self, examples: Sequence[Example], first: int) -> Iterator[Copy]:
        """Every copy of every row, whether it is fit to be used or not."""
        for which, (augmenter, edits) in enumerate(self._opened):
            name = catalog.name_of(augmenter)
            made = [
                (row, role, Passage(text, _fixed(self._task, example, role), np.random.default_rng(chance)))
                for row, example in enumerate(examples)
                for number in range(augmenter.copies)
                for place, (role, text) in enumerate(_texts(example))
                for chance in ([self._seed, first + row, which, number, place],)
            ]
            found = zip(made, edits([passage for *_, passage in made]), strict=True)
            for row, example in enumerate(examples):
                for _ in range(augmenter.copies):
                    own = [next(found) for _ in _texts(example)]
                    changed = {role: (passage, kept(new, passage)) for (_, role, passage), new in own}
                    copy = _changed(self._task, example, changed)
                    yield Copy(row, name, copy, key_of(copy))

    def _problem(self, copy: Copy, original: Example, seen: set[int]) -> tuple[str, str] | None:
        """(kind, reason) why a copy is not learned from; seen: keys of its original and of the copies before it."""
        if copy.key == key_of(original):
            return UNCHANGED
        if _holds(self._judged, copy.key):
            return LEAKAGE
        return SAME_TEXT if copy.key in seen or _holds(self._train, copy.key) else None


def check(augmenters: Sequence[Augmenter], task: Task) -> None:
    """Raise RecipeError for an augmenter that does not suit the task; cheap."""
    for augmenter in augmenters:
        if augmenter.rewrites and task.placed:
            raise RecipeError(
                f"data.augment: {catalog.name_of(augmenter)} writes texts anew, and the rows of {catalog.name_of(task)} "
                "tell places in them, which would be lost. Take augmenters that change words where they stand: "
                f"{', '.join(_local())}."
            )


def copies_a_row(augmenters: Sequence[Augmenter]) -> int:
    """Copies that a row gets, before any is left out."""
    return sum(augmenter.copies for augmenter in augmenters)


def key_of(example: Example) -> int:
    """The key that preparing gives a row: see normalise.key."""
    return normalise.key(map(str, example.inputs.values()))


def _changed(task: Task, example: Example, changes: Mapping[str, tuple[Passage, list[Edit]]]) -> Example:
    inputs = {role: applied(passage.text, edits) for role, (passage, edits) in changes.items()}
    label = example.label
    if placed(label):
        label = moved_label(label, changes[_located(task)][1])
    return dataclasses.replace(example, inputs={**example.inputs, **inputs}, label=label)


def _fixed(task: Task, example: Example, role: str) -> list[Place]:
    """Places of a text that nobody may edit: labelled spans and answers, and what stands between a task's marks."""
    found = [(part.start, part.end) for part in placed(example.label)] if role == _located(task) else []
    text = example.inputs[role]
    # A text may hold such a sign of its own: from the first to the last, the marked place is surely inside.
    return found + [(text.index(mark), text.rindex(mark) + 1) for mark in task.marks if mark in text]


def _located(task: Task) -> str:
    """The input in which a label's places count."""
    return task.located or task.inputs[0]


def _texts(example: Example) -> list[tuple[str, str]]:
    return [(role, value) for role, value in example.inputs.items() if isinstance(value, str)]


def _local() -> list[str]:
    return [name for name in catalog.names("augmenters") if not catalog.find("augmenters", name).rewrites]


def _keys(split: Any) -> np.ndarray:
    return split.column(KEY).to_numpy().astype(np.uint64)


def _holds(keys: np.ndarray, key: int) -> bool:
    at = int(np.searchsorted(keys, np.uint64(key)))
    return at < len(keys) and int(keys[at]) == key
