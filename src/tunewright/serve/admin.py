"""Routes for those who run the server: exchange a model while it answers, take that back, try another version beside it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute

from tunewright.core.errors import TunewrightError
from tunewright.serve import audit, schemas
from tunewright.serve.audit import Audit
from tunewright.serve.http import answer, read_json
from tunewright.serve.keys import CALLER
from tunewright.serve.limits import RequestError, invalid, known_fields
from tunewright.serve.repository import NAME
from tunewright.serve.service import Service, refusal
from tunewright.serve.trial import MODES, Trial, new_id

log = logging.getLogger("tunewright.serve")
PERCENT = 10.0  # of the requests that a version on trial gets unless an admin says otherwise


def router(service: Service, root: Path | None) -> APIRouter:
    """The routes; models are loaded from below `root` alone."""
    routes = APIRouter(prefix="/v1/admin", responses=schemas.fails(), route_class=_audited(service.audit))
    repository, stands = service.repository, schemas.gives(schemas.STANDS)

    async def done(request: Request, asked: Mapping[str, Any], change: Callable[[], None]) -> Response:
        """Make a change in a thread, let the other workers make it too, and tell what stands now."""
        what, name = request.scope["route"].name, asked["name"]
        request.state.asked = asked  # for the log, should it be refused

        def changed() -> dict[str, Any]:
            with service.desired.changing():
                before = repository.models[name].current.id if name in repository.models else None
                service.audit.add(what, audit.BEGUN, **asked, version=before)
                try:
                    change()
                except TunewrightError as error:
                    raise refusal(error) from None
            model = repository.models[name]
            tried = {"trial": model.trial.version.id} if model.trial else {}
            service.audit.add(what, audit.DONE, **asked, version=model.current.id, **tried)
            return service.desired.settled(service.limits.seconds)

        others = await asyncio.to_thread(changed)
        key = CALLER.get()
        current = repository.model(name).current.id
        log.warning("admin %s: %s %s, now version %s", key.who if key else "-", what, name, current)
        return answer({**_about(service, name), **others})

    @routes.post("/load", openapi_extra=schemas.body(schemas.LOAD), responses=stands)
    async def load(request: Request) -> Response:
        """Open a bundle and let it answer under a name. Until it is open, and if it does not open, all stays as it was."""
        asked = _fields(await read_json(request, service.limits), ("name", "path"))
        name, folder = _name(asked), _below(root, asked["path"])
        return await done(request, asked, lambda: repository.publish(repository.open(name, folder)))

    @routes.post("/rollback", openapi_extra=schemas.body(schemas.NAMED), responses=stands)
    async def rollback(request: Request) -> Response:
        """Let the version before answer again, at once, and drop the one on trial."""
        asked = _fields(await read_json(request, service.limits), ("name",))
        return await done(request, asked, lambda: repository.model(asked["name"]).rollback())

    @routes.post("/trial", openapi_extra=schemas.body(schemas.TRIAL), responses=stands)
    async def trial(request: Request) -> Response:
        """Open a bundle and let it answer a share of a model's requests: as a canary, or unseen as a shadow."""
        asked = _fields(await read_json(request, service.limits), ("name", "path", "mode"), ("percent",))
        mode, percent = asked["mode"], asked.get("percent", PERCENT)
        if mode not in MODES:
            raise invalid(f'"mode" must be {" or ".join(MODES)}.')
        if type(percent) not in (int, float) or not 0 <= percent <= 100:
            raise invalid('"percent" must be a number from 0 to 100.')
        folder = _below(root, asked["path"])

        def begin() -> None:
            model = repository.model(asked["name"])
            version = repository.open(model.current.name, folder)
            model.begin(Trial(version, mode, percent, new_id(version)))

        return await done(request, asked, begin)

    @routes.post("/promote", openapi_extra=schemas.body(schemas.NAMED), responses=stands)
    async def promote(request: Request) -> Response:
        """Let the version on trial answer everything; the one that did is kept for `rollback`."""
        asked = _fields(await read_json(request, service.limits), ("name",))
        return await done(request, asked, lambda: repository.model(asked["name"]).promote())

    @routes.post("/drop", openapi_extra=schemas.body(schemas.NAMED), responses=stands)
    async def drop(request: Request) -> Response:
        """End the trial."""
        asked = _fields(await read_json(request, service.limits), ("name",))
        return await done(request, asked, lambda: repository.model(asked["name"]).drop())

    @routes.get("/models/{name}", responses=stands)
    async def about(name: str) -> Response:
        """Which versions stand under a name, and how the one on trial compares."""
        return answer(_about(service, name))

    return routes


def _audited(log: Audit) -> type[APIRoute]:
    """Routes whose refusals are told in the log, too."""

    class Audited(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            inner = super().get_route_handler()
            if self.methods == {"GET"}:  # reading changes nothing
                return inner

            async def handle(request: Request) -> Response:
                try:
                    return await inner(request)
                except RequestError as error:
                    log.add(self.name, audit.REFUSED, **getattr(request.state, "asked", {}), code=error.code)
                    raise
                except Exception:
                    log.add(self.name, audit.DEFECT, **getattr(request.state, "asked", {}))
                    raise

            return handle

    return Audited


def _about(service: Service, name: str) -> dict[str, Any]:
    model = service.repository.model(name)
    about = {
        "name": name,
        "version": model.current.id,
        "previous": model.previous.id if model.previous else None,
    }
    if (trial := model.trial) is not None:
        compared = service.metrics.comparison(trial)
        about["trial"] = {"version": trial.version.id, "mode": trial.mode, "percent": trial.percent, **compared}
    return about


def _fields(value: Any, names: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, Any]:
    asked = known_fields(value, (*names, *optional), "The request")
    for name in names:
        if not isinstance(asked.get(name), str):
            raise invalid(f'"{name}" must be a text.')
    return dict(asked)


def _name(asked: dict[str, Any]) -> str:
    if not NAME.fullmatch(asked["name"]):
        raise invalid('"name" must be letters, digits, dots, dashes and underscores, 64 at most.')
    return asked["name"]


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
