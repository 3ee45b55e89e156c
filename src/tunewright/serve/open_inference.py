"""The Open Inference Protocol (KServe V2, REST): what standard clients speak. Texts are tensors of BYTES."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Request, Response

from tunewright import __version__
from tunewright.core.contracts import Task
from tunewright.core.errors import listing, nearest
from tunewright.serve import schemas
from tunewright.serve.http import answer, read
from tunewright.serve.limits import ECHO, Limits, invalid, parse
from tunewright.serve.repository import Version
from tunewright.serve.service import Service
from tunewright.serve.trial import HEADER

HEADER_LENGTH = "inference-header-content-length"  # bytes of JSON before the tensors' own bytes
NUMBERS = ("FP32", "FP64", "INT8", "INT16", "INT32", "INT64")


def router(service: Service) -> APIRouter:
    """The routes, for this service."""
    routes = APIRouter(prefix="/v2", responses=schemas.fails(schemas.PLAIN_ERROR))
    limits = service.limits

    @routes.get("", responses=schemas.gives(schemas.SERVER))
    async def server() -> Response:
        """What this server is."""
        return answer({"name": "tunewright", "version": __version__, "extensions": ["binary_tensor_data"]})

    @routes.get("/health/live", responses=schemas.gives(schemas.LIVE), openapi_extra=schemas.NO_KEY)
    async def live() -> Response:
        """Whether the process answers at all."""
        return answer({"live": True})

    @routes.get("/health/ready", responses=schemas.tells(schemas.READY), openapi_extra=schemas.NO_KEY)
    async def ready() -> Response:
        """Whether it takes requests."""
        return answer({"ready": service.ready}, 200 if service.ready else 503)

    @routes.get("/models/{name}", responses=schemas.gives(schemas.METADATA))
    @routes.get("/models/{name}/versions/{version}", responses=schemas.gives(schemas.METADATA))
    async def metadata(name: str, version: str | None = None) -> Response:
        """A model's inputs and outputs."""
        model = service.repository.model(name)
        opened = [one.id for one in model.opened]
        return answer(_metadata(model.version(version), opened))

    @routes.get("/models/{name}/ready", responses=schemas.tells(schemas.MODEL_READY))
    @routes.get("/models/{name}/versions/{version}/ready", responses=schemas.tells(schemas.MODEL_READY))
    async def model_ready(name: str, version: str | None = None) -> Response:
        """Whether a model takes requests."""
        found = service.repository.model(name).version(version)
        return answer({"name": found.name, "ready": service.ready}, 200 if service.ready else 503)

    @routes.post(
        "/models/{name}/infer",
        openapi_extra=schemas.body(schemas.INFER),
        responses=schemas.gives(schemas.INFERRED),
    )
    @routes.post(
        "/models/{name}/versions/{version}/infer",
        openapi_extra=schemas.body(schemas.INFER),
        responses=schemas.gives(schemas.INFERRED),
    )
    async def infer(request: Request, name: str, version: str | None = None) -> Response:
        """Answer rows of tensors."""
        task = service.repository.model(name).version(version).bundle.task
        asked, tail = _split(await read(request, limits), request.headers.get(HEADER_LENGTH), limits)
        inputs, wanted = _inputs(asked, tail, task), _wanted(asked, task)
        said = await service.answer(name, inputs, version, route=request.headers.get(HEADER))
        outputs = [_output(one, said.rows(), task) for one in wanted]
        about = {"model_name": name, "model_version": said.version.id}
        if "id" in asked:
            about["id"] = asked["id"]
        if said.id is not None:
            about["parameters"] = {"feedback_id": said.id}
        return answer({**about, "outputs": outputs})

    return routes


def _metadata(version: Version, opened: Sequence[str]) -> dict[str, Any]:
    task = version.bundle.task
    numeric = task.beside.numeric
    inputs = [(name, "FP64" if name in numeric else "BYTES") for name in (*task.inputs, *task.beside.columns)]
    outputs = _outputs(task).items()
    return {
        "name": version.name,
        "versions": list(opened),
        "platform": "tunewright",
        "inputs": [{"name": name, "datatype": kind, "shape": [-1]} for name, kind in inputs],
        "outputs": [{"name": name, "datatype": kind, "shape": [-1]} for name, kind in outputs],
    }


def _outputs(task: Task) -> dict[str, str]:
    """Output → datatype. An answer that is no label or text, such as a list of spans, is JSON."""
    number = task.probe and not task.classes
    answers = dict.fromkeys((*task.answers, *task.shown), "FP64" if number else "BYTES")
    return {**answers, "score": "FP64", "decision": "BYTES"}


def _output(name: str, rows: Sequence[Mapping[str, Any]], task: Task) -> dict[str, Any]:
    kind = _outputs(task)[name]
    data = [row[name] if kind != "BYTES" else _text(row[name]) for row in rows]
    if kind != "BYTES":
        data = [0.0 if value is None else value for value in data]  # decision says "error" there
    return {"name": name, "shape": [len(rows)], "datatype": kind, "data": data}


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _split(body: bytes, stated: str | None, limits: Limits) -> tuple[dict[str, Any], bytes]:
    """The request's JSON, and the tensors' bytes behind it."""
    length = len(body)
    if stated is not None:
        if not (stated.isascii() and stated.isdigit()) or int(stated[:20]) > length:
            raise invalid(f"The header {HEADER_LENGTH} must be the length of the JSON in the body.")
        length = int(stated)
    asked = parse(body[:length], limits)
    if not isinstance(asked, dict) or not isinstance(asked.get("inputs"), list):
        raise invalid('The request must be a JSON object with "inputs", a list of tensors.')
    if not isinstance(asked.get("id", ""), str):
        raise invalid('"id" must be a text.')
    return asked, body[length:]


def _wanted(asked: Mapping[str, Any], task: Task) -> list[str]:
    """The outputs that the request names, or all."""
    known = list(_outputs(task))
    if not (outputs := asked.get("outputs")):
        return known
    if not isinstance(outputs, list) or not all(isinstance(one, dict) for one in outputs):
        raise invalid('"outputs" must be a list of objects with a "name".')
    names = [one.get("name") for one in outputs]
    for name in names:
        if name not in known:
            near = nearest(str(name)[:ECHO], known)
            raise invalid(f"There is no output {name!r:.{ECHO}}.{near} Outputs: {listing(known)}.")
    return names


def _inputs(asked: Mapping[str, Any], tail: bytes, task: Task) -> list[dict[str, Any]]:
    """One mapping of roles a row."""
    known = (*task.inputs, *task.beside.columns)
    columns: dict[str, list[Any]] = {}
    for tensor in asked["inputs"]:
        if not isinstance(tensor, dict) or not isinstance(name := tensor.get("name"), str):
            raise invalid('Each of "inputs" must be an object with "name", "shape", "datatype" and "data".')
        if name not in known:
            near = nearest(name[:ECHO], known)
            raise invalid(f"There is no input {name!r:.{ECHO}}.{near} Inputs: {listing(known)}.")
        columns[name], tail = _data(tensor, name, tail)
    if len({len(column) for column in columns.values()}) != 1:
        raise invalid(f"Give tensors of one length for the inputs {listing(known)}.")
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _data(tensor: Mapping[str, Any], name: str, tail: bytes) -> tuple[list[Any], bytes]:
    """A tensor's elements, and what follows its own bytes."""
    shape, kind = tensor.get("shape"), tensor.get("datatype")
    numbers = isinstance(shape, list) and all(type(one) is int and one >= 0 for one in shape)
    if not numbers or not shape or shape[1:] not in ([], [1]):
        raise invalid(f'Input {name!r}: "shape" must be [rows] or [rows, 1].')
    if kind not in ("BYTES", *NUMBERS):
        raise invalid(f"Input {name!r}: the datatype must be BYTES; it is {kind!r:.{ECHO}}.")
    if "data" in tensor:
        data = list(_flat(tensor["data"]))
    else:
        parameters = tensor.get("parameters")
        size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
        if type(size) is not int or not 0 <= size <= len(tail) or kind != "BYTES":
            raise invalid(f'Input {name!r} has no "data".')
        data, tail = list(_strings(tail[:size], name)), tail[size:]
    if len(data) != math.prod(shape):
        raise invalid(f"Input {name!r} has {len(data)} elements, and its shape says {shape}.")
    return data, tail


def _flat(data: Any) -> Iterator[Any]:
    if isinstance(data, list):
        for one in data:
            yield from _flat(one)
    else:
        yield data


def _strings(data: bytes, name: str) -> Iterator[str]:
    """BYTES as the binary extension has them: each with its length, 4 bytes, before it."""
    start = 0  # no slice of the rest for every element: a body of empty ones would be copied a million times
    while start < len(data):
        first = start + 4
        if len(data) < first or len(data) < (end := first + struct.unpack_from("<I", data, start)[0]):
            raise invalid(f"Input {name!r}: its bytes end within an element.")
        try:
            yield data[first:end].decode("utf-8")
        except UnicodeDecodeError:
            raise invalid(f"Input {name!r} is no UTF-8.") from None
        start = end
