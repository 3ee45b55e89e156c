"""Which words moved an answer, on request (POST /v1/explain)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request, Response

from tunewright.core.errors import plural
from tunewright.core.types import Example, Prediction
from tunewright.predict.explain import MOST, Explanation, Occlusion, Part, occlusion
from tunewright.predict.render import DIGITS
from tunewright.serve import schemas
from tunewright.serve.http import answer, read_json
from tunewright.serve.limits import Limits, RequestError, invalid, known_fields
from tunewright.serve.predictions import optional
from tunewright.serve.service import Cleaned, Service
from tunewright.serve.worker import BATCH

INPUTS = 16  # in one request: each costs as many passes as it has words
WORDS = 256  # that an input may be cut into


def router(service: Service) -> APIRouter:
    """The route, for this service."""
    routes = APIRouter(responses=schemas.fails())

    @routes.post(
        "/v1/explain", openapi_extra=schemas.body(schemas.EXPLAIN), responses=schemas.gives(schemas.EXPLANATIONS)
    )
    async def explain(request: Request) -> Response:
        """Leave out each word once, and tell what the answer's score loses by it."""
        asked = _asked(await read_json(request, service.limits))
        version, read = await service.read(asked.get("model"), asked["inputs"], asked.get("version"))
        cut = [
            one if isinstance(one, str) else occlusion(one, version.bundle.task, asked.get("words", MOST))
            for one in read
        ]
        _require_room([one for one in cut if isinstance(one, Occlusion)], service.limits)
        rows = []
        for one in cut:
            if isinstance(one, str):
                rows.append({"decision": "error", "error": one})
                continue
            said: list[Prediction] = []
            for start in range(0, len(one.examples), BATCH):  # others' requests come between
                said += await service.predictions(version, one.examples[start : start + BATCH])
            rows.append(_row(one.explained(said, asked.get("label")), one.examples[0], said[0]))
        return answer({"model": version.name, "version": version.id, "explanations": rows})

    return routes


def _asked(value: Any) -> dict[str, Any]:
    asked = optional(
        known_fields(value, schemas.EXPLAIN["properties"], "The request"),
        (("model", str, "a text"), ("version", str, "a text"), ("label", str, "a text")),
    )
    if not isinstance(asked.get("inputs"), list) or len(asked["inputs"]) > INPUTS:
        raise invalid(f'"inputs" must be a list of {INPUTS} at most, as {{"inputs": ["a text"]}}.')
    if type(asked.get("words", MOST)) is not int or not 1 <= asked.get("words", MOST) <= WORDS:
        raise invalid(f'"words" must be a whole number from 1 to {WORDS}.')
    return asked


def _require_room(cut: Sequence[Occlusion], limits: Limits) -> None:
    """Raise RequestError where all passes together would read more than a request may have."""
    read = sum(len(str(text)) for one in cut for example in one.examples for text in example.inputs.values())
    if read > limits.body_bytes:
        raise RequestError(
            413,
            "too_large",
            f"Explaining this would read {plural(read, 'character')}: a request may have {limits.body_bytes:,}. Send "
            'shorter inputs, fewer, or a smaller number of "words".',
        )


def _row(explanation: Explanation, example: Example, said: Prediction) -> dict[str, Any]:
    def place(part: Part) -> tuple[int, int]:
        if isinstance(example, Cleaned):
            return example.masked[part.role].original(part.start, part.end)
        return part.start, part.end

    log_odds = explanation.log_odds or [None] * len(explanation.contributions)
    parts = [
        {
            "input": part.role,
            **dict(zip(("start", "end"), place(part), strict=True)),
            "text": example.inputs[part.role][part.start : part.end],
            "contribution": round(value, DIGITS),
            "log_odds": None if odds is None else round(odds, DIGITS),
        }
        for (part, value), odds in zip(explanation.contributions, log_odds, strict=True)
    ]
    return {
        "label": explanation.label,
        "score": round(explanation.score, DIGITS),
        "measure": explanation.measure,
        "decision": said.decision,
        "words": parts,
        "truncated_tokens": said.truncated_tokens,
    }
