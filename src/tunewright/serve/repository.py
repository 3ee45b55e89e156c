"""The models of a server: several by name, each a version that can be exchanged, or taken back, between two requests."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewright.core import catalog
from tunewright.core.bundle import Bundle, open_bundle
from tunewright.core.errors import UsageError, listing, nearest
from tunewright.core.types import Example, Prediction
from tunewright.predict.features import Embedder
from tunewright.predict.infer import Inferred
from tunewright.predict.predictor import AUTO, Predictor, find_runtime
from tunewright.serve import certificate
from tunewright.serve.limits import ECHO, Limits, RequestError
from tunewright.serve.trial import Trial
from tunewright.serve.watch import Watch, Watched
from tunewright.serve.worker import Closed, Worker

DIGITS = 12  # of a manifest's digest that name a version
NAME = re.compile(r"\w[\w.-]{0,63}")
INNER = "bundle"  # what a run calls its bundle: the run's name says more


@dataclass(frozen=True)
class Unasked(Example):
    """An example that nobody sent, as a text without one of its words: it tells nothing of what is usual."""


@dataclass(frozen=True)
class Version:
    """One opened bundle with the thread that answers for it."""

    name: str
    predictor: Predictor
    worker: Worker
    vectors: Vectors  # of texts, where it searches
    watched: Watched | None = None  # what is seen of its answers

    @property
    def bundle(self) -> Bundle:
        """What it was opened from."""
        return self.predictor.bundle

    @property
    def id(self) -> str:
        """The beginning of its manifest's digest: the same bundle is the same version everywhere."""
        return version_of(self.bundle)

    def close(self) -> tuple[Worker, ...]:
        """Take no more requests; gives the threads that are still answering."""
        workers = (self.worker, *self.vectors.workers)
        for worker in workers:
            worker.close()
        return workers

    def about(self) -> dict[str, Any]:
        """As `/v1/models` lists it. Folders are the server's own matter."""
        task = self.bundle.task
        return {
            "name": self.name,
            "version": self.id,
            "task": catalog.name_of(task),
            "inputs": [*task.inputs, *task.beside.columns],
            "answers": list(task.answers),
            "labels": [] if task.retrieves else list(self.bundle.labels),
            "runtime": catalog.describe(self.predictor.runtime),
            "created": self.bundle.about["created"],
        }


class Vectors:
    """The texts' vectors of a version: opened when first asked for, since it holds the network once more, then by a thread of its own."""

    def __init__(self, predictor: Predictor, limits: Limits) -> None:
        self._predictor, self._limits = predictor, limits
        self._lock = threading.Lock()
        self._closed = False
        self._opened: tuple[Embedder, Worker] | None = None

    def open(self) -> tuple[Embedder, Worker]:
        """What embeds, and its thread; the first call takes as long as opening a model. Raises BundleError, MachineError or Closed."""
        with self._lock:
            if self._closed:
                raise Closed
            if self._opened is None:
                embedder = Embedder(self._predictor)
                self._opened = embedder, Worker(embedder, waiting=self._limits.waiting)
            return self._opened

    @property
    def workers(self) -> tuple[Worker, ...]:
        """The thread, if there is one; from now on there is no other."""
        self._closed = True
        return () if self._opened is None else self._opened[1:]


def version_of(bundle: Bundle) -> str:
    """The beginning of its manifest's digest: the same bundle is the same version everywhere."""
    return bundle.about["digest"][:DIGITS]


class Model:
    """A name with the version that answers now, the one before, kept open so that it is back at once, and one on trial."""

    def __init__(self, current: Version) -> None:
        self._lock = threading.Lock()
        self._current, self._previous = current, None
        self._trial: Trial | None = None

    @property
    def current(self) -> Version:
        """The version that answers."""
        return self._current

    @property
    def previous(self) -> Version | None:
        """The version that answered before."""
        return self._previous

    @property
    def trial(self) -> Trial | None:
        """The version on trial, with what it gets."""
        return self._trial

    @property
    def opened(self) -> tuple[Version, ...]:
        """All versions that are open, the one that answers first."""
        tried = self._trial.version if self._trial else None
        return tuple(one for one in (self._current, self._previous, tried) if one is not None)

    def version(self, wanted: str | None) -> Version:
        """The version with this id, or the one that answers. Raises RequestError where it is not open."""
        opened = self.opened
        for one in opened:
            if wanted in (None, one.id):
                return one
        known = listing(one.id for one in opened)
        raise RequestError(
            404, "no_such_version", f"{self._current.name} has no version {wanted!r:.{ECHO}} here. Open: {known}."
        )

    def submit(
        self, examples: Sequence[Example], wanted: str | None = None
    ) -> tuple[Version, Future[list[tuple[Inferred, Prediction]]]]:
        """Hand examples to a version, and say to which. Raises Full or RequestError; a swap meanwhile changes nothing."""
        with self._lock:
            version = self.version(wanted)
            return version, version.worker.submit(examples)

    def swap(self, version: Version) -> None:
        """Let `version` answer from the next request on. What waits for the one before is still answered by it.

        Raises RequestError while a version is on trial against the one that would go.
        """
        with self._lock:
            if self._trial is not None:
                version.close()
                raise RequestError(
                    409, "trial", f"A version of {self._current.name} is on trial: promote or drop it first."
                )
            dropped, self._previous, self._current = self._previous, self._current, version
        if dropped is not None:
            dropped.close()

    def rollback(self) -> Version:
        """Let the version before answer again, and drop what is on trial. Raises RequestError where there is none."""
        with self._lock:
            if self._previous is None:
                raise RequestError(409, "no_previous_version", f"{self._current.name} has no version before this one.")
            self._current, self._previous = self._previous, self._current
            dropped, self._trial = self._trial, None
        if dropped is not None:
            dropped.version.close()
        return self._current

    def begin(self, trial: Trial) -> None:
        """Put a version on trial, in the place of one that was. Raises RequestError where it cannot stand for this model."""
        about, own = trial.version.bundle.task, self._current.bundle.task
        problem = None
        if (catalog.name_of(about), about.inputs) != (catalog.name_of(own), own.inputs):
            problem = RequestError(422, "another_task", f"It has another task than {self._current.name}.")
        with self._lock:
            if trial.version.id in [one.id for one in (self._current, self._previous) if one is not None]:
                problem = RequestError(409, "same_version", f"Version {trial.version.id} is open already.")
            dropped = self._trial
            if problem is None:
                self._trial = trial
        if problem is not None:
            trial.version.close()
            raise problem
        if dropped is not None:
            dropped.version.close()

    def promote(self) -> None:
        """Let the version on trial answer everything. Raises RequestError where there is none."""
        with self._lock:
            trial = self._required()
            dropped, self._previous, self._current = self._previous, self._current, trial.version
            self._trial = None
        if dropped is not None:
            dropped.close()

    def drop(self) -> None:
        """End the trial; what its version has, it still answers. Raises RequestError where there is none."""
        with self._lock:
            trial = self._required()
            self._trial = None
        trial.version.close()

    def _required(self) -> Trial:
        if self._trial is None:
            raise RequestError(409, "no_trial", f"No version of {self._current.name} is on trial.")
        return self._trial

    def close(self) -> list[Worker]:
        """Take no more requests; gives the threads that are still answering."""
        with self._lock:
            opened = self.opened
        return [worker for one in opened for worker in one.close()]


class Repository:
    """All models of a server. `batch`: told a model's name and how many inputs are computed together; watch: looks at what
    they answer."""

    def __init__(
        self,
        limits: Limits,
        runtime: str = AUTO,
        batch: Callable[[str, int], None] = lambda name, inputs: None,
        watch: Watch | None = None,
    ) -> None:
        self._limits, self._runtime, self._batch, self._watch = limits, runtime, batch, watch
        self._models: dict[str, Model] = {}

    def open(self, name: str, path: Path | str, *, watched: bool = True) -> Version:
        """Open a bundle, which takes a while and changes nothing yet. Raises what the user can mend (TunewrightError).

        watched: whether its answers are looked at, where a server's are.
        """
        bundle = open_bundle(path)
        runtime, _ = find_runtime(bundle.folder, self._runtime)
        certificate.require(bundle, runtime)
        predictor = Predictor(bundle, self._runtime)

        seen = self._watch.over(name, version_of(bundle), bundle) if self._watch and watched else None

        def compute(examples: Sequence[Example]) -> list[tuple[Inferred, Prediction]]:
            answered = list(predictor.answers(examples))
            if seen is not None and (asked := [one for one in answered if not isinstance(one[0].example, Unasked)]):
                self._watch.see(seen, bundle, asked)  # type: ignore[union-attr]
            return answered

        worker = Worker(compute, waiting=self._limits.waiting, batch=lambda inputs: self._batch(name, inputs))
        return Version(name, predictor, worker, Vectors(predictor, self._limits), seen)

    def publish(self, version: Version) -> None:
        """Let an opened version answer under its name, from the next request on."""
        if (model := self._models.get(version.name)) is not None:
            model.swap(version)
        else:
            self._models[version.name] = Model(version)

    @property
    def models(self) -> Mapping[str, Model]:
        """Name → model."""
        return dict(self._models)

    def model(self, name: str | None) -> Model:
        """The model of this name; None means the only one. Raises RequestError that lists the names."""
        models = self.models
        if name is None:
            if len(models) == 1:
                return next(iter(models.values()))
            raise RequestError(422, "which_model", f'Name the model: "model" is one of {listing(models)}.')
        if name not in models:
            near = nearest(name[:ECHO], models)
            message = f"There is no model {name!r:.{ECHO}}.{near} Models: {listing(models)}."
            raise RequestError(404, "no_such_model", message)
        return models[name]

    def close(self, seconds: float) -> None:
        """Answer what waits and end all threads, within `seconds` each."""
        for worker in [worker for model in self._models.values() for worker in model.close()]:
            worker.join(seconds)


def named(words: Iterable[str]) -> dict[str, Path]:
    """Name → folder from words as NAME=PATH, or a path whose folder's name is taken. Raises UsageError."""
    found: dict[str, Path] = {}
    for word in words:
        name, path = _named(word)
        if not NAME.fullmatch(name):
            raise UsageError(
                f"{name!r:.{ECHO}} cannot be a model's name: letters, digits, dots, dashes and underscores, 64 at most. "
                f"Write NAME=PATH, as intents={path}."
            )
        if name in found:
            raise UsageError(
                f"Two models are called {name!r}: {found[name]} and {path}. Name one otherwise, as other={path}."
            )
        found[name] = path
    return found


def _named(word: str) -> tuple[str, Path]:
    name, equals, path = word.partition("=")
    if equals and not Path(word).exists():
        return name, Path(path)
    folder = Path(word).absolute()
    outer = folder.parent.name if folder.name == INNER else ""
    return outer or folder.name, Path(word)  # /bundle, as in a container, is called bundle
