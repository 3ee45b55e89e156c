"""Vectors by OpenAI's route: those that the search itself compares, in both its forms; and what is wrong, in its words."""

from __future__ import annotations

import base64
import json
import subprocess
import sys

import numpy as np
import pytest

from tunewright.core.errors import BundleError
from tunewright.core.linear import SHARPNESS
from tunewright.predict.features import Embedder
from tunewright.predict.predictor import Predictor, load

QUERIES = ["lost card 1", "银行卡丢了", "i want " * 60]


@pytest.mark.parametrize("runtime", ["torch", "native", "onnx", "openvino"])
def test_the_cosines_of_vectors_are_what_the_search_goes_by(search_bundle, runtime):
    predictor = load(search_bundle, runtime)
    embedder = Embedder(predictor)
    queries = [embedder.query(one) for one in QUERIES]
    documents = [embedder.document(one) for one in predictor.labels]
    found = embedder([*queries, *documents])
    vectors = np.stack([one.vector for one in found])
    assert vectors.dtype == np.float32 and np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    cosines = vectors[: len(queries)] @ vectors[len(queries) :].T
    logits = np.stack([one.logits for one in predictor.infer(queries)])
    exact = predictor.runtime.exact
    assert np.abs(SHARPNESS * cosines - logits)[:2].max() < (2e-3 if exact else 0.05 * SHARPNESS)
    assert all(one.tokens > 0 for one in found)


def test_a_bundle_that_does_not_search_has_no_vectors(tiny_bundle):
    with pytest.raises(BundleError, match="does not search"):
        Embedder(Predictor(load(tiny_bundle).bundle))


@pytest.fixture
def server(client, search_bundle, tiny_bundle):
    return client(bundles={"faq": search_bundle, "intents": tiny_bundle})


def ask(server, **asked):
    return server.post("/v1/embeddings", content=json.dumps({"model": "faq", **asked}))


def test_a_list_and_a_text_in_floats_and_in_base64_are_the_same_vectors(server):
    said = ask(server, input=QUERIES[:2]).json()
    assert (said["object"], said["model"]) == ("list", "faq")
    assert [(one["object"], one["index"]) for one in said["data"]] == [("embedding", 0), ("embedding", 1)]
    assert said["usage"]["prompt_tokens"] == said["usage"]["total_tokens"] > 0
    alone = ask(server, input=QUERIES[0]).json()["data"]
    assert len(alone) == 1 and alone[0]["embedding"] == said["data"][0]["embedding"]
    null = dict.fromkeys(("encoding_format", "dimensions", "user", "input_type"))
    assert ask(server, input=QUERIES[0], **null).json()["data"] == alone
    coded = ask(server, input=QUERIES[:2], encoding_format="base64").json()["data"]
    for one, other in zip(said["data"], coded, strict=True):
        assert np.frombuffer(base64.b64decode(other["embedding"]), "<f4").tolist() == one["embedding"]


def test_predicting_goes_on_beside_and_both_end_with_the_server(server):
    assert ask(server, input="a").status_code == 200
    assert server.post("/v1/predict", json={"model": "faq", "inputs": ["a"]}).status_code == 200
    version = server.service.repository.models["faq"].current
    version.close()
    assert ask(server, input="a").status_code == 503
    version.vectors._opened[1].join(10)
    assert not version.vectors._opened[1]._thread.is_alive()


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        ({}, 400, '"input" must be a text, or a list of texts'),
        ({"input": []}, 400, "one at least"),
        ({"input": [[1, 2]]}, 400, "takes no tokens"),
        ({"input": [1, 2]}, 400, "takes no tokens"),
        ({"input": {"a": 1}}, 400, '"input" must be'),
        ({"input": ["a", None]}, 400, '"input" must be'),
        ({"input": ""}, 400, "Input 0: query is empty."),
        ({"input": "\ud800"}, 400, "no Unicode text"),
        ({"input": "a", "model": "none"}, 404, "There is no model 'none'"),
        ({"input": "a", "model": None}, 400, '"model" must be a text'),
        ({"input": "a", "model": ["faq"]}, 400, '"model" must be a text'),
        ({"input": "a", "model": "intents"}, 400, "does not search"),
        ({"input": "a", "encoding_format": "int8"}, 400, "must be float or base64; it is 'int8'"),
        ({"input": "a", "encoding_format": {}}, 400, "must be float or base64"),
        ({"input": "a", "input_type": "passage"}, 400, "must be query or document"),
        ({"input": "a", "dimensions": 16}, 400, "vectors have 32, and are not cut"),
        ({"input": "a", "dimensions": True}, 400, "not cut"),
        ({"input": "a", "user": 1}, 400, '"user" must be a text'),
        ({"input": "a", "<b>": 1}, 400, "unknown field"),
        ({"input": ["a"] * 300}, 413, "a request may have 256"),
        ({"input": "a" * 100_001}, 413, "an input may have 100,000"),
    ],
)
def test_what_is_wrong_is_said_in_openais_form(server, asked, status, said):
    answer = ask(server, **asked)
    error = answer.json()["error"]
    assert answer.status_code == status and said in error["message"]
    assert set(error) == {"message", "type", "param", "code"} and error["type"] == "invalid_request_error"


def test_without_a_key_the_error_is_openais_too(client, tmp_path, search_bundle):
    from tunewright.serve.keys import new_key

    new_key(tmp_path / "keys.json", "predict")
    error = ask(client(keys=tmp_path / "keys.json", bundles={"faq": search_bundle}), input="a").json()["error"]
    assert (error["type"], error["code"]) == ("authentication_error", "no_key")


def test_vectors_need_no_torch(search_bundle):
    script = f"""
import sys
from tunewright.predict.features import Embedder
from tunewright.predict.predictor import load
embedder = Embedder(load({str(search_bundle)!r}, "native"))
assert embedder([embedder.query("a")])[0].vector.shape == (32,)
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


def test_openais_own_client_reads_it(program, search_bundle):
    openai = pytest.importorskip("openai")
    server = program(f"faq={search_bundle}")
    client = openai.OpenAI(base_url=f"{server.about['url']}/v1", api_key="none")
    coded = client.embeddings.create(model="faq", input=QUERIES[:2])
    plain = client.embeddings.create(model="faq", input=QUERIES[:2], encoding_format="float")
    assert [one.embedding for one in coded.data] == [one.embedding for one in plain.data]
    assert coded.usage.total_tokens == plain.usage.total_tokens
    with pytest.raises(openai.NotFoundError, match="There is no model"):
        client.embeddings.create(model="none", input="a")
    with pytest.raises(openai.BadRequestError, match="unknown field"):
        client.embeddings.create(model="faq", input="a", extra_body={"nothing": 1})
