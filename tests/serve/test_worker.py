"""The thread that answers: what waits is computed together, faults stay with their request, nothing is lost."""

from __future__ import annotations

import threading

import pytest

from tunewright.core.types import Example
from tunewright.serve.worker import BATCH, Closed, Full, Worker


class Computer:
    """A compute function that waits for `go`, and remembers what it was given together."""

    def __init__(self) -> None:
        self.go, self.begun, self.batches = threading.Event(), threading.Event(), []

    def __call__(self, examples):
        self.begun.set()
        self.go.wait(30)
        self.batches.append([example.id for example in examples])
        if "bad" in self.batches[-1]:
            raise ValueError("bad")
        return [example.id.upper() for example in examples]


@pytest.fixture
def computer():
    made = Computer()
    yield made
    made.go.set()


@pytest.fixture
def worker(computer):
    made = Worker(computer, waiting=4)
    made.submit(examples("first"))
    computer.begun.wait(30)  # it computes, so that what is submitted next has to wait
    yield made
    computer.go.set()
    made.close()


def examples(*names):
    return [Example(name, {"text": name}) for name in names]


def test_what_waits_is_computed_together_and_everyone_gets_their_own(worker, computer):
    futures = [worker.submit(examples(*names)) for names in ("a", "bc", "d")]
    assert worker.depth == 3
    computer.go.set()
    assert [future.result(30) for future in futures] == [["A"], ["B", "C"], ["D"]]
    assert computer.batches == [["first"], ["a", "b", "c", "d"]]


def test_no_batch_is_larger_than_it_should_be_unless_one_request_is(worker, computer):
    futures = [worker.submit(examples(*["x"] * size)) for size in (BATCH - 1, 2, BATCH + 5)]
    computer.go.set()
    assert [len(future.result(30)) for future in futures] == [BATCH - 1, 2, BATCH + 5]
    assert [len(batch) for batch in computer.batches] == [1, BATCH - 1, 2, BATCH + 5]


def test_a_fault_stays_with_its_request(worker, computer):
    good, bad, other = (worker.submit(examples(name)) for name in ("good", "bad", "other"))
    computer.go.set()
    assert (good.result(30), other.result(30)) == (["GOOD"], ["OTHER"])
    with pytest.raises(ValueError, match="bad"):
        bad.result(30)


def test_a_full_queue_says_so_and_how_long_it_may_last(worker):
    for name in "abcd":
        worker.submit(examples(name))
    with pytest.raises(Full) as caught:
        worker.submit(examples("e"))
    assert caught.value.seconds >= 1


def test_what_nobody_waits_for_any_more_is_not_computed(worker, computer):
    worker.submit(examples("left")).cancel()
    stays = worker.submit(examples("stays"))
    computer.go.set()
    assert stays.result(30) == ["STAYS"]
    assert ["left"] not in computer.batches and computer.batches[-1] == ["stays"]


def test_a_closed_worker_answers_what_waits_and_takes_no_more(worker, computer):
    waiting = worker.submit(examples("waiting"))
    worker.close()
    with pytest.raises(Closed):
        worker.submit(examples("late"))
    computer.go.set()
    assert waiting.result(30) == ["WAITING"]
    worker.join(30)
    assert not worker._thread.is_alive()
