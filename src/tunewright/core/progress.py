"""Progress with time left, on standard error; silent where nobody watches."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Protocol

Step = Callable[[int], None]  # called with how many units were just done


class Progress(Protocol):
    """What long work reports to."""

    def task(self, title: str, total: int | None = None) -> contextlib.AbstractContextManager[Step]:
        """A piece of work of `total` units (None: unknown); gives the function to call as units get done."""

    def say(self, message: str) -> None:
        """A line worth reading now: a guess that was made, a file that was written."""


class Silent:
    """Progress that shows nothing: for the Python API, tests and pipes."""

    @contextlib.contextmanager
    def task(self, title: str, total: int | None = None) -> Iterator[Step]:
        """See Progress.task."""
        yield lambda count: None

    def say(self, message: str) -> None:
        """See Progress.say."""


class Terminal:
    """Progress for people: bars with time left on a terminal, a line every ten seconds elsewhere."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()

    @contextlib.contextmanager
    def task(self, title: str, total: int | None = None) -> Iterator[Step]:
        """See Progress.task."""
        shown = self._bar(title, total) if self._live else self._lines(title, total)
        with shown as step:
            yield step

    def say(self, message: str) -> None:
        """See Progress.say."""
        print(message, file=sys.stderr, flush=True)

    @contextlib.contextmanager
    def _bar(self, title: str, total: int | None) -> Iterator[Step]:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = [
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
        ]
        timing = [TimeElapsedColumn(), TextColumn("left:"), TimeRemainingColumn()]
        started, done = time.monotonic(), 0
        with Bar(*columns, *timing, console=Console(stderr=True), transient=True) as bar:
            handle = bar.add_task(title, total=total, rate="")

            def step(count: int) -> None:
                nonlocal done
                done += count
                bar.update(handle, advance=count, rate=_rate(done, time.monotonic() - started))

            yield step

    @contextlib.contextmanager
    def _lines(self, title: str, total: int | None, every: float = 10.0) -> Iterator[Step]:
        started = shown = time.monotonic()
        done = 0

        def step(count: int) -> None:
            nonlocal done, shown
            done += count
            now = time.monotonic()
            if now - shown >= every and done != total:
                shown = now
                left = f", about {(now - started) / done * (total - done):.0f} s left" if total and done else ""
                of = f" of {total}" if total else ""
                print(f"{title}: {done}{of}, {_rate(done, now - started)}{left}", file=sys.stderr, flush=True)

        yield step


def _rate(done: int, seconds: float) -> str:
    """Units a second, as "740/s"; "1.5/s" where they are few."""
    rate = done / seconds if seconds else 0.0
    return f"{rate:.0f}/s" if rate >= 10 else f"{rate:.1f}/s"
