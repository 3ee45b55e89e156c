"""The web application: routes of all protocols behind one guard."""

from __future__ import annotations

import contextlib
import logging
import re
import time
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from tunewright import __version__
from tunewright.core.errors import TunewrightError
from tunewright.serve import (
    admin,
    audit,
    embeddings,
    explanations,
    feedback,
    metrics,
    open_inference,
    page,
    predictions,
    schemas,
)
from tunewright.serve.http import answer, failure
from tunewright.serve.keys import CALLER, Key
from tunewright.serve.limits import ECHO, RequestError
from tunewright.serve.service import Service, refusal

log = logging.getLogger("tunewright.serve")
OPEN = ("/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready")  # probes carry no key
ADMIN = "/v1/admin"
FEEDBACK = re.compile(r"/v1/models/[^/]+/feedback")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
METHODS = ("GET", "POST")  # that are counted by name: a request may call its own anything
GIVEN_UP = 499  # the client left before it had its answer

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def create_app(service: Service, *, models: Path | None = None, local: bool = True) -> FastAPI:
    """The application. models: the folder below which an admin may load bundles; local: without keys only this machine's
    own names are answered to, and its user is the admin."""
    app = FastAPI(title="Tunewright", version=__version__, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.include_router(predictions.router(service))
    app.include_router(open_inference.router(service))
    app.include_router(embeddings.router(service))
    app.include_router(explanations.router(service))
    app.include_router(feedback.router(service))
    app.include_router(admin.router(service, models))
    app.include_router(page.router(service))

    @app.get("/health/live", responses=schemas.gives(schemas.LIVE), openapi_extra=schemas.NO_KEY)
    async def live() -> Response:
        """Whether the process answers at all."""
        return answer({"live": True})

    @app.get(
        "/health/ready", responses={**schemas.fails(), **schemas.tells(schemas.READY)}, openapi_extra=schemas.NO_KEY
    )
    async def ready() -> Response:
        """Whether it takes requests: not before its models are open, and not when it has been told to stop."""
        return answer({"ready": service.ready}, 200 if service.ready else 503)

    @app.get("/metrics", response_class=PlainTextResponse, responses=schemas.fails())
    async def measured() -> Response:
        """Counts and times for Prometheus."""
        return Response(service.metrics.text(), media_type=metrics.CONTENT_TYPE)

    for kind, told in (
        (RequestError, lambda error: error),
        (TunewrightError, refusal),
        (HTTPException, lambda error: RequestError(error.status_code, "http", f"{error.detail}.", error.headers)),
        (RequestValidationError, _unreadable),
    ):
        app.add_exception_handler(kind, _handler(service, told))
    app.add_middleware(Guard, service=service, local=local)
    if service.keys is not None:
        app.openapi = _with_keys(app.openapi)  # type: ignore[method-assign]
    return app


def _with_keys(described: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
    """The description of all routes, and the ways to send a key."""
    return lambda: {
        **described(),
        "components": {**described().get("components", {}), "securitySchemes": schemas.KEYS},
        "security": [{name: []} for name in schemas.KEYS],
    }


def _unreadable(error: RequestValidationError) -> RequestError:
    """What FastAPI finds wrong with a query; what was given is not repeated."""
    places = {".".join(map(str, one["loc"])): one["msg"] for one in error.errors()}
    return RequestError(422, "invalid", "; ".join(f"{place}: {message}" for place, message in places.items()))


def _handler(
    service: Service, told: Callable[[Any], RequestError]
) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def handle(request: Request, error: Exception) -> Response:
        said = told(error)
        service.metrics.refused(said.code)
        return failure(said, request.scope["path"])

    return handle


class Guard:
    """Stands before every route: who asks, from where, and how many at a time; counts; lets no defect's details out."""

    def __init__(self, app: Any, service: Service, local: bool) -> None:
        self._app, self._service, self._local = app, service, local
        self._running = 0

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with self._service.traces.request(Headers(scope=scope)) as about:
            await self._traced(scope, receive, send, about)

    async def _traced(
        self, scope: MutableMapping[str, Any], receive: Receive, send: Send, about: dict[str, Any]
    ) -> None:
        started, status = time.perf_counter(), 0

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message.get("headers", []),
                    (b"x-content-type-options", b"nosniff"),
                    (b"cache-control", b"no-store"),
                ]
            await send(message)

        self._running += 1
        try:
            if refused := self._refused(Request(scope)):
                self._service.metrics.refused(refused.code)
                self._audit(scope["path"], refused)
                await failure(refused, scope["path"])(scope, receive, told)
            else:
                await self._app(scope, receive, told)
        except ClientDisconnect:
            status = GIVEN_UP
        except Exception as error:
            _log_defect(error)
            if not status:
                defect = RequestError(500, "defect", "The server has a defect; its log says where.")
                await failure(defect, scope["path"])(scope, receive, told)
        finally:
            self._running -= 1
            route = getattr(scope.get("route"), "path", "none")
            seconds = time.perf_counter() - started
            method = scope["method"] if scope["method"] in METHODS and route != "none" else "-"
            self._service.metrics.request(method, route, status, seconds)
            about.update({"http.request.method": method, "http.route": route, "http.response.status_code": status})

    def _audit(self, path: str, refused: RequestError) -> None:
        """Keep that a key asked for what it may not. Who has none is counted, and fills no disk."""
        if path.startswith(ADMIN) and CALLER.get() is not None:
            with contextlib.suppress(RequestError):  # it is refused anyhow
                self._service.audit.add(path[len(ADMIN) + 1 :][:ECHO], audit.REFUSED, code=refused.code)

    def _refused(self, request: Request) -> RequestError | None:
        """Why a request is not let in; None: it is."""
        path = request.scope["path"]  # not the URL's, into which older Starlettes write the Host header
        if path in OPEN:
            return None
        if self._running > self._service.limits.at_once:
            return RequestError(429, "busy", "Too many requests at a time.", {"Retry-After": "1"})
        if (origin := request.headers.get("origin")) and origin.partition("://")[2] != request.headers.get("host"):
            return RequestError(403, "origin", "Pages of other sites may not ask this server.")
        if self._service.keys is not None:
            return None if path in page.FILES else self._without_key(request)
        if self._local and _name(request.headers.get("host", "")) not in LOOPBACK:
            return RequestError(403, "host", "Without keys this server answers to 127.0.0.1 and localhost alone.")
        if not self._local and (needed := _needed(path)) != "predict":
            word = "is an admin" if needed == "admin" else "gives feedback"
            return RequestError(403, needed, f"Without keys nobody {word} from elsewhere: start it with --keys.")
        return None

    def _without_key(self, request: Request) -> RequestError | None:
        key, needed = self._key(request), _needed(request.scope["path"])
        CALLER.set(key)
        if key is None:
            return RequestError(401, "no_key", "Send a key: Authorization: Bearer KEY.", {"WWW-Authenticate": "Bearer"})
        if not key.may(needed):
            return RequestError(403, "role", f"This key has the role {key.role}; {needed} is needed.")
        try:
            self._service.store.take(key, "requests", 1)
        except RequestError as error:
            return error
        return None

    def _key(self, request: Request) -> Key | None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            given = request.headers.get("x-api-key", "")
        return self._service.keys.find(given.strip())  # type: ignore[union-attr]


def _needed(path: str) -> str:
    """What a key must be allowed to do on a route."""
    if path.startswith(ADMIN):
        return "admin"
    return "feedback" if FEEDBACK.fullmatch(path) else "predict"


def _name(host: str) -> str:
    """A Host header without its port, and without the brackets around an address of IPv6."""
    name, bracket, _ = host.removeprefix("[").partition("]")
    return name if bracket and host.startswith("[") else host.partition(":")[0]


def _log_defect(error: Exception) -> None:
    """Where it happened, and not what was said: an exception's message may hold a request's text."""
    places = "\n".join(
        f"  {frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)
    )
    log.error("A request met a defect, %s:\n%s", type(error).__name__, places)
