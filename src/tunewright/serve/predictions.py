"""Our own routes: /v1/predict, its stream of lines, and /v1/models."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from fastapi import APIRouter, Request, Response

from tunewright.core.errors import TunewrightError
from tunewright.serve import schemas
from tunewright.serve.http import answer, read_json
from tunewright.serve.limits import Limits, RequestError, as_json, invalid, known_fields, optional, parse
from tunewright.serve.service import Service, refusal
from tunewright.serve.trial import HEADER

LINES = 64  # of a stream that are answered together
NDJSON = "application/x-ndjson"


def router(service: Service) -> APIRouter:
    """The routes, for this service."""
    routes = APIRouter(responses=schemas.fails())
    limits = service.limits

    @routes.post(
        "/v1/predict", openapi_extra=schemas.body(schemas.PREDICT), responses=schemas.gives(schemas.PREDICTIONS)
    )
    async def predict(request: Request) -> Response:
        """Answer a list of inputs."""
        asked = _asked(await read_json(request, limits))
        said = await service.answer(
            asked.get("model"), asked["inputs"], asked.get("version"), route=request.headers.get(HEADER)
        )
        rows = said.rows(asked.get("all_scores", False))
        return answer({"model": said.version.name, "version": said.version.id, "predictions": rows})

    @routes.post(
        "/v1/predict/stream",
        openapi_extra=schemas.body(schemas.INPUT, NDJSON),
        responses=schemas.gives(schemas.LINE, NDJSON),
    )
    async def stream(request: Request, model: str | None = None, all_scores: bool = False) -> Response:
        """Answer lines, each an input in JSON, with lines in their order, for as long as they come."""
        service.repository.model(model)  # what is wrong with the name is said before the first line
        return Lines(_answered(service, request, model, all_scores))

    @routes.get("/v1/models", responses=schemas.gives(schemas.MODELS))
    async def models() -> Response:
        """What is served: each model's version, inputs, labels and runtime."""
        known = [model.current.about() for model in service.repository.models.values()]
        return answer({"models": known})

    return routes


class Lines(Response):
    """A body that is written while the request's is still read. Starlette's own would read the request beside us."""

    def __init__(self, parts: AsyncIterator[bytes]) -> None:
        super().__init__(media_type=NDJSON)
        del self.headers["content-length"]
        self._parts = parts

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for part in self._parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _asked(value: Any) -> dict[str, Any]:
    """A request for predictions, its fields of the right types. Raises RequestError."""
    asked = dict(known_fields(value, schemas.PREDICT["properties"], "The request"))
    inputs = asked.get("inputs")
    if not isinstance(inputs, list):
        raise invalid('"inputs" must be a list, as {"inputs": ["a text"]}.')
    return optional(
        asked, (("model", str, "a text"), ("version", str, "a text"), ("all_scores", bool, "true or false"))
    )


async def _answered(service: Service, request: Request, model: str | None, all_scores: bool) -> AsyncIterator[bytes]:
    """The answer to every line, as lines; one that cannot be answered has an `error` and stays in its place."""
    index, route = 0, request.headers.get(HEADER)
    async for lines in _lines(request, service.limits):
        if route is None:  # the whole stream goes the way of its first line
            route = repr(lines[0])
        rows: list[dict[str, Any]] = []
        for part in (lines[start : start + LINES] for start in range(0, len(lines), LINES)):
            rows += await _rows(service, part, model, all_scores, route)
        yield b"".join(as_json({"line": index + place, **row}) + b"\n" for place, row in enumerate(rows, 1))
        index += len(lines)


async def _rows(
    service: Service, lines: Sequence[bytes | RequestError], model: str | None, all_scores: bool, route: str
) -> list[dict[str, Any]]:
    """Answers to lines; where one of them cannot be read, each is answered by itself, so that only that one fails."""
    try:
        inputs = [_input(line, service.limits) for line in lines]
        return (await service.answer(model, inputs, patient=True, route=route)).rows(all_scores)
    except (RequestError, TunewrightError) as error:
        if len(lines) == 1:
            told = error if isinstance(error, RequestError) else refusal(error)
            return [{"decision": "error", "error": told.message}]
    return [row for line in lines for row in await _rows(service, [line], model, all_scores, route)]


def _input(line: bytes | RequestError, limits: Limits) -> Any:
    if isinstance(line, RequestError):
        raise line
    return parse(line, limits)


async def _lines(request: Request, limits: Limits) -> AsyncIterator[list[bytes | RequestError]]:
    """The lines that have come, whenever some have; empty ones are none. One that is too long is an error in its place."""
    too_long = RequestError(413, "too_large", f"A line may have {limits.body_bytes:,} bytes.")
    rest, skipping = b"", False  # skipping: the rest of a line that has been refused
    parts = request.stream()
    while (part := await _next(parts, limits)) is not None:
        first, *others = (rest + part).split(b"\n")
        *whole, rest = [b"" if skipping else first, *others]
        skipping = skipping and not others
        found = [too_long if len(line) > limits.body_bytes else line for line in whole if line.strip()]
        if len(rest) > limits.body_bytes:
            found.append(too_long)
            rest, skipping = b"", True
        if found:
            yield found
    if rest.strip():
        yield [rest]


async def _next(parts: AsyncIterator[bytes], limits: Limits) -> bytes | None:
    """The next part of a body; None at its end, or when nothing comes for too long."""
    try:
        async with asyncio.timeout(limits.seconds):
            return await anext(parts, None)
    except TimeoutError:
        return None
