"""Every route that /openapi.json lists, with bodies and paths that nobody would think of: none meets a defect."""

from __future__ import annotations

import json
import urllib.parse

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

WORDS = ("intents", "faq", "second", "a", "card", "lost card", "canary", "float", "base64", "query", "label", "text")
TEXT = st.sampled_from(WORDS) | st.text(max_size=20) | st.sampled_from(["\x00", "\ud800", "../..", "<b>", "a" * 3000])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


def bodies(schema):
    """Objects with the fields of a request's form, each likely of its type and at times of any other; or any JSON."""
    names = list(schema.get("properties", {})) or ["x"]
    likely = st.fixed_dictionaries({}, optional={name: TEXT | st.lists(TEXT, max_size=3) | JSON for name in names})
    return likely | JSON


@pytest.fixture(scope="module")
def server(tiny_bundle, search_bundle, tmp_path_factory):
    from starlette.testclient import TestClient

    from tunewright.serve.start import Settings, opened

    from .test_repository import changed

    folder = tmp_path_factory.mktemp("fuzz")
    changed(tiny_bundle, folder / "second")
    bundles = {"intents": str(tiny_bundle), "faq": str(search_bundle)}
    app, service = opened(
        Settings(
            bundles,
            models=str(folder),
            feedback=str(folder / "feedback.jsonl"),
            keep_texts=True,
            audit=str(folder / "audit.jsonl"),
            mask_input=True,
        )
    )
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield client
    service.repository.close(10)


def _routes():
    """(method, path, form of the body) of every route; made from an application without models."""
    from tunewright.serve.app import create_app
    from tunewright.serve.limits import Limits
    from tunewright.serve.metrics import Metrics
    from tunewright.serve.repository import Repository
    from tunewright.serve.service import Service

    app = create_app(Service(Repository(Limits()), limits=Limits(), metrics=Metrics()))
    found = []
    for path, methods in app.openapi()["paths"].items():
        for method, about in methods.items():
            content = about.get("requestBody", {}).get("content", {})
            found.append((method.upper(), path, next(iter(content.values()), {}).get("schema", {})))
    return found


ROUTES = _routes()


def test_the_list_holds_every_route():
    paths = {path for _, path, _ in ROUTES}
    assert {"/v1/predict", "/v1/embeddings", "/v1/explain", "/v1/models/{name}/feedback", "/v1/admin/trial"} <= paths
    assert {"/v1/admin/promote", "/v1/admin/drop", "/v1/admin/models/{name}", "/v2/models/{name}/infer"} <= paths


@pytest.mark.parametrize(("method", "path", "schema"), ROUTES, ids=[f"{method} {path}" for method, path, _ in ROUTES])
def test_no_body_and_no_path_meets_a_defect(server, method, path, schema):
    @settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None)
    @given(value=bodies(schema), name=TEXT, version=TEXT)
    def attack(value, name, version):
        address = path.replace("{name}", urllib.parse.quote(name, safe="", errors="replace"))
        address = address.replace("{version}", urllib.parse.quote(version, safe="", errors="replace"))
        answer = server.request(method, address, content=json.dumps(value) if method == "POST" else None)
        assert answer.status_code < 500, (address, value)
        if answer.status_code >= 400:
            assert len(answer.text) < 2000 and answer.json()["error"]

    attack()
    assert server.post("/v1/predict", json={"model": "intents", "inputs": ["a"]}).status_code == 200
