"""What every protocol does with a request once it is read: check the inputs, let a model answer, count."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunewright.core.errors import TunewrightError, plural
from tunewright.core.names import is_empty
from tunewright.core.types import Example, Prediction
from tunewright.data.cell import is_unicode
from tunewright.predict.render import Form
from tunewright.serve.keys import Keys
from tunewright.serve.limits import Limits, RequestError, invalid, known_fields, texts
from tunewright.serve.metrics import MOST_LABELS, Metrics
from tunewright.serve.repository import Model, Repository, Version
from tunewright.serve.traces import Traces
from tunewright.serve.worker import Closed, Full


@dataclass(frozen=True)
class Answered:
    """What a model says of the inputs of one request: a prediction for each, or the problem with it."""

    version: Version
    said: Sequence[tuple[Example, Prediction] | str]

    def rows(self, all_scores: bool = False) -> list[dict[str, Any]]:
        """Plain data, as `predict --json` has it."""
        form = Form(self.version.bundle.task, all_scores=all_scores)
        return [form.failed(one) if isinstance(one, str) else form.answered(*one) for one in self.said]


class Service:
    """The state of one server. draining: it finishes what it has, and is not ready for more."""

    def __init__(
        self,
        repository: Repository,
        *,
        limits: Limits,
        metrics: Metrics,
        keys: Keys | None = None,
        traces: Traces | None = None,
    ) -> None:
        self.repository, self.limits, self.metrics, self.keys = repository, limits, metrics, keys
        self.traces = traces or Traces()
        self.draining = False
        metrics.watch(lambda: {name: model.current.worker.depth for name, model in repository.models.items()})
        metrics.watch_answers(lambda: [one.watched for one in self.versions if one.watched is not None])

    @property
    def versions(self) -> list[Version]:
        """Every version that is open, of all models."""
        return [version for model in self.repository.models.values() for version in model.opened]

    @property
    def ready(self) -> bool:
        """Whether it answers, and will go on doing so."""
        return bool(self.repository.models) and not self.draining

    async def answer(
        self, name: str | None, inputs: Sequence[Any], version: str | None = None, *, patient: bool = False
    ) -> Answered:
        """Predictions for raw inputs, as JSON has them. patient: wait for a place in the queue.

        Raises RequestError: too many or wrong inputs, no such model, a full queue, no answer in time.
        """
        model = self.repository.model(name)
        read = self._read(model.version(version), inputs)
        examples = [one for one in read if isinstance(one, Example)]
        started = time.perf_counter()
        with self.traces.answer(model=model.current.name, inputs=len(examples)):
            used, predictions = await self._predictions(model, examples, version, patient)
        self.metrics.computed(used.name, time.perf_counter() - started)
        self.metrics.answered(used.name, predictions, _counted(used), len(read) - len(examples))
        said = iter(zip(examples, predictions, strict=True))
        return Answered(used, [one if isinstance(one, str) else next(said) for one in read])

    def _read(self, version: Version, inputs: Sequence[Any]) -> list[Example | str]:
        """Each input as an Example, or why it cannot be answered. Raises RequestError for what is no input at all."""
        if len(inputs) > self.limits.inputs:
            raise RequestError(
                413,
                "too_many_inputs",
                f"{plural(len(inputs), 'input')}: a request may have {self.limits.inputs:,}. Send several requests, or "
                "use /v1/predict/stream.",
            )
        return [self._example(version, item, index) for index, item in enumerate(inputs)]

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

    async def _predictions(
        self, model: Model, examples: Sequence[Example], version: str | None, patient: bool
    ) -> tuple[Version, list[Prediction]]:
        if not examples:
            return model.version(version), []
        try:
            async with asyncio.timeout(self.limits.seconds):
                used, future = await self._submitted(model, examples, version, patient)
                return used, await asyncio.wrap_future(future)
        except TimeoutError:
            raise RequestError(
                504, "timeout", f"No answer within {self.limits.seconds:g} s. Send fewer or shorter inputs."
            ) from None

    async def _submitted(
        self, model: Model, examples: Sequence[Example], version: str | None, patient: bool
    ) -> tuple[Version, Any]:
        while True:
            try:
                return model.submit(examples, version)
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


def _counted(version: Version) -> frozenset[str]:
    """Labels with a counter of their own. Documents are texts, and have none."""
    if version.bundle.task.retrieves:
        return frozenset()
    return frozenset(version.bundle.labels[:MOST_LABELS])


def refusal(error: TunewrightError) -> RequestError:
    """What a user can mend, as the answer to a request."""
    return RequestError(422, "invalid", str(error))
