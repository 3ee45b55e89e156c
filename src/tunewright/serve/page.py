"""The status page: what answers, how fast, and whether it is as usual; its files are packaged, and nothing comes from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter, Response

from tunewright import __version__
from tunewright.serve import schemas
from tunewright.serve.http import answer
from tunewright.serve.service import Service

FOLDER = Path(__file__).parent / "web"
# Path → the file and its type. They hold no data, so that a browser gets them without a key, which is typed in there.
FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.svg": ("page.svg", "image/svg+xml"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/page.texts.js": ("page.texts.js", "text/javascript; charset=utf-8"),
}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def router(service: Service) -> APIRouter:
    """The page's files, and what it shows."""
    routes = APIRouter(responses=schemas.fails())
    for path, (name, kind) in FILES.items():
        routes.add_api_route(path, _file(name, kind), include_in_schema=False, methods=["GET"])

    @routes.get("/v1/status", responses=schemas.gives(schemas.STATUS))
    async def status() -> Response:
        """What is served, how much has been asked, and what is seen of the answers: as the page at / shows it."""
        return answer({"tunewright": __version__, "ready": service.ready, "models": [*map(_about, service.versions)]})

    def _about(version: Any) -> dict[str, Any]:
        model = service.repository.model(version.name)
        return {
            **version.about(),
            "answers_now": version is model.current,
            "waiting": version.worker.depth,
            **service.metrics.totals(version.name),
            "watched": None if version.watched is None else version.watched.about(),
        }

    return routes


def _file(name: str, kind: str) -> Any:
    async def given() -> Response:
        return Response((FOLDER / name).read_bytes(), media_type=kind, headers=HEADERS)

    return given
