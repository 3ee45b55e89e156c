"""What /openapi.json promises holds: schemathesis asks every route of a running server what its form allows and what it does
not. No answer is a defect, of another form or type, or of a status that is not written there; and none goes without a key."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from tunewright.serve.keys import new_key

SECONDS = 240  # for the whole attack, which takes about 40

# Most names, versions and folders are ones that are there: else every request would end where they are looked up.
# Whether one is there is no matter of a form, so what has the right form may still be refused (positive_data_acceptance).
CONFIG = """
[auth.openapi]
bearer = {{ bearer = "{key}" }}
header = {{ api_key = "{key}" }}

[checks]
positive_data_acceptance.enabled = false

[generation]
deterministic = true
max-examples = 40
no-shrink = true

[dictionaries]
names = {{ values = ["intents", "faq", "names", "intent"] }}
versions = {{ values = ["{version}", "none"] }}
folders = {{ values = ["second", "../second", "second/../second", "none", "\\u0000"] }}
texts = {{ values = ["card", "i lost my 银行卡", "PER", "call 13812345678"] }}

[parameters]
"path.name" = {{ dictionary = "names", probability = 0.8 }}
"query.model" = {{ dictionary = "names", probability = 0.8 }}
"body.name" = {{ dictionary = "names", probability = 0.8 }}
"body.model" = {{ dictionary = "names", probability = 0.8 }}
"path.version" = {{ dictionary = "versions", probability = 0.8 }}
"body.version" = {{ dictionary = "versions", probability = 0.8 }}
"body.path" = {{ dictionary = "folders", probability = 0.8 }}
"body.label" = {{ dictionary = "texts", probability = 0.8 }}
"body.inputs[*]" = {{ dictionary = "texts", probability = 0.8 }}

[[operations]]
include-path = "/v1/predict/stream"  # a line that cannot be answered is an answer with an error
checks = {{ negative_data_rejection.enabled = false }}
"""

# A request for each route that is answered, so that the form of an answer is looked at whatever else is drawn.
TENSOR = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["i lost my card"]}
ANSWERED = {
    "/v1/predict": {"model": "intents", "inputs": ["i lost my card"], "all_scores": True},
    "/v1/predict/stream": "i lost my card",
    "/v1/explain": {"model": "intents", "inputs": ["i lost my card", "我的卡"]},
    "/v1/embeddings": {"model": "faq", "input": ["lost card", "手机"]},
    "/v2/models/{name}/infer": {"id": "7", "inputs": [TENSOR]},
    "/v2/models/{name}/versions/{version}/infer": {"inputs": [TENSOR], "outputs": [{"name": "label"}]},
    "/v1/admin/load": {"name": "intents", "path": "second"},
    "/v1/admin/rollback": {"name": "intents"},
    "/v1/admin/trial": {"name": "names", "path": "other", "mode": "canary", "percent": 50},
}

# What schemathesis has to know of lines of JSON: a line is sent as one, and of an answer the first is looked at.
HOOKS = """
import json
import schemathesis

@schemathesis.serializer("application/x-ndjson")
def written(context, value):
    return json.dumps(value).encode()

@schemathesis.deserializer("application/x-ndjson")
def read(context, response):
    lines = response.content.splitlines() or [b'{"line": 1, "decision": "error"}']
    return json.loads(lines[0])
"""


def promised(server, key, version):
    """The server's own description, with a request that is answered at every route."""
    status, told = server.ask("GET", "/openapi.json", **{"X-API-Key": key})
    assert status == 200
    known = {"name": "intents", "version": version, "model": "intents"}
    for path, methods in told["paths"].items():
        for about in methods.values():
            for parameter in about.get("parameters", ()):
                if (name := parameter["name"]) in known:
                    parameter["example"] = known[name]
            for content in about.get("requestBody", {}).get("content", {}).values():
                if path in ANSWERED:
                    content["example"] = ANSWERED[path]
    return told


@pytest.mark.slow
def test_every_route_answers_as_its_form_says(program, tiny_bundle, search_bundle, names_bundle, tmp_path):
    from tunewright.core.bundle import open_bundle
    from tunewright.serve.repository import version_of

    from .test_repository import changed

    changed(tiny_bundle, tmp_path / "second")
    changed(names_bundle, tmp_path / "other")
    key, _ = new_key(tmp_path / "keys.json", "admin")
    options = {
        "keys": "keys.json",
        "models": ".",
        "feedback": "feedback.jsonl",
        "audit": "audit.jsonl",
        "state": "state",
    }
    given = [word for name, file in options.items() for word in (f"--{name}", tmp_path / file)]
    bundles = [f"intents={tiny_bundle}", f"faq={search_bundle}", f"names={names_bundle}"]
    server = program(*bundles, *given, "--keep-texts", "--mask-input")
    version = version_of(open_bundle(tiny_bundle))
    (tmp_path / "schemathesis.toml").write_text(CONFIG.format(key=key, version=version))
    (tmp_path / "openapi.json").write_text(json.dumps(promised(server, key, version)))
    (tmp_path / "hooks.py").write_text(HOOKS)
    attack = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", "run", "openapi.json", "--url", f"http://{server.host}"],
        cwd=tmp_path,
        env={**os.environ, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert attack.returncode == 0, attack.stdout + attack.stderr
    _, metrics = server.ask("GET", "/metrics", **{"X-API-Key": key})
    answered = re.findall(r'seconds_count{method="POST",route="([^"]+)",status="200"}', metrics)
    assert set(ANSWERED) <= set(answered)
