"""Routes for those who run the server: exchange a model while it answers, and take that back."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response

from tunewright.core.errors import TunewrightError
from tunewright.serve import schemas
from tunewright.serve.http import answer, read_json
from tunewright.serve.limits import RequestError, invalid, known_fields
from tunewright.serve.repository import NAME
from tunewright.serve.service import Service, refusal

log = logging.getLogger("tunewright.serve")


def router(service: Service, root: Path | None) -> APIRouter:
    """The routes; models are loaded from below `root` alone."""
    routes = APIRouter(prefix="/v1/admin", responses=schemas.fails())
    busy = asyncio.Lock()

    @routes.post("/load", openapi_extra=schemas.body(schemas.LOAD))
    async def load(request: Request) -> Response:
        """Open a bundle and let it answer under a name. Until it is open, and if it does not open, all stays as it is."""
        asked = _fields(await read_json(request, service.limits), ("name", "path"))
        if not NAME.fullmatch(asked["name"]):
            raise invalid('"name" must be letters, digits, dots, dashes and underscores, 64 at most.')
        folder = _below(root, asked["path"])
        if busy.locked():
            raise RequestError(409, "loading", "Another model is being loaded.", {"Retry-After": "5"})
        async with busy:
            try:
                version = await asyncio.to_thread(service.repository.open, asked["name"], folder)
            except TunewrightError as error:
                raise refusal(error) from None
            service.repository.publish(version)
        return _done(service, request, "load", asked["name"])

    @routes.post("/rollback", openapi_extra=schemas.body(schemas.ROLLBACK))
    async def rollback(request: Request) -> Response:
        """Let the version before answer again, at once."""
        asked = _fields(await read_json(request, service.limits), ("name",))
        service.repository.model(asked["name"]).rollback()
        return _done(service, request, "rollback", asked["name"])

    return routes


def _done(service: Service, request: Request, action: str, name: str) -> Response:
    model = service.repository.model(name)
    who = request.scope.get("state", {}).get("key", "-")
    log.warning("admin %s: %s %s, now version %s", who, action, name, model.current.id)
    before = model.previous.id if model.previous else None
    return answer({"name": name, "version": model.current.id, "previous": before})


def _fields(value: Any, names: tuple[str, ...]) -> dict[str, str]:
    asked = known_fields(value, names, "The request")
    for name in names:
        if not isinstance(asked.get(name), str):
            raise invalid(f'"{name}" must be a text.')
    return dict(asked)


def _below(root: Path | None, given: str) -> Path:
    """The folder, wherever links lead, if it lies below the root. Raises RequestError that does not say what lies elsewhere."""
    if root is None:
        raise RequestError(403, "no_models_root", "This server loads no further models: start it with --models FOLDER.")
    try:
        folder = (root / given).resolve()
        if folder.is_relative_to(root.resolve()) and folder.is_dir():
            return folder
    except (OSError, ValueError, RuntimeError):  # a name that is too long or holds NUL, links in a circle
        pass
    raise invalid("\"path\" must be a bundle's folder below the server's --models folder.")
