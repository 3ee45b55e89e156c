"""Several processes that answer on one port, and one that looks after them: it starts a worker anew that has died.

All accept from one socket, which this process holds: what waits there when a worker dies is taken by another. This process
opens no model and answers nothing.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tunewright.core.errors import MachineError, Refused
from tunewright.serve.start import Settings

log = logging.getLogger("tunewright.serve")
SHORT = 10.0  # seconds: a worker that ends sooner has not come up well, and the next waits longer
FIRST, LONGEST = 0.5, 30.0  # seconds before a worker is started anew, doubled each time
METRICS = "PROMETHEUS_MULTIPROC_DIR"  # where prometheus_client lets processes add up


class Supervisor:
    """So many workers of one server."""

    def __init__(self, settings: Settings, workers: int, listening: socket.socket) -> None:
        self._settings, self._count, self._listening = settings, workers, listening
        self._folder = Path(tempfile.mkdtemp(prefix="tunewright-serve-"))
        (self._folder / "metrics").mkdir()
        self._events: queue.SimpleQueue[tuple[str, Any, Any]] = queue.SimpleQueue()
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._started: dict[int, float] = {}
        self._tries = dict.fromkeys(range(workers), 0)
        self._due: dict[int, float] = {}  # slot → when it is started anew
        self._stopping = False

    def run(self, started: Callable[[list[dict[str, Any]]], None]) -> None:
        """Serve until SIGTERM or Ctrl-C, then let every worker finish what it has.

        started: told what is served, once all workers answer. Raises MachineError or Refused where one cannot start.
        """
        for sent in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sent, lambda number, frame: self._events.put(("signal", number, None)))
        try:
            for slot in range(self._count):
                self._start(slot)
            self._all_up(started)
            while self._running or (self._due and not self._stopping):
                self._next()
        finally:
            self._end()

    def _all_up(self, started: Callable[[list[dict[str, Any]]], None]) -> None:
        up = 0
        while up < self._count and not self._stopping:
            event, slot, told = self._events.get()
            if event == "signal":
                self._stop(slot)
            elif event == "ended":
                self._running.pop(slot, None)
                raise MachineError(f"A worker ended with code {told} before it answered.")
            elif told.get("error"):
                raise (Refused if told["exit_code"] == Refused.exit_code else MachineError)(told["error"])
            else:
                up += 1
                if up == self._count:
                    started(told["models"])

    def _next(self) -> None:
        wait = max(0.0, min(self._due.values()) - time.monotonic()) if self._due else None
        try:
            event, slot, told = self._events.get(timeout=wait)
        except queue.Empty:
            for slot in [slot for slot, due in self._due.items() if due <= time.monotonic()]:
                del self._due[slot]
                self._start(slot)
            return
        if event == "signal":
            self._stop(slot)
        elif event == "ended":
            self._ended(slot, told)
        elif told.get("error"):
            log.error("Worker %d cannot start: %s", slot, told["error"])
        else:
            log.warning("Worker %d answers again.", slot)

    def _start(self, slot: int) -> None:
        told = {
            "settings": self._settings.plain(),
            "folder": str(self._folder),
            "slot": slot,
            "workers": self._count,
            "socket": self._listening.fileno(),
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "tunewright.serve.process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(self._listening.fileno(),),
            process_group=0,  # Ctrl-C is this process's, which passes it on
            env={**os.environ, METRICS: str(self._folder / "metrics")},
        )
        self._running[slot], self._started[slot] = process, time.monotonic()
        try:
            process.stdin.write(json.dumps(told).encode() + b"\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
        except BrokenPipeError:  # it has died already, which is told below
            pass
        threading.Thread(target=self._listen, args=(slot, process), daemon=True).start()

    def _listen(self, slot: int, process: subprocess.Popen[bytes]) -> None:
        if line := process.stdout.readline():  # type: ignore[union-attr]
            self._events.put(("told", slot, json.loads(line)))
        code = process.wait()
        for stream in (process.stdin, process.stdout):
            stream.close()  # type: ignore[union-attr]
        self._events.put(("ended", slot, code))

    def _ended(self, slot: int, code: int) -> None:
        from prometheus_client.multiprocess import mark_process_dead

        process = self._running.pop(slot)
        mark_process_dead(process.pid, str(self._folder / "metrics"))
        if self._stopping:
            return
        lived = time.monotonic() - self._started[slot]
        self._tries[slot] = self._tries[slot] + 1 if lived < SHORT else 0
        wait = min(LONGEST, FIRST * 2 ** (self._tries[slot] - 1)) if self._tries[slot] else 0.0
        log.error("Worker %d ended with code %d; another starts in %g s.", slot, code, wait)
        self._due[slot] = time.monotonic() + wait

    def _stop(self, sent: int) -> None:
        self._stopping = True
        self._due.clear()
        for process in self._running.values():
            process.send_signal(sent)

    def _end(self) -> None:
        """Whatever happened, leave no worker behind."""
        for process in self._running.values():
            process.kill()
        for process in self._running.values():
            process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)
