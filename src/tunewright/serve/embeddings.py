"""Texts as vectors, as clients of OpenAI's API ask for them (POST /v1/embeddings), from models that search."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response

from tunewright.serve import schemas
from tunewright.serve.http import EMBEDDINGS, answer, read_json
from tunewright.serve.limits import ECHO, invalid, known_fields, optional
from tunewright.serve.service import Service

FORMATS, TYPES = ("float", "base64"), ("query", "document")


def router(service: Service) -> APIRouter:
    """The route, for this service."""
    routes = APIRouter(responses=schemas.fails(schemas.OPENAI_ERROR))

    @routes.post(EMBEDDINGS, openapi_extra=schemas.body(schemas.EMBED), responses=schemas.gives(schemas.EMBEDDED))
    async def embed(request: Request) -> Response:
        """A vector of length 1 a text; the cosine of two is their product."""
        told = known_fields(await read_json(request, service.limits), schemas.EMBED["properties"], "The request")
        asked = optional(told, (("user", str, "a text"),))
        inputs, name = _inputs(asked.get("input")), asked.get("model")
        if not isinstance(name, str):
            raise invalid('"model" must be a text, one of /v1/models.')
        form = _one_of(asked, "encoding_format", FORMATS)
        documents = _one_of(asked, "input_type", TYPES) == "document"
        version, found = await service.vectors(name, inputs, documents=documents)
        _require_width(asked.get("dimensions"), len(found[0].vector))
        tokens = sum(one.tokens for one in found)
        data = [
            {"object": "embedding", "index": place, "embedding": _written(one.vector, form)}
            for place, one in enumerate(found)
        ]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return answer({"object": "list", "model": version.name, "data": data, "usage": usage})

    return routes


def _inputs(value: Any) -> list[str]:
    inputs = [value] if isinstance(value, str) else value
    if isinstance(inputs, list) and inputs and all(isinstance(one, str) for one in inputs):
        return inputs
    if isinstance(inputs, list) and any(isinstance(one, (int, list)) for one in inputs):
        raise invalid('"input" must be texts: this server takes no tokens, as another model\'s mean nothing here.')
    raise invalid('"input" must be a text, or a list of texts, one at least.')


def _one_of(asked: Any, name: str, known: tuple[str, ...]) -> str:
    value = asked.get(name, known[0])
    if value not in known:
        raise invalid(f'"{name}" must be {" or ".join(known)}; it is {value!r:.{ECHO}}.')
    return value


def _require_width(asked: Any, width: int) -> None:
    if asked is not None and (type(asked) is not int or asked != width):
        raise invalid(f'"dimensions": this model\'s vectors have {width}, and are not cut. Leave it out.')


def _written(vector: np.ndarray, form: str) -> list[float] | str:
    """base64: the numbers' bytes, little-endian float32."""
    if form == "base64":
        return base64.b64encode(vector.astype("<f4").tobytes()).decode("ascii")
    return vector.tolist()
