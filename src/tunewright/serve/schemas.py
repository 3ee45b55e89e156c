"""The forms of requests and answers, as /openapi.json shows them."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
TEXTS: Schema = {"type": "array", "items": TEXT}
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


def request(required: dict[str, Schema], **optional: Schema) -> Schema:
    """A form whose optional fields may be null, which is as if they were left out."""
    return form(required, **{name: {"anyOf": [own, {"type": "null"}]} for name, own in optional.items()})


NAME: Schema = {**TEXT, "description": "One of /v1/models; may be left out where there is one."}
VERSION: Schema = {**TEXT, "description": "A version that is open; left out: the one that answers now."}
PREDICT = request(
    {"inputs": {"type": "array", "items": INPUT}},
    model=NAME,
    version=VERSION,
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
LINE: Schema = {
    **PREDICTION,
    "properties": {"line": {"type": "integer", "minimum": 1}, **PREDICTION["properties"]},
    "required": ["line", "decision"],
}
PREDICTIONS: Schema = {
    "type": "object",
    "properties": {"model": TEXT, "version": TEXT, "predictions": {"type": "array", "items": PREDICTION}},
    "required": ["model", "version", "predictions"],
}
MODEL: Schema = {
    "type": "object",
    "properties": {
        "name": TEXT,
        "version": TEXT,
        "task": TEXT,
        "inputs": TEXTS,
        "answers": TEXTS,
        "labels": {**TEXTS, "description": "None of a model that searches: its labels are documents."},
        "runtime": {"type": "object", "required": ["name"]},
        "created": TEXT,
    },
    "required": ["name", "version", "task", "inputs", "answers", "labels", "runtime", "created"],
}
MODELS = form({"models": {"type": "array", "items": MODEL}})
STATUS = form(
    {
        "tunewright": TEXT,
        "ready": {"type": "boolean"},
        "models": {
            "type": "array",
            "items": {
                **MODEL,
                "properties": {
                    **MODEL["properties"],
                    "answers_now": {"type": "boolean"},
                    "waiting": {"type": "integer"},
                    "watched": {"type": ["object", "null"]},
                },
                "required": [*MODEL["required"], "answers_now", "waiting", "decisions", "given", "watched"],
            },
        },
    }
)
FEEDBACK = request(
    {"id": {**TEXT, "description": "Of an answer."}, "label": {"description": "As a row of training data has it."}},
    target={**TEXT, "description": "Of a model with several targets, which one; left out: `label` has them by name."},
)
EXPLAIN = request(
    {"inputs": {"type": "array", "items": INPUT, "maxItems": 16}},
    model=NAME,
    version=VERSION,
    label={**TEXT, "description": "The label to explain; left out: the one with the best score."},
    words={"type": "integer", "minimum": 1, "maximum": 256, "default": 64, "description": "Parts of a text at most."},
)
MOVED: dict[str, Schema] = {  # by its words
    "label": {"type": ["string", "null"]},
    "score": {"type": "number"},
    "measure": {"enum": ["probability", "value"]},
    "words": {
        "type": "array",
        "items": {"type": "object", "required": ["input", "start", "end", "text", "contribution", "log_odds"]},
    },
}
EXPLANATION: Schema = {
    "type": "object",
    "description": "Of one answer a text its words; else `answers`, each with its own; or `error`.",
    "properties": {
        **MOVED,
        "answers": {
            "type": "array",
            "items": form(
                {
                    "answer": {**TEXT, "description": "The key that it stands under, as `spans`."},
                    "places": {
                        "type": "array",
                        "items": form({"start": {"type": "integer"}, "end": {"type": "integer"}, "text": TEXT}),
                    },
                    **MOVED,
                }
            ),
        },
        "decision": PREDICTION["properties"]["decision"],
        "truncated_tokens": PREDICTION["properties"]["truncated_tokens"],
        "error": TEXT,
    },
    "required": ["decision"],
    "oneOf": [{"required": ["words"]}, {"required": ["answers"]}, {"required": ["error"]}],
}
EXPLANATIONS: Schema = {
    "type": "object",
    "properties": {"model": TEXT, "version": TEXT, "explanations": {"type": "array", "items": EXPLANATION}},
    "required": ["model", "version", "explanations"],
}
EMBED = request(
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
STANDS: Schema = {
    "type": "object",
    "properties": {
        "name": TEXT,
        "version": TEXT,
        "previous": {"type": ["string", "null"]},
        "trial": {
            "type": "object",
            "properties": {
                "version": TEXT,
                "mode": TRIAL["properties"]["mode"],
                "percent": TRIAL["properties"]["percent"],
            },
            "required": ["version", "mode", "percent", "compared", "agreed", "flipped", "agreement"],
        },
        "workers": {"type": "object", "required": ["all", "changed", "failed"]},
    },
    "required": ["name", "version", "previous"],
    "additionalProperties": False,
}
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
ROWS: Schema = {  # of a request
    "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "maxItems": 2},
    "datatype": {"enum": ["BYTES", "FP32", "FP64", "INT8", "INT16", "INT32", "INT64"]},
}
INFER: Schema = {
    "type": "object",
    "properties": {
        "id": TEXT,
        "parameters": {"type": "object"},
        "inputs": {"type": "array", "items": {**TENSOR, "properties": {**TENSOR["properties"], **ROWS}}},
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
        "parameters": form({}, feedback_id={**TEXT, "description": "Row n is FEEDBACK_ID.n, where feedback is kept."}),
        "outputs": {"type": "array", "items": TENSOR},
    },
    "required": ["model_name", "outputs"],
}

SERVER = form({"name": TEXT, "version": TEXT, "extensions": TEXTS})
SIDE: Schema = {
    "type": "array",
    "items": form({"name": TEXT, "datatype": TEXT, "shape": TENSOR["properties"]["shape"]}),
}
METADATA = form({"name": TEXT, "versions": TEXTS, "platform": TEXT, "inputs": SIDE, "outputs": SIDE})
LIVE, READY = form({"live": {"type": "boolean"}}), form({"ready": {"type": "boolean"}})
MODEL_READY = form({"name": TEXT, "ready": {"type": "boolean"}})
# Who may ask, where a server has keys; a probe carries none.
KEYS: Schema = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
NO_KEY: Schema = {"security": []}


def body(schema: Schema, kind: str = "application/json") -> dict[str, Any]:
    """A route's request body."""
    return {"requestBody": {"required": True, "content": {kind: {"schema": schema}}}}


def gives(schema: Schema, kind: str = "application/json") -> dict[int | str, dict[str, Any]]:
    """What a route answers with."""
    return {200: {"description": "Answers.", "content": {kind: {"schema": schema}}}}


def tells(schema: Schema) -> dict[int | str, dict[str, Any]]:
    """What a probe answers with, ready or not."""
    return {**gives(schema), 503: {**gives(schema)[200], "description": "Not ready."}}


def fails(schema: Schema = ERROR) -> dict[int | str, dict[str, Any]]:
    """What every route may answer with instead: 422 by its name, since FastAPI has a form of its own for it."""
    failed = {"content": {"application/json": {"schema": schema}}}
    told = {
        "4XX": "What is wrong with the request.",
        "422": "What is wrong with its content.",
        "5XX": "Not now, or not in time.",
    }
    return {status: {"description": why, **failed} for status, why in told.items()}
