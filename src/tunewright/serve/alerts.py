"""Tell people of an alarm: in the log, by a webhook, by e-mail or whatever else `apprise` knows. Never a word of a user's text."""

from __future__ import annotations

import fcntl
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tunewright.core.errors import MachineError, UsageError
from tunewright.core.files import read_json, write_json
from tunewright.monitor.watching import PAUSE
from tunewright.serve.watch import Alarm

log = logging.getLogger("tunewright.serve")
SECONDS = 5.0  # that a webhook may take to connect, and again to answer
WAITING = 32  # alerts that wait to be sent; more are dropped, and counted

Send = Callable[[dict[str, Any]], None]


class Pauses:
    """When each model's last alert was raised, and how many alarms were held back since."""

    def __init__(self) -> None:
        self._models: dict[str, dict[str, Any]] = {}

    def held(self, model: str, at: float, pause: float) -> int | None:
        """An alarm at `at` seconds: None, and it is counted, within the pause after an alert; else how many were held back."""
        return _held(self._models, model, at, pause)


class SharedPauses(Pauses):
    """The same for all workers that share a folder, by a file and a lock in it. Times are of one machine's clock."""

    def __init__(self, folder: Path) -> None:
        self._file, self._lock = folder / "alerts.json", folder / "alerts.lock"

    def held(self, model: str, at: float, pause: float) -> int | None:
        """See Pauses.held: within a pause one worker of all sends an alert."""
        with open(self._lock, "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            models = read_json(self._file) if self._file.exists() else {}
            found = _held(models, model, at, pause)
            write_json(self._file, models)
            return found


def _held(models: dict[str, dict[str, Any]], model: str, at: float, pause: float) -> int | None:
    known = models.setdefault(model, {"last": None, "held": 0})
    if known["last"] is not None and at - known["last"] < pause:
        known["held"] += 1
        return None
    held = known["held"]
    known.update(last=at, held=0)
    return held


class Alerts:
    """Sends alarms on, in a thread of its own, at most one a model in `pause` seconds. outcome: told whether each of the
    channels took it: (channel, "sent", "failed" or "dropped"); pauses: shared by several workers."""

    def __init__(
        self,
        urls: Sequence[str] = (),
        pause: float = PAUSE,
        outcome: Callable[[str, str], None] = lambda channel, outcome: None,
        clock: Callable[[], float] = time.monotonic,
        pauses: Pauses | None = None,
    ) -> None:
        self._channels = [channel(url) for url in urls]
        self._pause, self._outcome, self._clock = pause, outcome, clock
        self._pauses = pauses or Pauses()
        self._waiting: queue.Queue[dict[str, Any] | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._work, name="alerts", daemon=True)
        self._thread.start()

    def alarm(self, alarm: Alarm) -> None:
        """Send it, unless the model raised one just now: then it is counted, and the next one says how many were."""
        held = self._pauses.held(alarm.model, self._clock(), self._pause)
        if held is None:
            return
        told = {**alarm.to_dict(), "held_back": held}
        told["message"], told["message_zh"] = _sentences(told)
        log.warning("%s", told["message"])
        try:
            self._waiting.put_nowait(told)
        except queue.Full:
            for name, _ in self._channels:
                self._outcome(name, "dropped")

    def close(self, seconds: float) -> None:
        """Send what waits, and end the thread."""
        self._waiting.put(None)
        self._thread.join(seconds)

    def _work(self) -> None:
        while (told := self._waiting.get()) is not None:
            for name, send in self._channels:
                try:
                    send(told)
                    self._outcome(name, "sent")
                except Exception as error:  # whatever a channel raises; its message may hold the address's password
                    self._outcome(name, "failed")
                    log.error("An alert could not be sent by %s: %s.", name, type(error).__name__)


def channel(url: str) -> tuple[str, Send]:
    """What sends alerts to an address, with its name: http(s) gets JSON, any other form is one that `apprise` knows.

    Raises UsageError for an address that is none, MachineError where `apprise` is needed and not there.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        raise UsageError("An address of --alert is none. Write https://… or mailto://….") from None
    if parts.scheme in ("http", "https"):
        if not host:
            raise UsageError(f"--alert {parts.scheme}:// lacks a host. Write it as https://example.org/hook.")
        return "webhook", lambda told: _post(url, told)
    if not parts.scheme:
        raise UsageError(f"--alert {url!r:.40} is no address. Write https://… for a webhook, mailto://… for e-mail.")
    return parts.scheme, _apprise(url, parts.scheme)


def _post(url: str, told: dict[str, Any]) -> None:
    """Send JSON; follow no redirect, and read nothing of the answer but its status."""
    import httpx2

    with (
        httpx2.Client(timeout=SECONDS, follow_redirects=False, trust_env=False) as client,
        client.stream("POST", url, json=told) as answer,
    ):
        if not answer.is_success:
            raise OSError(f"status {answer.status_code}")


def _apprise(url: str, scheme: str) -> Send:
    try:
        import apprise
    except ModuleNotFoundError:
        raise MachineError(
            f"Alerts to {scheme}:// need the package apprise: pip install 'tunewright[alerts]'."
        ) from None
    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # it would write addresses into the log
    sender = apprise.Apprise()
    if not sender.add(url):
        raise UsageError(
            f"--alert {scheme}://… is no address that apprise knows. E-mail: mailto://USER:PASSWORD@HOST?to=ADDRESS."
        )

    def send(told: dict[str, Any]) -> None:
        body = f"{told['message']}\n\n{told['message_zh']}"
        if not sender.notify(title=f"Tunewright: {told['model']}", body=body):
            raise OSError("not delivered")

    return send


def _sentences(told: dict[str, Any]) -> tuple[str, str]:
    """What an alert says, in English and Chinese."""
    names = ", ".join(signal["name"].replace("_", " ") for signal in told["signals"])
    rows, estimate, usual = told["answers"]["count"], told["estimated_accuracy"], told["usual_accuracy"]
    share = share_zh = ""
    if estimate is not None:
        most, most_zh = ("", "") if estimate["holds"] else ("at most ", "至多 ")
        share = f" Estimated accuracy {most}{estimate['value']:.1%}, usually {usual:.1%}."
        share_zh = f"估计准确率{most_zh or ' '}{estimate['value']:.1%}，平时 {usual:.1%}。"
    held = f" {told['held_back']} more were held back since the last alert." if told["held_back"] else ""
    held_zh = f"自上次提醒以来另有 {told['held_back']} 次未单独发出。" if told["held_back"] else ""
    about = f"{told['model']} (version {told['version']})"
    return (
        f"{about}: the last {rows} answers differ from what is usual, in {names}.{share}{held}",
        f"{told['model']}（版本 {told['version']}）：最近 {rows} 个回答与平时不同：{names}。{share_zh}{held_zh}",
    )
