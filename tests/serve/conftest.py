"""Servers for tests: in this process, and as a program on a free port of this machine.

client:  function: client(**limits) gives a test client of a server in this process; `bundles` are its models by name.
light_bundle: a bundle that is served by our own kernels, without torch.
search_bundle: a bundle that searches (task matching), served by the like.
names_bundle: a bundle that finds things in requests (task token_classification), labelled PER.
program: function: program(*arguments) starts `tunewright serve` on a free port and waits until it answers; it is told to
         stop when the test ends, whatever happened. Gives a Program.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tunewright.core import catalog

SECONDS = 60  # for anything that a program does


@dataclass(frozen=True)
class Program:
    """A running server: its process, its address, and what it said when it was up."""

    process: subprocess.Popen
    host: str
    about: dict[str, Any]

    def ask(self, method: str, path: str, body: bytes | str | None = None, **headers: str) -> tuple[int, Any]:
        """Status and JSON (or text) of one request."""
        connection = http.client.HTTPConnection(self.host, timeout=SECONDS)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            text = answer.read().decode("utf-8")
            is_json = (
                "json" in answer.headers.get("content-type", "") and "ndjson" not in answer.headers["content-type"]
            )
            return answer.status, json.loads(text) if is_json else text
        finally:
            connection.close()

    def stop(self, sent: int = signal.SIGTERM) -> int:
        """Tell it to stop, and give its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(sent)
        return self.process.wait(SECONDS)


@pytest.fixture
def client(tiny_bundle):
    from starlette.testclient import TestClient

    from tunewright.serve.app import create_app
    from tunewright.serve.audit import Audit
    from tunewright.serve.feedback import Feedback
    from tunewright.serve.keys import Doors, Keys
    from tunewright.serve.limits import Limits
    from tunewright.serve.metrics import Metrics
    from tunewright.serve.repository import Repository
    from tunewright.serve.service import Service
    from tunewright.serve.store import Store
    from tunewright.serve.tokens import Tokens

    with ExitStack() as stack:

        def made(
            *,
            keys: Path | None = None,
            models: Path | None = None,
            local: bool = True,
            names=("intents",),
            bundles: dict[str, Path] | None = None,
            feedback: Path | None = None,
            texts: bool = False,
            audit: Path | None = None,
            jwt: Path | None = None,
            watch=None,
            traces=None,
            **limits: Any,
        ) -> TestClient:
            bounds, metrics = Limits(**limits), Metrics()
            repository = Repository(bounds, batch=metrics.batch, watch=watch)
            stack.callback(repository.close, 10)
            for name, bundle in (bundles or dict.fromkeys(names, tiny_bundle)).items():
                repository.publish(repository.open(name, bundle))
            doors = [*([Keys(keys)] if keys else []), *([Tokens(jwt)] if jwt else [])]
            store = Store()
            service = Service(
                repository,
                limits=bounds,
                metrics=metrics,
                keys=Doors(*doors) if doors else None,
                store=store,
                traces=traces,
                feedback=Feedback(store, feedback, texts) if feedback else None,
                audit=Audit(audit) if audit else None,
            )
            app = create_app(service, models=models, local=local)
            made = TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=True)
            made.service = service
            return made

        yield made


@pytest.fixture(scope="session")
def light_bundle(tmp_path_factory, train_tiny):
    folder = train_tiny(tmp_path_factory.mktemp("light") / "intents", predict__runtime="native") / "bundle"
    if missing := catalog.create("runtimes", "native").lacks(folder):
        pytest.skip(missing)
    return folder


@pytest.fixture(scope="session")
def taught(tmp_path_factory, tiny_backbone):
    """Function: taught(task, rows, **changes of the recipe's train) gives a bundle that has seen these rows."""
    from tunewright.core.recipe_file import from_mapping
    from tunewright.engine.local import train
    from tunewright.testing import materials

    def made(task: Any, rows: list[dict[str, Any]], runtime: str = "torch", **changes: Any) -> Path:
        folder = tmp_path_factory.mktemp("taught")
        recipe = {
            "task": task,
            "data": {"train": str(materials.write_rows(folder / "rows.jsonl", rows)), "leakage": "keep"},
            "model": {"backbone": str(tiny_backbone)},
            "train": {"batch_size": 8, "precision": "fp32", "threads": 1, **changes},
            "evaluate": {"resamples": 100, "baselines": []},
            "predict": {"runtime": runtime},
        }
        return train(from_mapping(recipe), out=folder / "run").run / "bundle"

    return made


@pytest.fixture(scope="session")
def search_bundle(taught):
    things = ("card", "phone", "银行卡", "手机", "music", "rain", "房间", "火车")
    rows = [{"query": f"lost {one} {n}", "document": f"missing {one}"} for one in things for n in range(6)]
    made = taught("matching", rows, runtime="native", epochs=1, learning_rate=2e-3)
    if missing := catalog.create("runtimes", "native").lacks(made):
        pytest.skip(missing)
    return made


@pytest.fixture(scope="session")
def names_bundle(taught):
    texts = [f"{before} {name} {after}" for before in ("i lost my", "play", "help") for name in ("card", "song", "music") for after in ("now", "today", "too", "really")]  # fmt: skip
    rows = [
        {"text": text, "spans": [{"start": text.index(name), "end": text.index(name) + len(name), "label": "PER"}]}
        for text in texts
        for name in ("card", "song", "music")
        if name in text
    ]
    return taught("token_classification", rows, epochs=12, learning_rate=5e-3)


@pytest.fixture
def program():
    with ExitStack() as stack:

        def started(*arguments: object) -> Program:
            command = [
                sys.executable,
                "-m",
                "tunewright.cli.main",
                "serve",
                *map(str, arguments),
                "--port",
                "0",
                "--json",
            ]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ))
            stack.callback(_end, process)
            line = process.stdout.readline()
            assert line, process.stderr.read().decode()
            about = json.loads(line)
            assert "error" not in about, about
            return Program(process, about["url"].partition("://")[2], about)

        yield started


def _end(process: subprocess.Popen) -> None:
    if process.poll() is None:
        process.kill()
    process.wait(SECONDS)
    process.stdout.close()
    process.stderr.close()
