"""Answer requests over HTTP: one or several bundles, by JSON or the Open Inference Protocol, with no torch where none is needed.

A model is called as its folder, or as its run where the folder is called bundle; NAME=PATH gives it another name. A bundle
is served only if its certificate passed and the runtime is one that was tried when the bundle was made. Requests go to
/v1/predict as {"inputs": ["a text"]}; /openapi.json describes all routes, /metrics is for Prometheus.

It listens on 127.0.0.1 and asks for no key there. For others, make keys first: --new-key prints one once, and the file
keeps its hash. Told to stop (SIGTERM, Ctrl-C), it finishes the requests that it has, and ends with exit code 0.

With --workers several processes answer, and one that dies is replaced. --feedback keeps the right labels that people give for
answers, --audit what admins do, and --mask-input takes personal numbers out of texts before a model reads them.

With --models an admin may exchange a model while it answers (POST /v1/admin/load), and take that back
(POST /v1/admin/rollback): no request fails meanwhile. POST /v1/admin/trial lets a version answer a share of the requests first.

Answers are compared with those that were usual when it was measured (see `tunewright monitor`), as sums that hold no text: the page
at / and /metrics show what is seen, and where answers differ, the log says so, and every address named with --alert: a webhook
(https://…), or e-mail and whatever else the package apprise knows (mailto://…). Addresses with passwords go into the variable
TUNEWRIGHT_ALERTS, separated by spaces.

Examples:

  tunewright serve runs/first

  tunewright serve intents=runs/first/bundle runs/faq --port 8080 --models runs

  tunewright serve --new-key predict --keys keys.json

  tunewright serve runs/first --host 0.0.0.0 --keys keys.json

  tunewright serve --new-key feedback --keys keys.json --key-name ann --quota requests/day=1000

  tunewright serve runs/first --workers 4 --feedback feedback.jsonl --audit audit.jsonl --mask-input

  tunewright serve runs/first --alert https://chat.example.org/hooks/models --monitor-window 1000
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from socket import socket
from typing import TYPE_CHECKING, Any

import typer

from tunewright.cli import output
from tunewright.core.errors import MachineError, UsageError
from tunewright.core.progress import Progress
from tunewright.monitor.watching import PAUSE, Watching
from tunewright.serve.keys import is_loopback
from tunewright.serve.limits import Limits

if TYPE_CHECKING:
    from tunewright.serve.start import Settings

BUNDLES = typer.Argument(None, metavar="BUNDLE...", help="Bundles, or the runs that hold them; or NAME=PATH.")
HOST = typer.Option("127.0.0.1", "--host", help="The address to listen on.")
PORT = typer.Option(8000, "--port", min=0, max=65535, help="The port; 0 takes a free one.")
KEYS = typer.Option(None, "--keys", metavar="FILE", help="Ask for keys, whose hashes this file holds.")
NEW_KEY = typer.Option(
    None, "--new-key", metavar="ROLE", help="Make a key (predict, feedback or admin), print it, and serve nothing."
)
KEY_NAME = typer.Option("", "--key-name", metavar="NAME", help="Whose the new key is: the audit log tells it.")
QUOTAS = typer.Option(
    [],
    "--quota",
    metavar="NAME=NUMBER",
    help="What the new key may ask for, as rows/day=1000: requests or rows, a minute or a day.",
)
JWT = typer.Option(None, "--jwt", metavar="FILE", help="Take tokens (JWT) of the issuer that this file names.")
NO_KEYS = typer.Option(False, "--no-keys", help="Let everyone who reaches the address ask.")
WORKERS = typer.Option(1, "--workers", min=1, max=64, help="Processes that answer, each with all models.")
MODELS = typer.Option(None, "--models", metavar="FOLDER", help="Where an admin may load bundles from.")
STATE = typer.Option(
    None, "--state", metavar="FOLDER", help="Keep counts of quotas and answers' ids here over a restart."
)
FEEDBACK = typer.Option(None, "--feedback", metavar="FILE", help="Add feedback on answers to this file.")
KEEP_TEXTS = typer.Option(False, "--keep-texts", help="Keep the texts with feedback, masked.")
AUDIT = typer.Option(None, "--audit", metavar="FILE", help="Add what admins do to this file.")
MASK_INPUT = typer.Option(
    False, "--mask-input", help="Mask e-mail addresses, phone, card and identity numbers before a model reads them."
)
MASK_ENTITIES = typer.Option(
    None, "--mask-entities", metavar="BUNDLE", help="Mask what this bundle finds as well, such as names."
)
RUNTIME = typer.Option(
    "auto",
    "--runtime",
    metavar="NAME",
    help="What computes: one of `tunewright list runtimes`. auto: the bundle's.",
)
QUEUE = typer.Option(Limits.waiting, "--queue", min=1, help="Requests that may wait for a model; others get 429.")
MAX_BYTES = typer.Option(Limits.body_bytes, "--max-bytes", min=1024, help="Bytes that a request may have.")
MAX_INPUTS = typer.Option(Limits.inputs, "--max-inputs", min=1, max=1024, help="Inputs that a request may have.")
MAX_CHARACTERS = typer.Option(Limits.characters, "--max-characters", min=1, help="Characters that an input may have.")
TIMEOUT = typer.Option(
    Limits.seconds, "--timeout", min=0.1, help="Seconds for a request to arrive, and to be answered."
)
GRACE = typer.Option(1.0, "--grace", min=0.0, help="Seconds between SIGTERM and the last new request.")
MONITOR_WINDOW = typer.Option(
    Watching.window, "--monitor-window", min=250, help="Answers that are compared with what is usual at a time."
)
MONITOR_LEVEL = typer.Option(
    Watching.level,
    "--monitor-level",
    min=1e-6,
    max=0.5,
    help="How often a window of unchanged answers may raise an alarm.",
)
NO_MONITOR = typer.Option(False, "--no-monitor", help="Do not look at answers.")
ALERT = typer.Option(
    [], "--alert", metavar="URL", envvar="TUNEWRIGHT_ALERTS", help="Where alarms are sent. May be repeated."
)
ALERT_PAUSE = typer.Option(
    PAUSE, "--alert-pause", min=0.0, help="Seconds after an alert in which a model raises no further one."
)
TRACES = typer.Option(False, "--traces", help="Send OpenTelemetry traces to where OTEL_EXPORTER_OTLP_ENDPOINT says.")
TLS_CERT = typer.Option(None, "--tls-cert", metavar="FILE", help="Serve HTTPS with this certificate.")
TLS_KEY = typer.Option(None, "--tls-key", metavar="FILE", help="The certificate's private key.")


def command(
    bundles: list[str] = BUNDLES,
    host: str = HOST,
    port: int = PORT,
    keys: Path = KEYS,
    new_key: str = NEW_KEY,
    key_name: str = KEY_NAME,
    quotas: list[str] = QUOTAS,
    jwt: Path = JWT,
    no_keys: bool = NO_KEYS,
    workers: int = WORKERS,
    models: Path = MODELS,
    state: Path = STATE,
    feedback: Path = FEEDBACK,
    keep_texts: bool = KEEP_TEXTS,
    audit: Path = AUDIT,
    mask_input: bool = MASK_INPUT,
    mask_entities: str = MASK_ENTITIES,
    runtime: str = RUNTIME,
    queue: int = QUEUE,
    max_bytes: int = MAX_BYTES,
    max_inputs: int = MAX_INPUTS,
    max_characters: int = MAX_CHARACTERS,
    timeout: float = TIMEOUT,
    grace: float = GRACE,
    monitor_window: int = MONITOR_WINDOW,
    monitor_level: float = MONITOR_LEVEL,
    no_monitor: bool = NO_MONITOR,
    alert: list[str] = ALERT,
    alert_pause: float = ALERT_PAUSE,
    traces: bool = TRACES,
    tls_cert: Path = TLS_CERT,
    tls_key: Path = TLS_KEY,
    quiet: bool = output.QUIET,
    json: bool = output.JSON,
) -> None:
    if new_key is not None:
        _make_key(new_key, keys, key_name, quotas, json)
        return
    _refuse_idle(key_name, quotas, keep_texts, feedback, alert if no_monitor else [])
    _refuse_unsafe(host, keys or jwt, no_keys)
    if not bundles:
        raise UsageError("Which bundle? Name one or several: tunewright serve runs/first.")
    if models is not None and not models.is_dir():
        raise UsageError(f"--models {models} is no folder.")
    tls = _tls(tls_cert, tls_key)
    limits = Limits(body_bytes=max_bytes, inputs=max_inputs, characters=max_characters, waiting=queue, seconds=timeout)
    settings_of, named = _libraries()
    settings = settings_of(
        bundles={name: str(path) for name, path in named(bundles).items()},
        runtime=runtime,
        limits=limits,
        **_texts(keys=keys, jwt=jwt, state=state, feedback=feedback, audit=audit, models=models),
        keep_texts=keep_texts,
        mask_input=mask_input,
        mask_entities=mask_entities,
        watching=None if no_monitor else Watching(window=monitor_window, level=monitor_level),
        alerts=alert,
        alert_pause=alert_pause,
        traces=traces,
        local=is_loopback(host),
        grace=grace,
        tls=tls,
    )
    _run(settings, workers, host, port, output.progress(quiet), json)


def _run(settings: Settings, workers: int, host: str, port: int, progress: Progress, json: bool) -> None:
    """Serve until told to stop, by this process or by several that it looks after."""
    from tunewright.serve import server, start

    def listens(listening: socket) -> Callable[[list[Any]], None]:
        name = f"[{host}]" if ":" in host else host
        url = f"{'https' if settings.tls else 'http'}://{name}:{listening.getsockname()[1]}"
        return lambda told: _started(url, told, progress, json)

    if workers > 1:
        from tunewright.serve.workers import Supervisor

        listening = server.bind(host, port)
        progress.say(f"{workers} workers open their models.")
        Supervisor(settings, workers, listening).run(listens(listening))
        return
    app, service = start.opened(settings, progress.say)
    listening = server.bind(host, port)
    told = [model.current.about() for model in service.repository.models.values()]
    started = listens(listening)
    server.run(app, service, listening, grace=settings.grace, started=lambda: started(told), **settings.tls)


def _started(url: str, told: list[Any], progress: Progress, json: bool) -> None:
    if json:
        output.emit({"url": url, "models": told})
        sys.stdout.flush()
    progress.say(f"Answering at {url}. Stop with Ctrl-C.")


def _texts(**paths: Path | None) -> dict[str, str | None]:
    return {name: None if path is None else str(path) for name, path in paths.items()}


def _libraries() -> tuple[type[Settings], Callable[[list[str]], dict[str, Path]]]:
    """What needs the extra `serve`: a server's settings, and how bundles are called."""
    try:
        from tunewright.serve import server  # noqa: F401  (that uvicorn is there)
        from tunewright.serve.repository import named
        from tunewright.serve.start import Settings
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("tunewright"):
            raise
        raise MachineError(f"`serve` needs the package {error.name}: pip install 'tunewright[serve]'.") from None
    return Settings, named


def _refuse_idle(key_name: str, quotas: list[str], keep_texts: bool, feedback: Path | None, unheard: list[str]) -> None:
    """Raise UsageError for options that would change nothing. unheard: addresses of alerts that nobody raises."""
    if unheard:
        raise UsageError("--alert needs the monitor: leave out --no-monitor.")
    if key_name or quotas:
        raise UsageError("--key-name and --quota belong to --new-key ROLE, which makes a key.")
    if keep_texts and feedback is None:
        raise UsageError("--keep-texts belongs to --feedback FILE.")


def _refuse_unsafe(host: str, keys: Path | None, no_keys: bool) -> None:
    if keys is not None and no_keys:
        raise UsageError("--keys (or --jwt) and --no-keys contradict each other. Leave one out.")
    if keys is None and not no_keys and not is_loopback(host):
        raise UsageError(
            f"--host {host} is reached from other machines, and everyone there could ask. Name a file of keys with --keys "
            "(tunewright serve --new-key predict --keys keys.json makes one), or say --no-keys."
        )


def _make_key(role: str, file: Path | None, name: str, quotas: list[str], json: bool) -> None:
    from tunewright.serve import quota
    from tunewright.serve.keys import new_key

    if file is None:
        raise UsageError("Where shall the key's hash be kept? Name a file: --new-key predict --keys keys.json.")
    key, stored = new_key(file, role, name, quota.parse(quotas))
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
