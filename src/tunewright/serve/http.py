"""Read requests within their limits, and write answers: what all protocols share of HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import Request, Response

from tunewright.serve.limits import Limits, RequestError, as_json, parse

EMBEDDINGS = "/v1/embeddings"  # an error there is OpenAI's
OPEN_INFERENCE = "/v2"  # below it an error is a text, as the protocol has it


async def read(request: Request, limits: Limits) -> bytes:
    """The whole body. Raises RequestError where it is too large or takes too long."""
    stated = request.headers.get("content-length", "")
    if stated.isascii() and stated.isdigit() and int(stated[:20]) > limits.body_bytes:
        raise _too_large(limits)
    parts, size = [], 0
    try:
        async with asyncio.timeout(limits.seconds):
            async for part in request.stream():
                parts.append(part)
                size += len(part)
                if size > limits.body_bytes:
                    raise _too_large(limits)
    except TimeoutError:
        raise RequestError(408, "slow", f"The body did not arrive within {limits.seconds:g} s.") from None
    return b"".join(parts)


def _too_large(limits: Limits) -> RequestError:
    return RequestError(
        413, "too_large", f"A request may have {limits.body_bytes:,} bytes. Send several, or use /v1/predict/stream."
    )


async def read_json(request: Request, limits: Limits) -> Any:
    """The JSON of the body. Raises RequestError."""
    return parse(await read(request, limits), limits)


def answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """An answer in JSON."""
    return Response(as_json(value), status, headers, media_type="application/json")


def failure(error: RequestError, path: str) -> Response:
    """An error as the route's protocol has it."""
    if path == EMBEDDINGS:
        return _openai(error)
    plain = path == OPEN_INFERENCE or path.startswith(f"{OPEN_INFERENCE}/")
    told = error.message if plain else {"message": error.message, "code": error.code}
    return answer({"error": told}, error.status, error.headers)


def _openai(error: RequestError) -> Response:
    """As clients of OpenAI's API read it: there, what is wrong with a request's content has the status 400."""
    status = 400 if error.status == 422 else error.status
    kind = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}.get(status)
    kind = kind or ("invalid_request_error" if status < 500 else "server_error")
    told = {"message": error.message, "type": kind, "param": None, "code": error.code}
    return answer({"error": told}, status, error.headers)
