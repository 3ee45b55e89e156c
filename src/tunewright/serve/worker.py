"""A thread that answers one model's requests: what waits is computed together, and nothing waits for more to come."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from tunewright.core.types import Example

BATCH = 64  # inputs that are computed together: more only make the first of them wait
SMOOTH = 0.2  # share of the newest batch in the seconds that an input takes

Compute = Callable[[Sequence[Example]], Sequence[Any]]  # one answer an example


class Closed(Exception):
    """The worker takes no more requests: another version has its place."""


class Full(Exception):
    """As many requests wait as may. `seconds`: how long those that wait will take, about."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"The queue is full for about {seconds} s.")
        self.seconds = seconds


@dataclass(frozen=True)
class _Job:
    examples: Sequence[Example]
    done: Future[list[Any]] = field(default_factory=Future)


class Worker:
    """Computes in a thread of its own; `submit` gives a future at once."""

    def __init__(self, compute: Compute, *, waiting: int, batch: Callable[[int], None] = lambda inputs: None) -> None:
        self._compute = compute
        self._most = waiting
        self._told = batch  # told how many inputs are computed together
        self._jobs: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._seconds = 0.0  # that one input takes
        self._thread = threading.Thread(target=self._work, name="answers", daemon=True)
        self._thread.start()

    @property
    def depth(self) -> int:
        """Requests that wait."""
        return len(self._jobs)

    def submit(self, examples: Sequence[Example]) -> Future[list[Any]]:
        """Answers to these examples, in order. Raises Full, or Closed."""
        with self._changed:
            if self._closed:
                raise Closed
            if len(self._jobs) >= self._most:
                raise Full(max(1, math.ceil(self._seconds * sum(len(job.examples) for job in self._jobs))))
            job = _Job(examples)
            self._jobs.append(job)
            self._changed.notify()
            return job.done

    def close(self) -> None:
        """Take no more requests; those that wait are answered."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def join(self, seconds: float) -> None:
        """Wait for the last answer after `close`."""
        self._thread.join(seconds)

    def _work(self) -> None:
        while jobs := self._next():
            started = time.perf_counter()
            self._answer(jobs)
            inputs = sum(len(job.examples) for job in jobs)
            self._seconds += SMOOTH * ((time.perf_counter() - started) / max(1, inputs) - self._seconds)

    def _next(self) -> list[_Job]:
        """What waits, in order, up to BATCH inputs and one request at least; nothing when the worker is closed."""
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._jobs or self._closed)
                taken: list[_Job] = []
                inputs = 0
                while self._jobs and (not taken or inputs + len(self._jobs[0].examples) <= BATCH):
                    job = self._jobs.popleft()
                    if job.done.set_running_or_notify_cancel():  # not one whose client has given up
                        taken.append(job)
                        inputs += len(job.examples)
                if taken or (self._closed and not self._jobs):
                    return taken

    def _answer(self, jobs: Sequence[_Job]) -> None:
        examples = [example for job in jobs for example in job.examples]
        self._told(len(examples))
        try:
            said = iter(self._compute(examples))
        except Exception as error:
            if len(jobs) == 1:
                jobs[0].done.set_exception(error)
                return
            for job in jobs:  # one request's fault is not its neighbours'
                self._answer([job])
            return
        for job in jobs:
            job.done.set_result([next(said) for _ in job.examples])
