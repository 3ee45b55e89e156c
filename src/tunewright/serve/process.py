"""One of several workers, as a program: `python -m tunewright.serve.process`, started by the supervisor alone (serve/workers.py).

Its standard input brings one line of JSON with its settings, and then nothing; where it ends, the supervisor is no more, and
the worker stops as by SIGTERM. On its standard output it says once, in JSON, that it answers, or why it cannot.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sys
import threading
from pathlib import Path

from tunewright.core.errors import TunewrightError


def main() -> int:
    """Serve until told to stop; gives the exit code."""
    told = json.loads(sys.stdin.buffer.readline())
    alone = threading.Event()  # the supervisor is no more
    threading.Thread(target=_watch, args=(alone,), daemon=True).start()
    try:
        from tunewright.serve import server
        from tunewright.serve.start import Place, Settings, opened

        settings = Settings.from_plain(told["settings"])
        place = Place(Path(told["folder"]), told["slot"], told["workers"])
        app, service = opened(settings, place=place)
    except TunewrightError as error:
        _say({"error": str(error), "exit_code": error.exit_code})
        return error.exit_code

    def started() -> None:
        _say({"models": [model.current.about() for model in service.repository.models.values()]})

    listening = socket.socket(fileno=told["socket"])
    server.run(app, service, listening, grace=settings.grace, started=started, **settings.tls)
    if alone.is_set():
        shutil.rmtree(told["folder"], ignore_errors=True)  # which else the supervisor does
    return 0


def _watch(alone: threading.Event) -> None:
    while os.read(0, 1):
        pass
    alone.set()
    os.kill(os.getpid(), signal.SIGTERM)


def _say(value: object) -> None:
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    sys.exit(main())
