"""A server from its settings: what the command line says, as one value that a worker process is given too."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewright.core import catalog
from tunewright.core.errors import UsageError
from tunewright.monitor.watching import PAUSE, Watching
from tunewright.predict.predictor import AUTO
from tunewright.serve.alerts import Alerts, Pauses, SharedPauses
from tunewright.serve.audit import Audit
from tunewright.serve.desired import Alone, Shared
from tunewright.serve.feedback import Feedback
from tunewright.serve.keys import Door, Doors, Keys
from tunewright.serve.limits import Limits
from tunewright.serve.metrics import Metrics
from tunewright.serve.repository import Repository, Version
from tunewright.serve.service import Service
from tunewright.serve.store import Store
from tunewright.serve.traces import Traces, by_environment
from tunewright.serve.watch import Watch

if TYPE_CHECKING:
    from fastapi import FastAPI

STORE = "serve.db"
CLOSING = 5.0  # seconds for what is still to be looked at, and again for what is to be sent


@dataclass(frozen=True)
class Settings:
    """Paths are texts, so that it travels as JSON."""

    bundles: Mapping[str, str]  # name → folder
    runtime: str = AUTO
    limits: Limits = field(default_factory=Limits)
    keys: str | None = None
    models: str | None = None  # the folder that an admin may load from
    local: bool = True  # whether only this machine reaches it
    grace: float = 1.0
    jwt: str | None = None  # a file that says whose tokens count beside keys
    state: str | None = None  # the folder for counts and answers; None: they end with the server
    feedback: str | None = None  # the file that feedback is added to
    keep_texts: bool = False  # whether with the texts, masked
    audit: str | None = None  # the file that admins' actions are added to
    mask_input: bool = False  # whether texts are masked before a model reads them
    mask_entities: str | None = None  # a bundle whose entities are masked too
    watching: Watching | None = field(default_factory=Watching)  # how answers are looked at; None: not at all
    alerts: Sequence[str] = ()  # addresses that alarms are sent to
    alert_pause: float = PAUSE
    traces: bool = False  # whether OpenTelemetry traces are sent
    tls: Mapping[str, str] = field(default_factory=dict)  # uvicorn's names for certificate and key

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return dataclasses.asdict(self)

    @classmethod
    def from_plain(cls, given: Mapping[str, Any]) -> Settings:
        """What `plain` gave."""
        watching = given["watching"] and Watching(**given["watching"])
        return cls(**{**given, "limits": Limits(**given["limits"]), "watching": watching})


@dataclass(frozen=True)
class Place:
    """Which of so many workers this is, and the folder that they share."""

    folder: Path
    slot: int
    workers: int


def opened(
    settings: Settings, say: Callable[[str], None] = lambda line: None, place: Place | None = None
) -> tuple[FastAPI, Service]:
    """Every bundle open and certified, before the first request is taken. Raises TunewrightError."""
    from tunewright.serve.app import create_app

    known = _doors(settings)
    folder = settings.state or (place and place.folder)
    store = Store(Path(folder) / STORE if folder else None)
    metrics = Metrics(shared=place is not None)
    closing = contextlib.ExitStack()
    traces = by_environment() if settings.traces else Traces()
    closing.callback(traces.close)
    watch = _watch(settings, metrics, closing, place)
    repository = Repository(settings.limits, settings.runtime, metrics.batch, watch)
    desired = Alone() if place is None else Shared(place.folder, place.slot, place.workers, repository)
    if not (isinstance(desired, Shared) and desired.begin()):
        for name, path in settings.bundles.items():
            version = repository.open(name, path)
            if version.predictor.note:
                say(f"{name}: {version.predictor.note}")
            say(f"{name}: version {version.id}, by {catalog.name_of(version.predictor.runtime)}.")
            repository.publish(version)
    service = Service(
        repository,
        limits=settings.limits,
        metrics=metrics,
        keys=known,
        desired=desired,
        store=store,
        feedback=Feedback(store, Path(settings.feedback), settings.keep_texts) if settings.feedback else None,
        audit=Audit(Path(settings.audit)) if settings.audit else None,
        masks=settings.mask_input or settings.mask_entities is not None,
        entities=_entities(repository, settings.mask_entities) if settings.mask_entities else None,
        traces=traces,
    )
    service.closing = closing
    models = None if settings.models is None else Path(settings.models)
    if isinstance(desired, Shared):
        desired.follow()
    return create_app(service, models=models, local=settings.local), service


def _watch(settings: Settings, metrics: Metrics, closing: contextlib.ExitStack, place: Place | None) -> Watch | None:
    """What looks at answers and tells of alarms; None: nobody does. closing: gets what is to be closed at the end.

    Each of several workers looks at its own answers, and they share the level: together they raise no more false alarms. They
    share the pause after an alert, too.
    """
    if settings.watching is None:
        return None
    pauses = SharedPauses(place.folder) if place else Pauses()
    alerts = Alerts(settings.alerts, settings.alert_pause, metrics.alert, pauses=pauses)
    workers = place.workers if place else 1
    watching = dataclasses.replace(settings.watching, level=settings.watching.level / workers)
    watch = Watch(watching, (metrics.alarm, alerts.alarm))
    closing.callback(alerts.close, CLOSING)
    closing.callback(watch.close, CLOSING)
    return watch


def _entities(repository: Repository, path: str) -> Version:
    """The bundle that finds what is masked, opened as any that answers. Raises UsageError for one that finds no stretches."""
    version = repository.open("mask", path, watched=False)
    task = version.bundle.task
    if not task.placed or len(task.inputs) > 1:
        version.close()
        raise UsageError(
            f"--mask-entities {path} finds no stretches in a text (its task is {catalog.name_of(task)}). Name a bundle "
            "that does, as of token_classification."
        )
    return version


def _doors(settings: Settings) -> Door | None:
    """Who lets requests in; None: everyone who reaches the address."""
    doors: list[Door] = []
    if settings.keys is not None:
        doors.append(Keys(Path(settings.keys)))
    if settings.jwt is not None:
        from tunewright.serve.tokens import Tokens

        doors.append(Tokens(Path(settings.jwt)))
    return Doors(*doors) if doors else None
