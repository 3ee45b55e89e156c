"""What a request may be: how large, how deep, how long; and the one message a refused request is answered with."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from tunewright.core.errors import listing, nearest
from tunewright.core.files import jsonable

ECHO = 40  # characters of a request that a message repeats


@dataclass(frozen=True)
class Limits:
    """The bounds of one server."""

    body_bytes: int = 4 << 20  # of a request: a few hundred long texts
    inputs: int = 256  # in one request: larger ones belong into the stream
    characters: int = 100_000  # of one input: a long report
    depth: int = 16  # of JSON inside JSON: the deepest input of any task needs 5
    waiting: int = 128  # requests in a model's queue: beyond them a client waits better than a server
    at_once: int = 1024  # requests that are read, computed or answered at a time
    seconds: float = 30.0  # for reading a request, and again for answering it


class RequestError(Exception):
    """A request that is not answered as asked: an HTTP status, a code for programs, a message for people."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, dict(headers or {})


def parse(body: bytes, limits: Limits) -> Any:
    """The JSON in a body. Raises RequestError where it is none, is nested too deeply, or holds what JSON has no word for."""
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_no_json)
    except RecursionError:
        raise _too_deep(limits) from None
    except UnicodeDecodeError:
        raise RequestError(400, "invalid_json", "The body is no UTF-8.") from None
    except ValueError as error:
        where = f" at character {error.pos + 1}: {error.msg}" if isinstance(error, json.JSONDecodeError) else ""
        raise RequestError(400, "invalid_json", f"The body is no valid JSON{where}.") from None
    if _is_deeper(value, limits.depth):
        raise _too_deep(limits)
    return value


def _no_json(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


def _too_deep(limits: Limits) -> RequestError:
    return RequestError(400, "too_deep", f"The JSON is nested more than {limits.depth} levels deep.")


def _is_deeper(value: Any, depth: int) -> bool:
    level = [value]
    for _ in range(depth):
        level = [inner for outer in level for inner in _inside(outer) if isinstance(inner, (dict, list))]
        if not level:
            return False
    return True


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def known_fields(given: Any, known: Iterable[str], what: str) -> Mapping[str, Any]:
    """`given`, if it is a JSON object with none but the known fields. Raises RequestError that names the nearest one."""
    known = tuple(known)
    if not isinstance(given, Mapping):
        raise invalid(f"{what} must be a JSON object with {listing(known)}.")
    unknown = next((name for name in given if name not in known), None)
    if unknown is not None:
        near = nearest(unknown[:ECHO], known)
        raise RequestError(
            422,
            "unknown_field",
            f"{what} has an unknown field {unknown!r:.{ECHO}}.{near} Its fields: {listing(known)}.",
        )
    return given


def optional(given: Mapping[str, Any], fields: Iterable[tuple[str, type, str]]) -> dict[str, Any]:
    """The request without fields that are null. fields: name, type, and what it is called; raises RequestError."""
    asked = {name: value for name, value in given.items() if value is not None}
    for name, kind, said in fields:
        if name in asked and not isinstance(asked[name], kind):
            raise invalid(f'"{name}" must be {said}.')
    return asked


def invalid(message: str) -> RequestError:
    """A request whose content is not what it must be."""
    return RequestError(422, "invalid", message)


def texts(value: Any) -> Iterator[str]:
    """Every text in a JSON value, names of fields left out."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        waiting.extend(_inside(one))


def as_json(value: Any) -> bytes:
    """A value as JSON in UTF-8; a lone surrogate becomes JSON's own escape, and not-a-number null."""
    return json.dumps(jsonable(value), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")
