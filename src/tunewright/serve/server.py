"""Run the application until it is told to stop, and stop without losing a request."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tunewright.core.errors import MachineError
from tunewright.serve.service import Service

log = logging.getLogger("tunewright.serve")
BACKLOG = 2048  # connections that wait to be taken
HEAD = 65536  # bytes of a request that are no body


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises MachineError where the address is taken, is not this machine's, or is not allowed."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # With its protocol named: only then does asyncio send small answers at once (TCP_NODELAY), and not 40 ms later.
        made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        with contextlib.ExitStack() as undo:
            undo.callback(made.close)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((host, port))
            made.listen(BACKLOG)
            undo.pop_all()
        return made
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise MachineError(
            f"Cannot listen on {host}:{port}: {reason}. Choose another --host or --port; --port 0 takes a free one."
        ) from None


class Server(uvicorn.Server):
    """Told to stop, it says at once that it is not ready, goes on for `grace` seconds, then finishes what it has."""

    def __init__(self, config: uvicorn.Config, service: Service, grace: float, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._service, self._grace, self._told_started = service, grace, started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn.Server; then tell that it is up."""
        await super().startup(sockets)
        self._told_started()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """On the first SIGTERM wait the grace period; Ctrl-C does not, and the second signal ends what is left."""
        again, self._service.draining = self._service.draining, True
        if not again:
            log.warning("Told to stop: finishing what is there.")
        if again:
            self.force_exit = self.should_exit
            self.should_exit = True
        elif sig == signal.SIGTERM and self._grace > 0:
            loop = asyncio.get_running_loop()
            loop.call_soon_threadsafe(loop.call_later, self._grace, self._stop)
        else:
            self._stop()

    def _stop(self) -> None:
        self.should_exit = True


def _bounded(seconds: float) -> type[HttpToolsProtocol]:
    """HTTP/1.1 that closes a connection on which for so long no request has begun, however slowly one is being sent, or which
    has more than HEAD bytes before a body or after it."""

    class Bounded(HttpToolsProtocol):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._held = 0  # bytes since something was passed on: those the parser keeps
            self._seen = self.cycle
            self._timer = self.loop.call_later(seconds, self._look)

        def connection_lost(self, exc: Exception | None) -> None:
            self._timer.cancel()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            self._held += len(data)
            super().data_received(data)
            if self._held > HEAD:
                self.transport.close()

        def on_headers_complete(self) -> None:
            self._held = 0
            super().on_headers_complete()

        def on_body(self, body: bytes) -> None:
            self._held = 0
            super().on_body(body)

        def on_message_complete(self) -> None:
            self._held = 0
            super().on_message_complete()

        def _look(self) -> None:
            if self.cycle is self._seen and (self.cycle is None or self.cycle.response_complete):
                self.transport.close()
                return
            self._seen = self.cycle
            self._timer = self.loop.call_later(seconds, self._look)

    return Bounded


def run(
    app: FastAPI, service: Service, listening: socket.socket, *, grace: float, started: Callable[[], None], **tls: Any
) -> None:
    """Serve until SIGTERM or Ctrl-C, then finish the requests that are there."""
    seconds = service.limits.seconds
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        http=_bounded(seconds),
        timeout_keep_alive=30,
        timeout_graceful_shutdown=int(2 * seconds) + 1,
        **tls,
    )
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    Server(config, service, grace, started).run(sockets=[listening])
    service.close(seconds)
