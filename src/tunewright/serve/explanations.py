"""Which words moved an answer, on request (POST /v1/explain)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request, Response

from tunewright.core.bundle import Bundle
from tunewright.core.contracts import Task
from tunewright.core.errors import plural
from tunewright.core.types import Example, Prediction
from tunewright.predict.explain import MOST, Explanation, Occlusion, Part, as_given, occlusion
from tunewright.predict.infer import Inferred
from tunewright.predict.render import DIGITS
from tunewright.serve import schemas
from tunewright.serve.http import answer, read_json
from tunewright.serve.limits import Limits, RequestError, invalid, known_fields, optional
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
            said: list[tuple[Inferred, Prediction]] = []
            for start in range(0, len(one.examples), BATCH):  # others' requests come between
                said += await service.inferred(version, one.examples[start : start + BATCH])
            rows.append(await asyncio.to_thread(_row, one, said, version.bundle, asked.get("label")))
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


def _row(
    cut: Occlusion, said: Sequence[tuple[Inferred, Prediction]], bundle: Bundle, label: str | None
) -> dict[str, Any]:
    """What is told of one input: the words that moved its answer, or of each of its answers those that moved it."""
    task, shown = bundle.task, _Shown(cut.examples[0], bundle.task)
    answer = said[0][1]
    if task.claims is None:
        found = shown.explained(cut.explained([prediction for _, prediction in said], label))
    else:
        found = {"answers": [shown.claimed(one) for one in cut.claims(said, task, bundle.labels, label)]}
    return {**found, "decision": answer.decision, "truncated_tokens": answer.truncated_tokens}


class _Shown:
    """Explanations of an example's answer as plain data, with places in the texts as they were sent."""

    def __init__(self, example: Example, task: Task) -> None:
        self._example, self._role, self._given = example, task.located or task.inputs[0], as_given(example, task)

    def explained(self, explanation: Explanation) -> dict[str, Any]:
        """A score, and what each word adds to it."""
        log_odds = explanation.log_odds or [None] * len(explanation.contributions)
        parts = [
            {
                "input": part.role,
                **self._stands(part),
                "contribution": round(value, DIGITS),
                "log_odds": None if odds is None else round(odds, DIGITS),
            }
            for (part, value), odds in zip(explanation.contributions, log_odds, strict=True)
        ]
        return {
            "label": explanation.label,
            "score": round(explanation.score, DIGITS),
            "measure": explanation.measure,
            "words": parts,
        }

    def claimed(self, explanation: Explanation) -> dict[str, Any]:
        """The same, and what is claimed of which places."""
        claim = explanation.claim
        places = [self._stands(Part(self._role, *place)) for place in claim.places]  # type: ignore[union-attr]
        return {"answer": claim.name, "places": places, **self.explained(explanation)}  # type: ignore[union-attr]

    def _stands(self, part: Part) -> dict[str, Any]:
        start, end = part.start, part.end
        text = self._example.inputs[part.role][start:end]
        if isinstance(self._example, Cleaned):
            start, end = self._example.masked[part.role].original(start, end)
        return {"start": self._given(start), "end": self._given(end), "text": text}
