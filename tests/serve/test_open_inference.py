"""The Open Inference Protocol, as its published requests have it."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest

from tunewright.serve.limits import RequestError
from tunewright.serve.open_inference import _strings

TEXTS = ["i lost my card", "我要音乐"]


@pytest.fixture
def server(client):
    return client()


def tensor(**changes):
    return {"name": "text", "shape": [2], "datatype": "BYTES", "data": TEXTS, **changes}


def test_the_server_and_its_models_describe_themselves(server):
    assert server.get("/v2").json()["name"] == "tunewright"
    assert server.get("/v2/health/live").json() == {"live": True}
    assert server.get("/v2/health/ready").json() == {"ready": True}
    about = server.get("/v2/models/intents").json()
    version = server.get("/v1/models").json()["models"][0]["version"]
    assert about["versions"] == [version]
    assert about["inputs"] == [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
    assert [output["name"] for output in about["outputs"]] == ["label", "score", "decision"]
    assert server.get(f"/v2/models/intents/versions/{version}").json() == about
    assert server.get(f"/v2/models/intents/versions/{version}/ready").json() == {"name": "intents", "ready": True}


@pytest.mark.parametrize(
    "changes", [{}, {"data": [[TEXTS[0]], [TEXTS[1]]], "shape": [2, 1]}, {"parameters": {"content_type": "str"}}]
)
def test_rows_of_texts_are_answered_as_by_our_own_route(server, changes):
    own = server.post("/v1/predict", json={"inputs": TEXTS}).json()
    said = server.post("/v2/models/intents/infer", json={"id": "42", "inputs": [tensor(**changes)]}).json()
    assert (said["model_name"], said["model_version"], said["id"]) == ("intents", own["version"], "42")
    outputs = {output["name"]: output for output in said["outputs"]}
    assert outputs["label"] == {
        "name": "label",
        "shape": [2],
        "datatype": "BYTES",
        "data": [answer["label"] for answer in own["predictions"]],
    }
    assert outputs["score"]["datatype"] == "FP64"
    assert outputs["score"]["data"] == pytest.approx([answer["score"] for answer in own["predictions"]], abs=1e-5)


def test_only_the_outputs_that_are_named_are_given(server):
    asked = {"inputs": [tensor()], "outputs": [{"name": "score"}]}
    assert [output["name"] for output in server.post("/v2/models/intents/infer", json=asked).json()["outputs"]] == [
        "score"
    ]


def test_tensors_may_follow_the_json_as_bytes(server):
    import json

    encoded = [text.encode() for text in TEXTS]
    tail = b"".join(struct.pack("<I", len(text)) + text for text in encoded)
    one = tensor(parameters={"binary_data_size": len(tail)})
    del one["data"]
    head = json.dumps({"inputs": [one]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    said = server.post("/v2/models/intents/infer", content=head + tail, headers=headers).json()
    plain = server.post("/v2/models/intents/infer", json={"inputs": [tensor()]}).json()
    assert said["outputs"][0] == plain["outputs"][0]
    cut = server.post("/v2/models/intents/infer", content=head + tail[:-3], headers=headers)
    assert cut.status_code == 422
    wrong = {"Inference-Header-Content-Length": "999999"}
    assert server.post("/v2/models/intents/infer", content=head + tail, headers=wrong).status_code == 422


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ([], '"inputs", a list of tensors'),
        ({"inputs": ["a"]}, 'Each of "inputs" must be an object'),
        ({"inputs": []}, "Give tensors of one length for the inputs text."),
        ({"inputs": [tensor(name="txt")]}, "There is no input 'txt'. Did you mean 'text'?"),
        ({"inputs": [tensor(datatype="BOOL")]}, "the datatype must be BYTES; it is 'BOOL'."),
        ({"inputs": [tensor(shape=[3])]}, "has 2 elements, and its shape says [3]."),
        ({"inputs": [tensor(shape=[-2])]}, '"shape" must be [rows] or [rows, 1].'),
        ({"inputs": [tensor(shape=[1, 2])]}, '"shape" must be [rows] or [rows, 1].'),
        ({"inputs": [tensor(shape="2")]}, '"shape" must be [rows] or [rows, 1].'),
        ({"inputs": [tensor(data=[1, 2], datatype="INT64")]}, "text must be a text; it is 1."),
        ({"inputs": [{"name": "text", "shape": [2], "datatype": "BYTES"}]}, "has no \"data\"."),
        ({"inputs": [tensor()], "outputs": [{"name": "lable"}]}, "There is no output 'lable'. Did you mean 'label'?"),
        ({"inputs": [tensor()], "outputs": 3}, '"outputs" must be a list'),
        ({"inputs": [tensor()], "id": 3}, '"id" must be a text.'),
    ],
)  # fmt: skip
def test_an_error_is_a_text_that_says_what_is_wrong(server, asked, message):
    answer = server.post("/v2/models/intents/infer", json=asked)
    assert answer.status_code == 422
    assert message in answer.json()["error"]


def test_a_model_or_version_that_is_not_there_is_an_error(server):
    assert server.get("/v2/models/intens").json() == {
        "error": "There is no model 'intens'. Did you mean 'intents'? Models: intents."
    }
    assert server.get("/v2/models/intents/versions/7").status_code == 404
    assert server.post("/v2/models/..%2f..%2fetc/infer", json={"inputs": []}).status_code == 404


def test_elements_of_bytes_are_read_one_behind_the_other_and_no_further():
    packed = b"".join(struct.pack("<I", len(one)) + one for one in (b"", "我".encode(), b"", b"ab"))
    assert list(_strings(packed, "text")) == ["", "我", "", "ab"]
    for broken in (packed[:-1], packed + b"\x01", packed + struct.pack("<I", 9)):
        with pytest.raises(RequestError, match="end within an element"):
            list(_strings(broken, "text"))


def test_an_answer_has_an_id_for_feedback_where_that_is_kept_and_the_callers_own_stays(client, server, tmp_path):
    kept = client(feedback=tmp_path / "feedback.jsonl")
    asked = {"id": "mine", "inputs": [tensor()], "outputs": [{"name": "label"}]}
    said = kept.post("/v2/models/intents/infer", json=asked).json()
    id = said["parameters"]["feedback_id"]
    assert said["id"] == "mine" and said["parameters"] == {"feedback_id": id}
    for row, status in ((0, 200), (1, 200), (2, 404)):
        given = kept.post("/v1/models/intents/feedback", json={"id": f"{id}.{row}", "label": "card"})
        assert given.status_code == status
    lines = [json.loads(line) for line in (tmp_path / "feedback.jsonl").read_text().splitlines()]
    assert [[one] for one in said["outputs"][0]["data"]] == [line["feedback"]["said"] for line in lines]
    assert "parameters" not in server.post("/v2/models/intents/infer", json=asked).json()


def test_the_protocols_own_client_reads_answers_and_their_id(program, tiny_bundle, tmp_path):
    from tritonclient import http

    server = program(f"intents={tiny_bundle}", "--feedback", tmp_path / "feedback.jsonl")
    asking = http.InferenceServerClient(server.host)
    try:
        assert asking.is_server_ready() and asking.is_model_ready("intents")
        assert asking.get_model_metadata("intents")["inputs"][0]["datatype"] == "BYTES"
        for binary in (True, False):
            texts = http.InferInput("text", [2], "BYTES")
            texts.set_data_from_numpy(np.array(TEXTS, dtype=object), binary_data=binary)
            label = http.InferRequestedOutput("label", binary_data=binary)
            for outputs in (None, [label]):
                said = asking.infer("intents", [texts], outputs=outputs, request_id="7")
                own = server.ask("POST", "/v1/predict", json.dumps({"inputs": TEXTS}))[1]["predictions"]
                assert said.as_numpy("label").tolist() == [one["label"] for one in own]
                about = said.get_response()
                assert about["id"] == "7"
                body = json.dumps({"id": about["parameters"]["feedback_id"] + ".1", "label": "music"})
                assert server.ask("POST", "/v1/models/intents/feedback", body)[0] == 200
    finally:
        asking.close()
