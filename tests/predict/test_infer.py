"""Chunks are read, encoded and computed at the same time; answers come in order, and errors where they belong."""

from __future__ import annotations

import itertools
import threading

import numpy as np
import pytest

from tunewright.core.types import Example, Window
from tunewright.predict import infer as module
from tunewright.predict.infer import infer, infer_chunks

WAIT = 30  # seconds until something that should have happened counts as never


class Numbers:
    """A task whose examples are numbers; every second one has two windows."""

    def encode(self, examples, processor, labels):
        return [
            Window(index, {"input_ids": np.array([example.inputs["number"]])}, 1)
            for index, example in enumerate(examples)
            for _ in range(1 + example.inputs["number"] % 2)
        ]

    def join(self, windows, outputs):
        return np.stack([*outputs, np.array([len(windows)])])


def examples(start, stop=None):
    numbers = itertools.count(start) if stop is None else range(start, stop)
    return (Example(str(number), {"number": number}) for number in numbers)


def plain(windows):
    return [10 * window["input_ids"] for window in windows]


def working() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith(("encode", "compute"))}


@pytest.fixture
def by_five(monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 5)


@pytest.mark.parametrize("rows", [0, 1, 5, 6, 10, 23])
def test_answers_come_in_order_each_from_its_own_windows(by_five, rows):
    found = list(infer(examples(0, rows), Numbers(), None, (), plain))
    assert [item.example.id for item in found] == [str(number) for number in range(rows)]
    for number, item in enumerate(found):
        windows = 1 + number % 2
        assert len(item.windows) == windows
        assert item.logits.ravel().tolist() == [10 * number] * windows + [windows]


def test_a_chunk_is_read_and_encoded_while_another_is_computed(by_five):
    second = threading.Event()

    class Told(Numbers):
        def encode(self, examples, processor, labels):
            if examples[0].id == "5":
                second.set()
            return super().encode(examples, processor, labels)

    def run(windows):
        assert second.wait(WAIT), "the second chunk was not encoded before the first was computed"
        return plain(windows)

    assert len(list(infer(examples(0, 15), Told(), None, (), run))) == 15


def test_a_chunk_is_computed_while_the_answers_before_it_are_used(by_five):
    third = threading.Event()

    def run(windows):
        if windows[0]["input_ids"][0] == 10:
            third.set()
        return plain(windows)

    answers = infer(examples(0, 20), Numbers(), None, (), run)
    for _ in range(6):
        next(answers)
    assert third.wait(WAIT)
    answers.close()


def test_a_single_chunk_needs_no_thread():
    def run(windows):
        assert threading.current_thread() is threading.main_thread()
        return plain(windows)

    assert len(list(infer(examples(0, 5), Numbers(), None, (), run))) == 5


def test_endless_examples_are_read_only_a_little_ahead(by_five):
    read = []

    def counted():
        for example in examples(0):
            read.append(example.id)
            yield example

    answers = infer(counted(), Numbers(), None, (), plain)
    for _ in range(50):
        next(answers)
    assert len(read) <= 50 + 2 * 5
    answers.close()
    assert not working()


def test_closed_early_no_thread_is_left(by_five):
    answers = infer(examples(0), Numbers(), None, (), plain)
    next(answers)
    assert working()
    answers.close()
    assert not working()


@pytest.mark.parametrize("where", ["reading", "encoding", "computing"])
def test_what_goes_wrong_behind_is_said_in_front_after_the_answers_before_it(where):
    class Failing(Numbers):
        def encode(self, examples, processor, labels):
            if where == "encoding" and examples[0].id == "15":
                raise ValueError("encoding")
            return super().encode(examples, processor, labels)

    def chunks():
        for start in range(0, 30, 5):
            if where == "reading" and start == 15:
                raise ValueError("reading")
            yield list(examples(start, start + 5))

    def run(windows):
        if where == "computing" and windows[0]["input_ids"][0] == 15:
            raise ValueError("computing")
        return plain(windows)

    found = []
    with pytest.raises(ValueError, match=where):
        for items in infer_chunks(chunks(), Failing(), None, (), run):
            found += [item.example.id for item in items]
    assert found == [str(number) for number in range(len(found))] and len(found) >= 10
    assert not working()


def test_progress_is_told_by_the_chunk_in_which_things_get_done():
    told = []
    for count, _ in enumerate(module.stepping(range(7), told.append, 3)):
        assert sum(told) == 3 * (count // 3)
    assert told == [3, 3, 1]
