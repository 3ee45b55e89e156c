"""What all workers of a server are to answer with: one file that an admin's action writes whole, and each worker follows.

A server of one process has no such file (`Alone`). A worker that is started anew begins with what the file says, so an
exchange outlives the worker that was asked for it.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tunewright.core.errors import BundleError, TunewrightError
from tunewright.core.files import read_json, write_json
from tunewright.serve.limits import RequestError
from tunewright.serve.repository import Repository, Version
from tunewright.serve.trial import Trial

log = logging.getLogger("tunewright.serve")
FILE = "desired.json"
PAUSE = 0.1  # seconds between two looks at the file


class Alone:
    """A server of one process: what is changed there is changed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Within it the models are changed by nobody else. Raises RequestError while another change is made."""
        if not self._lock.acquire(blocking=False):
            raise _busy()
        try:
            yield
        finally:
            self._lock.release()

    def settled(self, seconds: float) -> dict[str, Any]:
        """Wait until all workers have the last change, so long at most; gives what an admin's answer tells of it."""
        return {}


class Shared(Alone):
    """The file in `folder`, and what each of so many workers says that it has made of it."""

    def __init__(self, folder: Path, slot: int, workers: int, repository: Repository) -> None:
        super().__init__()
        self._folder, self._slot, self._workers, self._repository = folder, slot, workers, repository
        self._seen = 0  # the last change that this worker has made

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """See Alone.changing: no other worker changes anything either, and this one has all changes before."""
        with super().changing(), open(self._folder / "lock", "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise _busy() from None
            self._catch_up()
            yield
            number = self._seen + 1
            write_json(self._folder / FILE, {"change": number, "models": state(self._repository)})
            self._made(number)

    def settled(self, seconds: float) -> dict[str, Any]:
        """See Alone.settled."""
        wanted, until = self._seen, time.monotonic() + seconds
        while True:
            told = [self._told(slot) for slot in range(self._workers)]
            there = [one for one in told if one["change"] >= wanted]
            if len(there) == self._workers or time.monotonic() > until:
                failed = sum(bool(one.get("error")) for one in there)
                return {"workers": {"all": self._workers, "changed": len(there) - failed, "failed": failed}}
            time.sleep(PAUSE)

    def begin(self) -> bool:
        """Open what the file says, if an admin has changed anything yet. Raises TunewrightError where it does not open."""
        told = self._read()
        if told["change"]:
            apply(self._repository, told["models"])
        self._made(told["change"])
        return bool(told["change"])

    def follow(self) -> None:
        """Look at the file for ever, in a thread of its own."""
        threading.Thread(target=self._follow, name="follows", daemon=True).start()

    def _follow(self) -> None:
        while True:
            time.sleep(PAUSE)
            with self._lock:
                try:
                    self._catch_up()
                except Exception as error:
                    log.error("Following the other workers met a defect, %s.", type(error).__name__)

    def _catch_up(self) -> None:
        told = self._read()
        if told["change"] <= self._seen:
            return
        try:
            apply(self._repository, told["models"])
        except (TunewrightError, RequestError) as error:
            log.error("This worker could not follow change %d: %s", told["change"], error)
            self._made(told["change"], str(error))
        else:
            self._made(told["change"])

    def _read(self) -> dict[str, Any]:
        file = self._folder / FILE
        return read_json(file) if file.exists() else {"change": 0, "models": {}}

    def _made(self, number: int, error: str = "") -> None:
        self._seen = number
        write_json(self._folder / f"worker{self._slot}.json", {"change": number, "error": error})

    def _told(self, slot: int) -> dict[str, Any]:
        file = self._folder / f"worker{slot}.json"
        return read_json(file) if file.exists() else {"change": -1}


def state(repository: Repository) -> dict[str, Any]:
    """What answers under each name, what did before, and what is on trial."""
    return {
        name: {
            "current": _place(model.current),
            "previous": _place(model.previous) if model.previous else None,
            "trial": {
                **_place(model.trial.version),
                "mode": model.trial.mode,
                "percent": model.trial.percent,
                "id": model.trial.id,
            }
            if model.trial
            else None,
        }
        for name, model in repository.models.items()
    }


def apply(repository: Repository, told: Mapping[str, Any]) -> None:
    """Bring a server's models to this state; what it has open already is not opened again."""
    for name, wanted in told.items():
        current, previous, trial = wanted["current"], wanted["previous"], wanted["trial"]
        if name not in repository.models:
            for one in filter(None, (previous, current)):
                repository.publish(_opened(repository, name, one))
        model = repository.models[name]
        if model.trial and (trial is None or model.trial.id != trial["id"]):
            model.promote() if model.trial.version.id == current["version"] else model.drop()
        if model.current.id != current["version"]:
            before = model.previous.id if model.previous else None
            if before == current["version"]:
                model.rollback()
            else:
                repository.publish(_opened(repository, name, current))
        if trial and model.trial is None:
            version = _opened(repository, name, trial)
            model.begin(Trial(version, trial["mode"], trial["percent"], trial["id"]))


def _place(version: Version) -> dict[str, str]:
    return {"path": str(version.bundle.folder.absolute()), "version": version.id}


def _opened(repository: Repository, name: str, place: Mapping[str, str]) -> Version:
    version = repository.open(name, place["path"])
    if version.id != place["version"]:
        version.close()
        raise BundleError(
            f"{place['path']} was sealed anew: it holds version {version.id}, and not {place['version']}."
        )
    return version


def _busy() -> RequestError:
    return RequestError(409, "loading", "Another change is being made.", {"Retry-After": "5"})
