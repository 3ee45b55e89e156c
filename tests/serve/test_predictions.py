"""Requests for answers: what they give, and what is said of those that are not as they must be."""

from __future__ import annotations

import asyncio
import json

import httpx2
import pytest

from tunewright.predict.predictor import load

TEXTS = ["i lost my card", "我要音乐", "is it hot today"]


@pytest.fixture
def server(client):
    return client()


def lines(answer) -> list[dict]:
    return [json.loads(line) for line in answer.text.splitlines()]


def test_answers_are_those_of_predict_with_the_models_name_and_version(server, tiny_bundle):
    said = server.post("/v1/predict", json={"inputs": TEXTS, "all_scores": True}).json()
    expected = load(tiny_bundle).predict(TEXTS)
    assert said["model"] == "intents"
    assert said["version"] == json.loads((tiny_bundle / "bundle.json").read_text())["digest"][:12]
    for answer, prediction in zip(said["predictions"], expected, strict=True):
        assert (answer["label"], answer["decision"]) == (prediction.value, "model")
        assert answer["score"] == pytest.approx(prediction.score, abs=1e-5)
        assert answer["scores"] == pytest.approx(prediction.scores, abs=1e-5)


def test_a_text_and_an_object_with_its_role_are_the_same_input(server):
    said = server.post("/v1/predict", json={"inputs": [TEXTS[0], {"text": TEXTS[0]}]}).json()["predictions"]
    assert said[0] == said[1]
    assert "scores" not in said[0]


def test_no_inputs_give_no_answers(server):
    assert server.post("/v1/predict", json={"inputs": []}).json()["predictions"] == []


def test_an_input_that_cannot_be_answered_stays_in_its_place_with_the_reason(server):
    body = json.dumps({"inputs": ["  ", TEXTS[0], "a\ud800b", "nul \x00 inside"]})
    answer = server.post("/v1/predict", content=body)
    empty, good, garbled, nul = answer.json()["predictions"]
    assert answer.status_code == 200
    assert (empty["decision"], empty["label"], empty["error"]) == ("error", None, "Input 0: text is empty.")
    assert garbled["error"] == "Input 2 holds characters that are no Unicode text (lone surrogates)."
    assert good["decision"] == nul["decision"] == "model"


@pytest.mark.parametrize(
    ("body", "status", "code", "message"),
    [
        ("{broken", 400, "invalid_json", "The body is no valid JSON at character 2"),
        (b"\xff\xfe", 400, "invalid_json", "The body is no UTF-8."),
        ('{"inputs": [NaN]}', 400, "invalid_json", "The body is no valid JSON."),
        ('{"inputs": [' + "9" * 6000 + "]}", 400, "invalid_json", "The body is no valid JSON."),
        ("[" * 100_000, 400, "too_deep", "The JSON is nested more than 16 levels deep."),
        ("[" * 20 + "]" * 20, 400, "too_deep", "The JSON is nested more than 16 levels deep."),
        ("[]", 422, "invalid", "The request must be a JSON object with inputs, model, version, all_scores."),
        ("{}", 422, "invalid", '"inputs" must be a list, as {"inputs": ["a text"]}.'),
        ('{"inputs": "a"}', 422, "invalid", '"inputs" must be a list'),
        ('{"input": ["a"]}', 422, "unknown_field", "unknown field 'input'. Did you mean 'inputs'?"),
        ('{"inputs": ["a"], "model": 3}', 422, "invalid", '"model" must be a text.'),
        ('{"inputs": ["a"], "all_scores": "yes"}', 422, "invalid", '"all_scores" must be true or false.'),
        ('{"inputs": [7]}', 422, "invalid", "Input 0 must be a text, or a mapping with text; it is 7."),
        ('{"inputs": ["a", {"txt": "b"}]}', 422, "unknown_field", "unknown field 'txt'. Did you mean 'text'?"),
        ('{"inputs": [{"text": ["b"]}]}', 422, "invalid", "Input 0: text must be a text; it is ['b']."),
        ('{"inputs": [{"text": 7}]}', 422, "invalid", "Input 0: text must be a text; it is 7."),
        ('{"inputs": [{"text": null}]}', 422, "invalid", "Input 0 must be a text, or a mapping with text"),
        ('{"inputs": ["a"], "model": "intent"}', 404, "no_such_model", "There is no model 'intent'. Did you mean 'intents'?"),
        ('{"inputs": ["a"], "model": "../x\\u0000"}', 404, "no_such_model", "Models: intents."),
        ('{"inputs": ["a"], "version": "old"}', 404, "no_such_version", "intents has no version 'old' here. Open: "),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_request_is_said(server, body, status, code, message):
    answer = server.post("/v1/predict", content=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, code)
    assert message in error["message"]


def test_a_hundred_thousand_fields_are_one_message(server):
    body = json.dumps({"inputs": ["a"], **{f"field{n}": n for n in range(100_000)}})
    answer = server.post("/v1/predict", content=body)
    assert answer.status_code == 422 and len(answer.content) < 500


def test_a_request_for_one_of_several_models_must_say_which(client):
    server = client(names=("intents", "other"))
    assert server.post("/v1/predict", json={"inputs": ["a"]}).json()["error"]["message"] == (
        'Name the model: "model" is one of intents, other.'
    )
    assert server.post("/v1/predict", json={"model": "other", "inputs": ["a"]}).json()["model"] == "other"
    assert [model["name"] for model in server.get("/v1/models").json()["models"]] == ["intents", "other"]


def test_a_request_has_its_bounds(client):
    server = client(body_bytes=2000, inputs=3, characters=100)

    def error(**asked) -> tuple[int, str]:
        answer = server.post("/v1/predict", **asked)
        return answer.status_code, answer.json()["error"]["message"]

    assert error(content=b" " * 2001) == (
        413,
        "A request may have 2,000 bytes. Send several, or use /v1/predict/stream.",
    )
    assert error(content=iter([b" " * 1500, b" " * 1500]))[0] == 413  # without a stated length
    assert error(json={"inputs": ["a"] * 4})[1].startswith("4 inputs: a request may have 3.")
    assert error(json={"inputs": ["a", "b" * 101]}) == (
        413,
        "Input 1 has 101 characters: an input may have 100.",
    )
    assert server.post("/v1/predict", json={"inputs": ["b" * 100] * 3}).status_code == 200


def test_a_body_that_is_said_to_be_too_large_is_refused_before_it_comes(client):
    async def ask():
        async def body():
            await asyncio.sleep(60)
            yield b""

        transport = httpx2.ASGITransport(client().app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as session:
            return await session.post("/v1/predict", content=body(), headers={"Content-Length": str(5 << 20)})

    assert asyncio.run(ask()).status_code == 413


def test_a_stream_of_lines_is_answered_line_by_line(server):
    body = "\n".join([json.dumps(TEXTS[0]), "", "{broken", json.dumps({"text": TEXTS[1]}), '{"txt": 1}'])
    said = lines(server.post("/v1/predict/stream", content=body.encode()))
    assert [one["line"] for one in said] == [1, 2, 3, 4]
    assert [one["decision"] for one in said] == ["model", "error", "model", "error"]
    assert "The body is no valid JSON" in said[1]["error"]
    assert "Did you mean 'text'?" in said[3]["error"]
    one_by_one = server.post("/v1/predict", json={"inputs": TEXTS[:2]}).json()["predictions"]
    assert [said[0]["label"], said[2]["label"]] == [answer["label"] for answer in one_by_one]


def test_a_stream_may_be_longer_than_a_request_and_a_line_may_not(client):
    server = client(body_bytes=2000, inputs=64)
    many = [json.dumps(TEXTS[0]).encode() + b"\n"] * 300
    said = lines(server.post("/v1/predict/stream", content=iter([*many, b'"' + b"x" * 3000, b'"\n', many[0]])))
    assert len(said) == 302
    assert [one["line"] for one in said if one["decision"] == "error"] == [301]
    assert said[300]["error"] == "A line may have 2,000 bytes."


def test_a_stream_for_a_model_that_is_not_there_is_refused_at_once(server):
    assert server.post("/v1/predict/stream?model=intent", content=b'"a"').status_code == 404


def test_the_open_api_page_names_every_route_and_what_it_takes(server):
    page = server.get("/openapi.json").json()
    assert {"/v1/predict", "/v1/predict/stream", "/v1/models", "/v2/models/{name}/infer", "/metrics"} <= set(
        page["paths"]
    )
    schema = page["paths"]["/v1/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert schema["required"] == ["inputs"]
    failed = {path: page["paths"][path]["post"]["responses"] for path in ("/v1/predict", "/v2/models/{name}/infer")}
    forms = {path: found["4XX"]["content"]["application/json"]["schema"] for path, found in failed.items()}
    assert forms["/v1/predict"]["properties"]["error"]["type"] == "object"
    assert forms["/v2/models/{name}/infer"]["properties"]["error"]["type"] == "string"
    assert failed["/v1/predict"]["422"]["content"]["application/json"]["schema"] == forms["/v1/predict"]


def test_unknown_routes_and_methods_are_errors_in_json(server):
    assert server.get("/v1/nothing").json() == {"error": {"message": "Not Found.", "code": "http"}}
    assert server.get("/v1/predict").status_code == 405
    assert server.get("/v1/models/", follow_redirects=False).status_code == 404


def test_metrics_count_without_a_text(server):
    server.post("/v1/predict", json={"inputs": [TEXTS[0], " "]})
    server.post("/v1/predict", json={"secret": TEXTS[0]})
    server.get("/private/path")
    text = server.get("/metrics").text
    assert 'tunewright_request_seconds_count{method="POST",route="/v1/predict",status="200"} 1.0' in text
    assert 'tunewright_decisions_total{decision="error",model="intents"} 1.0' in text
    assert 'tunewright_decisions_total{decision="model",model="intents"} 1.0' in text
    assert 'tunewright_batch_size_sum{model="intents"} 1.0' in text
    assert 'tunewright_confidence_count{model="intents"} 1.0' in text
    assert 'tunewright_queue_depth{model="intents"} 0.0' in text
    assert 'tunewright_refused_total{code="unknown_field"} 1.0' in text
    assert TEXTS[0] not in text and "secret" not in text and "private" not in text
