"""Answer requests over HTTP: one or several bundles, by JSON or the Open Inference Protocol, with no torch where none is needed.

A model is called as its folder, or as its run where the folder is called bundle; NAME=PATH gives it another name. A bundle
is served only if its certificate passed and the runtime is one that was tried when the bundle was made. Requests go to
/v1/predict as {"inputs": ["a text"]}; /openapi.json describes all routes, /metrics is for Prometheus.

It listens on 127.0.0.1 and asks for no key there. For others, make keys first: --new-key prints one once, and the file
keeps its hash. Told to stop (SIGTERM, Ctrl-C), it finishes the requests that it has, and ends with exit code 0.

With --models an admin may exchange a model while it answers (POST /v1/admin/load), and take that back
(POST /v1/admin/rollback): no request fails meanwhile.

Answers are compared with those that were usual on validation (see `tunewright monitor`), as sums that hold no text: the page
at / and /metrics show what is seen, and where answers differ, the log says so, and every address named with --alert: a webhook
(https://…), or e-mail and whatever else the package apprise knows (mailto://…). Addresses with passwords go into the variable
TUNEWRIGHT_ALERTS, separated by spaces.

Examples:

  tunewright serve runs/first

  tunewright serve intents=runs/first/bundle runs/faq --port 8080 --models runs

  tunewright serve --new-key predict --keys keys.json

  tunewright serve runs/first --host 0.0.0.0 --keys keys.json

  tunewright serve runs/first --alert https://chat.example.org/hooks/models --monitor-window 1000
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import typer

from tunewright.cli import output
from tunewright.core.errors import MachineError, UsageError
from tunewright.core.progress import Progress
from tunewright.monitor.watching import Watching
from tunewright.serve.keys import is_loopback
from tunewright.serve.limits import Limits

if TYPE_CHECKING:
    from tunewright.serve.metrics import Metrics
    from tunewright.serve.service import Service
    from tunewright.serve.watch import Watch

CLOSING = 5.0  # seconds for what is still to be looked at, and again for what is to be sent


def command(
    bundles: list[str] = typer.Argument(
        None, metavar="BUNDLE...", help="Bundles, or the runs that hold them; or NAME=PATH."
    ),
    host: str = typer.Option("127.0.0.1", "--host", help="The address to listen on."),
    port: int = typer.Option(8000, "--port", min=0, max=65535, help="The port; 0 takes a free one."),
    keys: Path = typer.Option(None, "--keys", metavar="FILE", help="Ask for keys, whose hashes this file holds."),
    new_key: str = typer.Option(
        None, "--new-key", metavar="ROLE", help="Make a key (predict or admin), print it, and serve nothing."
    ),
    no_keys: bool = typer.Option(False, "--no-keys", help="Let everyone who reaches the address ask."),
    models: Path = typer.Option(None, "--models", metavar="FOLDER", help="Where an admin may load bundles from."),
    runtime: str = typer.Option(
        "auto",
        "--runtime",
        metavar="NAME",
        help="What computes: one of `tunewright list runtimes`. auto: the bundle's.",
    ),
    queue: int = typer.Option(
        Limits.waiting, "--queue", min=1, help="Requests that may wait for a model; others get 429."
    ),
    max_bytes: int = typer.Option(Limits.body_bytes, "--max-bytes", min=1024, help="Bytes that a request may have."),
    max_inputs: int = typer.Option(
        Limits.inputs, "--max-inputs", min=1, max=1024, help="Inputs that a request may have."
    ),
    max_characters: int = typer.Option(
        Limits.characters, "--max-characters", min=1, help="Characters that an input may have."
    ),
    timeout: float = typer.Option(
        Limits.seconds, "--timeout", min=0.1, help="Seconds for a request to arrive, and to be answered."
    ),
    grace: float = typer.Option(1.0, "--grace", min=0.0, help="Seconds between SIGTERM and the last new request."),
    monitor_window: int = typer.Option(
        Watching.window, "--monitor-window", min=250, help="Answers that are compared with what is usual at a time."
    ),
    monitor_level: float = typer.Option(
        Watching.level,
        "--monitor-level",
        min=1e-6,
        max=0.5,
        help="How often a window of unchanged answers may raise an alarm.",
    ),
    no_monitor: bool = typer.Option(False, "--no-monitor", help="Do not look at answers."),
    alert: list[str] = typer.Option(
        None, "--alert", metavar="URL", envvar="TUNEWRIGHT_ALERTS", help="Where alarms are sent. May be repeated."
    ),
    alert_pause: float = typer.Option(
        3600.0, "--alert-pause", min=0.0, help="Seconds after an alert in which a model raises no further one."
    ),
    traces: bool = typer.Option(
        False, "--traces", help="Send OpenTelemetry traces to where OTEL_EXPORTER_OTLP_ENDPOINT says."
    ),
    tls_cert: Path = typer.Option(None, "--tls-cert", metavar="FILE", help="Serve HTTPS with this certificate."),
    tls_key: Path = typer.Option(None, "--tls-key", metavar="FILE", help="The certificate's private key."),
    quiet: bool = output.QUIET,
    json: bool = output.JSON,
) -> None:
    if new_key is not None:
        _make_key(new_key, keys, json)
        return
    _refuse_unsafe(host, keys, no_keys)
    if not bundles:
        raise UsageError("Which bundle? Name one or several: tunewright serve runs/first.")
    if models is not None and not models.is_dir():
        raise UsageError(f"--models {models} is no folder.")
    tls = _tls(tls_cert, tls_key)
    limits = Limits(body_bytes=max_bytes, inputs=max_inputs, characters=max_characters, waiting=queue, seconds=timeout)
    progress = output.progress(quiet)
    app, server = _libraries()
    if no_monitor and alert:
        raise UsageError("--alert needs the monitor: leave out --no-monitor.")
    stack = contextlib.ExitStack()
    watch = None if no_monitor else Watching(window=monitor_window, level=monitor_level)
    service = _opened(bundles, runtime, limits, keys, progress, watch, alert or (), alert_pause, traces, stack)
    listening = server.bind(host, port)
    url = f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"

    def started() -> None:
        if json:
            output.emit({"url": url, "models": [model.current.about() for model in service.repository.models.values()]})
            sys.stdout.flush()
        progress.say(f"Answering at {url}. Stop with Ctrl-C.")

    made = app.create_app(service, models=models, local=is_loopback(host))
    with stack:
        server.run(made, service, listening, grace=grace, started=started, **tls)


def _libraries() -> tuple[ModuleType, ModuleType]:
    """The modules that need the extra `serve`."""
    try:
        from tunewright.serve import app, server
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("tunewright"):
            raise
        raise MachineError(f"`serve` needs the package {error.name}: pip install 'tunewright[serve]'.") from None
    return app, server


def _opened(
    bundles: list[str],
    runtime: str,
    limits: Limits,
    keys: Path | None,
    progress: Progress,
    watching: Watching | None,
    alert: Sequence[str],
    pause: float,
    traced: bool,
    stack: contextlib.ExitStack,
) -> Service:
    """Every bundle open and certified, before the first request is taken. stack: gets what is to be closed at the end."""
    from tunewright.core import catalog
    from tunewright.serve.keys import Keys
    from tunewright.serve.metrics import Metrics
    from tunewright.serve.repository import Repository, named
    from tunewright.serve.service import Service
    from tunewright.serve.traces import Traces, by_environment

    known = None if keys is None else Keys(keys)
    metrics = Metrics()
    traces = by_environment() if traced else Traces()
    stack.callback(traces.close)
    repository = Repository(limits, runtime, metrics.batch, _watch(watching, alert, pause, metrics, stack))
    for name, path in named(bundles).items():
        version = repository.open(name, path)
        if version.predictor.note:
            progress.say(f"{name}: {version.predictor.note}")
        progress.say(f"{name}: version {version.id}, by {catalog.name_of(version.predictor.runtime)}.")
        repository.publish(version)
    return Service(repository, limits=limits, metrics=metrics, keys=known, traces=traces)


def _watch(
    watching: Watching | None, alert: Sequence[str], pause: float, metrics: Metrics, stack: contextlib.ExitStack
) -> Watch | None:
    """What looks at answers and tells of alarms; None: nobody does."""
    from tunewright.serve.alerts import Alerts
    from tunewright.serve.watch import Watch

    if watching is None:
        return None
    alerts = Alerts(alert, pause, metrics.alert)
    watch = Watch(watching, (metrics.alarm, alerts.alarm))
    stack.callback(alerts.close, CLOSING)
    stack.callback(watch.close, CLOSING)
    return watch


def _refuse_unsafe(host: str, keys: Path | None, no_keys: bool) -> None:
    if keys is not None and no_keys:
        raise UsageError("--keys and --no-keys contradict each other. Leave one out.")
    if keys is None and not no_keys and not is_loopback(host):
        raise UsageError(
            f"--host {host} is reached from other machines, and everyone there could ask. Name a file of keys with --keys "
            "(tunewright serve --new-key predict --keys keys.json makes one), or say --no-keys."
        )


def _make_key(role: str, file: Path | None, json: bool) -> None:
    from tunewright.serve.keys import new_key

    if file is None:
        raise UsageError("Where shall the key's hash be kept? Name a file: --new-key predict --keys keys.json.")
    key, stored = new_key(file, role)
    output.say(f"A key for the role {role}; {file} keeps its hash. It is not shown again:")
    output.emit({"key": key, "id": stored.id, "role": role}) if json else print(key)


def _tls(certificate: Path | None, key: Path | None) -> dict[str, Any]:
    """The options of HTTPS. Raises UsageError where one of the files is missing."""
    if certificate is None and key is None:
        return {}
    for option, file in (("--tls-cert", certificate), ("--tls-key", key)):
        if file is None or not file.is_file():
            raise UsageError(f"HTTPS needs --tls-cert and --tls-key, two files in PEM form; {option} is none.")
    _check_tls(certificate, key)  # type: ignore[arg-type]
    return {"ssl_certfile": str(certificate), "ssl_keyfile": str(key)}


def _check_tls(certificate: Path, key: Path) -> None:
    """Raise UsageError where OpenSSL cannot use the two."""
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise UsageError(
            f"--tls-cert {certificate} and --tls-key {key} are no certificate with its private key in PEM form, without a "
            f"password ({reason})."
        ) from None
