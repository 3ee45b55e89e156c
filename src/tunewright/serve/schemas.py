"""The forms of requests and answers, as /openapi.json shows them."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
INPUT: Schema = {
    "description": "A text where the task reads one, else an object with a text for each of the model's inputs.",
    "oneOf": [TEXT, {"type": "object"}],
}


def form(required: dict[str, Schema], **optional: Schema) -> Schema:
    """An object with these fields and no others."""
    return {
        "type": "object",
        "properties": {**required, **optional},
        "required": list(required),
        "additionalProperties": False,
    }


PREDICT = form(
    {"inputs": {"type": "array", "items": INPUT}},
    model={**TEXT, "description": "One of /v1/models; may be left out where there is one."},
    version={**TEXT, "description": "A version that is open; left out: the one that answers now."},
    all_scores={"type": "boolean", "default": False, "description": "Add the probability of every label."},
)
PREDICTION: Schema = {
    "type": "object",
    "description": "The keys of the task's answers, and these. `error` stands where an input cannot be answered.",
    "properties": {
        "id": {**TEXT, "description": "For feedback, where the server keeps it."},
        "score": {"type": ["number", "null"]},
        "decision": {"enum": ["model", "abstain", "parent", "error"]},
        "truncated_tokens": {"type": ["integer", "null"]},
        "scores": {"type": ["object", "null"]},
        "error": TEXT,
    },
    "required": ["score", "decision"],
}
PREDICTIONS: Schema = {
    "type": "object",
    "properties": {"model": TEXT, "version": TEXT, "predictions": {"type": "array", "items": PREDICTION}},
    "required": ["model", "version", "predictions"],
}
FEEDBACK = form(
    {"id": {**TEXT, "description": "Of an answer."}, "label": {"description": "As a row of training data has it."}}
)
EXPLAIN = form(
    {"inputs": {"type": "array", "items": INPUT, "maxItems": 16}},
    model=PREDICT["properties"]["model"],
    version=PREDICT["properties"]["version"],
    label={**TEXT, "description": "The label to explain; left out: the one with the best score."},
    words={"type": "integer", "minimum": 1, "maximum": 256, "default": 64, "description": "Parts of a text at most."},
)
EXPLANATION: Schema = {
    "type": "object",
    "properties": {
        "label": {"type": ["string", "null"]},
        "score": {"type": "number"},
        "measure": {"enum": ["probability", "value"]},
        "words": {
            "type": "array",
            "items": {"type": "object", "required": ["input", "start", "end", "text", "contribution", "log_odds"]},
        },
        "error": TEXT,
    },
}
EXPLANATIONS: Schema = {
    "type": "object",
    "properties": {"model": TEXT, "version": TEXT, "explanations": {"type": "array", "items": EXPLANATION}},
    "required": ["model", "version", "explanations"],
}
EMBED = form(
    {"input": {"oneOf": [TEXT, {"type": "array", "items": TEXT, "minItems": 1}]}, "model": TEXT},
    encoding_format={"enum": ["float", "base64"], "default": "float"},
    dimensions={"type": "integer", "description": "The vectors' own width: they are not cut."},
    user={**TEXT, "description": "Read and forgotten."},
    input_type={"enum": ["query", "document"], "default": "query", "description": "What asks, or what is found."},
)
EMBEDDED: Schema = {
    "type": "object",
    "properties": {
        "object": {"const": "list"},
        "model": TEXT,
        "data": {"type": "array", "items": {"type": "object", "required": ["object", "index", "embedding"]}},
        "usage": {"type": "object", "required": ["prompt_tokens", "total_tokens"]},
    },
    "required": ["object", "model", "data", "usage"],
}
OPENAI_ERROR = form(
    {"error": form({"message": TEXT, "type": TEXT, "param": {"type": ["string", "null"]}, "code": TEXT})}
)
LOAD = form({"name": TEXT, "path": {**TEXT, "description": "A bundle's folder below the one given by --models."}})
NAMED = form({"name": TEXT})
TRIAL = form(
    {"name": TEXT, "path": LOAD["properties"]["path"], "mode": {"enum": ["canary", "shadow"]}},
    percent={"type": "number", "minimum": 0, "maximum": 100, "default": 10, "description": "Of the requests."},
)
ERROR = form({"error": form({"message": TEXT, "code": TEXT})})
PLAIN_ERROR = form({"error": TEXT})  # as the Open Inference Protocol has it
TENSOR: Schema = {
    "type": "object",
    "properties": {
        "name": TEXT,
        "shape": {"type": "array", "items": {"type": "integer"}},
        "datatype": TEXT,
        "data": {"type": "array", "items": {}},
    },
    "required": ["name", "shape", "datatype"],
}
INFER: Schema = {
    "type": "object",
    "properties": {
        "id": TEXT,
        "parameters": {"type": "object"},
        "inputs": {"type": "array", "items": TENSOR},
        "outputs": {"type": "array", "items": form({"name": TEXT}, parameters={"type": "object"})},
    },
    "required": ["inputs"],
}
INFERRED: Schema = {
    "type": "object",
    "properties": {
        "model_name": TEXT,
        "model_version": TEXT,
        "id": TEXT,
        "outputs": {"type": "array", "items": TENSOR},
    },
    "required": ["model_name", "outputs"],
}


def body(schema: Schema, kind: str = "application/json") -> dict[str, Any]:
    """A route's request body."""
    return {"requestBody": {"required": True, "content": {kind: {"schema": schema}}}}


def gives(schema: Schema, kind: str = "application/json") -> dict[int | str, dict[str, Any]]:
    """What a route answers with."""
    return {200: {"description": "Answers.", "content": {kind: {"schema": schema}}}}


def fails(schema: Schema = ERROR) -> dict[int | str, dict[str, Any]]:
    """What every route may answer with instead: 422 by its name, since FastAPI has a form of its own for it."""
    failed = {"content": {"application/json": {"schema": schema}}}
    told = {
        "4XX": "What is wrong with the request.",
        "422": "What is wrong with its content.",
        "5XX": "Not now, or not in time.",
    }
    return {status: {"description": why, **failed} for status, why in told.items()}
