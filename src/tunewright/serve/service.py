"""What every protocol does with a request once it is read: check the inputs, let a model answer, count."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

from tunewright.core.errors import TunewrightError, plural
from tunewright.core.masking import Masked, mask
from tunewright.core.names import is_empty
from tunewright.core.types import Example, Prediction, placed
from tunewright.data.cell import is_unicode
from tunewright.predict.features import Embedded
from tunewright.predict.infer import Inferred
from tunewright.predict.render import Form
from tunewright.serve.audit import Audit
from tunewright.serve.desired import Alone
from tunewright.serve.feedback import Feedback
from tunewright.serve.keys import CALLER, Door
from tunewright.serve.limits import Limits, RequestError, invalid, known_fields, texts
from tunewright.serve.metrics import MOST_LABELS, Metrics
from tunewright.serve.repository import Model, Repository, Unasked, Version
from tunewright.serve.store import Store
from tunewright.serve.traces import Traces
from tunewright.serve.trial import CANARY, Trial, pairs
from tunewright.serve.worker import BATCH, Closed, Full

log = logging.getLogger("tunewright.serve")


@dataclass(frozen=True)
class Cleaned(Example):
    """An example whose texts were masked. masked: role → its text as the model reads it, and the way back."""

    masked: Mapping[str, Masked] = field(default_factory=dict)


@dataclass(frozen=True)
class Answered:
    """What a model says of the inputs of one request: a prediction for each, or the problem with it."""

    version: Version
    said: Sequence[tuple[Example, Prediction] | str]
    id: str | None = None  # for feedback

    def rows(self, all_scores: bool = False) -> list[dict[str, Any]]:
        """Plain data, as `predict --json` has it; places are those of the texts as they were sent."""
        form = Form(self.version.bundle.task, all_scores=all_scores)
        rows = [form.failed(one) if isinstance(one, str) else self._row(form, *one) for one in self.said]
        return rows if self.id is None else [{"id": f"{self.id}.{place}", **row} for place, row in enumerate(rows)]

    def _row(self, form: Form, example: Example, prediction: Prediction) -> dict[str, Any]:
        row = form.answered(example, prediction)
        if not isinstance(example, Cleaned):
            return row
        task = self.version.bundle.task
        return _placed_back(row, example.masked[task.located or task.inputs[0]])


class Service:
    """The state of one server. draining: it finishes what it has, and is not ready for more."""

    def __init__(
        self,
        repository: Repository,
        *,
        limits: Limits,
        metrics: Metrics,
        keys: Door | None = None,
        desired: Alone | None = None,
        store: Store | None = None,
        feedback: Feedback | None = None,
        audit: Audit | None = None,
        masks: bool = False,
        entities: Version | None = None,
        traces: Traces | None = None,
    ) -> None:
        """masks: whether texts are masked before a model reads them; entities: a model whose finds are masked too."""
        self.store, self.feedback, self.audit = store or Store(), feedback, audit or Audit()
        self.repository, self.limits, self.metrics, self.keys = repository, limits, metrics, keys
        self.masks, self.entities = masks, entities
        self.traces = traces or Traces()
        self.desired = desired or Alone()  # how other workers hear of a change
        self.draining = False
        self.closing = contextlib.ExitStack()  # what ends with it, behind the models
        self._comparing: set[asyncio.Task] = set()  # comparisons that are not done: a loop keeps no task by itself
        metrics.watch(lambda: {name: model.current.worker.depth for name, model in repository.models.items()})
        metrics.watch_answers(lambda: [one.watched for one in self.versions if one.watched is not None])

    def close(self, seconds: float) -> None:
        """Finish what is being answered, looked at and sent, each within so many seconds."""
        self.repository.close(seconds)
        self.closing.close()

    @property
    def versions(self) -> list[Version]:
        """Every version that is open, of all models."""
        return [version for model in self.repository.models.values() for version in model.opened]

    @property
    def ready(self) -> bool:
        """Whether it answers, and will go on doing so."""
        return bool(self.repository.models) and not self.draining

    async def answer(
        self,
        name: str | None,
        inputs: Sequence[Any],
        version: str | None = None,
        *,
        patient: bool = False,
        route: str | None = None,
    ) -> Answered:
        """Predictions for raw inputs, as JSON has them.

        patient: wait for a place in the queue; route: what decides whether a version on trial gets the request, where no
        version is named: by default the inputs themselves.

        Raises RequestError: too many or wrong inputs, no such model, a full queue, no answer in time.
        """
        model = self.repository.model(name)
        read = await self._prepared(model.version(version), inputs)
        examples = [one for one in read if isinstance(one, Example)]
        trial = model.trial if version is None and examples else None
        started = time.perf_counter()
        with self.traces.answer(model=model.current.name, inputs=len(examples)):
            if trial and trial.takes(route if route is not None else json.dumps(inputs, sort_keys=True)):
                used, predictions = await self._tried(model, trial, examples, patient)
            else:
                used, predictions = await self._predictions(model, examples, version, patient)
        self.metrics.computed(used.name, time.perf_counter() - started)
        self.metrics.answered(used.name, predictions, _counted(used), len(read) - len(examples))
        rows = iter(zip(examples, predictions, strict=True))
        said = Answered(used, [one if isinstance(one, str) else next(rows) for one in read])
        return said if self.feedback is None else replace(said, id=self.feedback.remember(said))

    async def _tried(
        self, model: Model, trial: Trial, examples: Sequence[Example], patient: bool
    ) -> tuple[Version, list[Prediction]]:
        """Both versions answer; gives the canary's answers, or those of the version in place: of a shadow, and where the
        canary fails. The other's are compared when they are there."""
        loop = asyncio.get_running_loop()
        mine = loop.create_task(self._timed(model, examples, model.current.id, patient))
        other = loop.create_task(self._timed(model, examples, trial.version.id, patient=False))
        comparing = loop.create_task(self._compared(model, trial, mine, other, len(examples)))
        self._comparing.add(comparing)
        comparing.add_done_callback(self._comparing.discard)
        if trial.mode == CANARY:
            with contextlib.suppress(
                Exception
            ):  # whatever it is, the version in place answers; `_compared` tells of it
                return (await other)[0]
        return (await mine)[0]

    async def _timed(
        self, model: Model, examples: Sequence[Example], version: str, patient: bool
    ) -> tuple[tuple[Version, list[Prediction]], float]:
        started = time.perf_counter()
        return await self._predictions(model, examples, version, patient), time.perf_counter() - started

    async def _compared(self, model: Model, trial: Trial, mine: asyncio.Task, other: asyncio.Task, rows: int) -> None:
        name = model.current.name
        before, after = await asyncio.gather(mine, other, return_exceptions=True)
        if isinstance(after, BaseException) or isinstance(before, BaseException):
            busy = all(isinstance(one, (tuple, RequestError)) for one in (before, after))
            self.metrics.not_compared(name, trial, "busy" if busy else "failed", rows)
            if not busy:
                log.error("Trying version %s of %s met a defect, %s.", trial.version.id, name, _defect(before, after))
            return
        (_, old), slow = before
        (_, new), slower = after
        self.metrics.compared(name, trial, pairs(old, new), (slow, slower))

    async def vectors(self, name: str, inputs: Sequence[str], *, documents: bool) -> tuple[Version, list[Embedded]]:
        """A vector a text, of a model that searches. documents: the texts are what is found, and not what asks.

        Raises RequestError as `answer` does, and for an input that cannot be read: a vector has no place for an error.
        """
        version = self.repository.model(name).current
        read = await self._prepared(version, inputs)
        if problem := next((one for one in read if isinstance(one, str)), None):
            raise invalid(problem)
        try:
            embedder, worker = await asyncio.to_thread(version.vectors.open)
        except Closed:
            raise RequestError(503, "stopping", "The model is being exchanged.", {"Retry-After": "1"}) from None
        texts = [next(iter(one.inputs.values())) for one in read]  # type: ignore[union-attr]
        examples = [(embedder.document if documents else embedder.query)(text) for text in texts]
        return await self._computed(lambda: (version, worker.submit(examples)))

    async def read(
        self, name: str | None, inputs: Sequence[Any], version: str | None = None
    ) -> tuple[Version, list[Example | str]]:
        """The version that is asked, and each input as an Example, or why it cannot be answered. Raises RequestError."""
        found = self.repository.model(name).version(version)
        return found, await self._prepared(found, inputs)

    async def inferred(self, version: Version, examples: Sequence[Example]) -> list[tuple[Inferred, Prediction]]:
        """What a version says of examples, and by which logits; nothing is counted, nor watched. Raises RequestError."""
        unasked = [Unasked(one.id, one.inputs, one.label, one.columns) for one in examples]
        return (await self._computed(lambda: (version, version.worker.submit(unasked)), patient=True))[1]

    def _read(self, version: Version, inputs: Sequence[Any]) -> list[Example | str]:
        """Each input as an Example, or why it cannot be answered. Raises RequestError for what is no input at all."""
        if len(inputs) > self.limits.inputs:
            raise RequestError(
                413,
                "too_many_inputs",
                f"{plural(len(inputs), 'input')}: a request may have {self.limits.inputs:,}. Send several requests, or "
                "use /v1/predict/stream.",
            )
        read = [self._example(version, item, index) for index, item in enumerate(inputs)]
        if (key := CALLER.get()) is not None:
            self.store.take(key, "rows", len(read))
        return read

    def _example(self, version: Version, item: Any, index: int) -> Example | str:
        task = version.bundle.task
        if isinstance(item, Mapping):
            known_fields(item, (*task.inputs, *task.beside.columns), f"Input {index}")
        characters = sum(map(len, texts(item)))
        if characters > self.limits.characters:
            raise RequestError(
                413,
                "input_too_long",
                f"Input {index} has {characters:,} characters: an input may have {self.limits.characters:,}.",
            )
        if not is_unicode(item):
            return f"Input {index} holds characters that are no Unicode text (lone surrogates)."
        example = version.predictor.example(item, index)
        for role, value in example.inputs.items():
            if is_empty(value):
                return f"Input {index}: {role} is empty."
            if not isinstance(value, str):
                raise invalid(f"Input {index}: {role} must be a text; it is {value!r:.40}.")
        return example

    async def _prepared(self, version: Version, inputs: Sequence[Any]) -> list[Example | str]:
        """As `_read`, and masked where that is asked for."""
        read = self._read(version, inputs)
        if not self.masks:
            return read
        texts = [text for one in read if isinstance(one, Example) for text in one.inputs.values()]
        found = iter(await self._entities(texts))
        return [one if isinstance(one, str) else self._cleaned(one, version, found) for one in read]

    async def _entities(self, texts: Sequence[str]) -> list[list[tuple[int, int, str]]]:
        """What the model for entities finds in each text; nothing where there is no such model."""
        if self.entities is None:
            return [[] for _ in texts]
        examples = [self.entities.predictor.example(text) for text in texts]
        said = [
            one
            for start in range(0, len(examples), BATCH)
            for _, one in await self.inferred(self.entities, examples[start : start + BATCH])
        ]
        return [[(span.start, span.end, span.label) for span in placed(one.value)] for one in said]

    def _cleaned(self, example: Example, version: Version, found: Iterator[list[tuple[int, int, str]]]) -> Example:
        """The example with its texts masked; `found`: entities of each text, taken from it in order."""
        masked = {role: mask(text, next(found)) for role, text in example.inputs.items()}
        for one in masked.values():
            self.metrics.masked(version.name, one.counts)
        texts = {role: one.text for role, one in masked.items()}
        return Cleaned(example.id, texts, example.label, example.columns, masked)

    async def _predictions(
        self, model: Model, examples: Sequence[Example], version: str | None, patient: bool
    ) -> tuple[Version, list[Prediction]]:
        if not examples:
            return model.version(version), []
        used, answered = await self._computed(lambda: model.submit(examples, version), patient=patient)
        return used, [prediction for _, prediction in answered]

    async def _computed(
        self, submit: Callable[[], tuple[Version, Future[list[Any]]]], *, patient: bool = False
    ) -> tuple[Version, list[Any]]:
        """The version that `submit` hands examples to, and its answers. patient: wait for a place in the queue."""
        try:
            async with asyncio.timeout(self.limits.seconds):
                used, future = await self._submitted(submit, patient)
                return used, await asyncio.wrap_future(future)
        except TimeoutError:
            raise RequestError(
                504, "timeout", f"No answer within {self.limits.seconds:g} s. Send fewer or shorter inputs."
            ) from None

    async def _submitted(self, submit: Callable[[], tuple[Version, Any]], patient: bool) -> tuple[Version, Any]:
        while True:
            try:
                return submit()
            except Full as full:
                if not patient:
                    raise RequestError(
                        429,
                        "busy",
                        f"{plural(self.limits.waiting, 'request')} wait already. Try again in {full.seconds} s.",
                        {"Retry-After": str(full.seconds)},
                    ) from None
            except Closed:
                raise RequestError(503, "stopping", "The server is stopping.", {"Retry-After": "1"}) from None
            await asyncio.sleep(0.01)


def _defect(*results: Any) -> str:
    """The kind of what went wrong: an exception's message may hold a text."""
    return next(type(one).__name__ for one in results if not isinstance(one, (tuple, RequestError)))


def _placed_back(value: Any, masked: Masked) -> Any:
    """An answer's plain data with its places in the text as it was sent; what it quotes stays masked."""
    if isinstance(value, list):
        return [_placed_back(one, masked) for one in value]
    if not isinstance(value, dict):
        return value
    found = {name: _placed_back(one, masked) for name, one in value.items()}
    start, end = found.get("start"), found.get("end")
    if isinstance(start, int) and isinstance(end, int):
        found["start"], found["end"] = masked.original(start, end)
    return found


def _counted(version: Version) -> frozenset[str]:
    """Labels with a counter of their own. Documents are texts, and have none."""
    if version.bundle.task.retrieves:
        return frozenset()
    return frozenset(version.bundle.labels[:MOST_LABELS])


def refusal(error: TunewrightError) -> RequestError:
    """What a user can mend, as the answer to a request."""
    return RequestError(422, "invalid", str(error))
