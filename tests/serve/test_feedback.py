"""Feedback: for answers that were given, with labels that can be, by those who may, and without texts unless they are meant."""

from __future__ import annotations

import json
import shutil

import pytest

from tunewright.serve.keys import new_key

TEXT = "i lost my card, call 13812345678"


@pytest.fixture
def file(tmp_path):
    return tmp_path / "feedback.jsonl"


def lines(file):
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def asked(server, *texts, model="intents", **headers):
    said = server.post("/v1/predict", json={"model": model, "inputs": list(texts)}, headers=headers).json()
    return said["predictions"]


def give(server, id, label, name="intents", **headers):
    body = json.dumps({"id": id, "label": label})
    return server.post(f"/v1/models/{name}/feedback", content=body, headers=headers)


def test_the_right_label_is_kept_with_what_was_answered_and_no_text(client, file):
    server = client(feedback=file)
    first, second = asked(server, TEXT, "play a song")
    assert give(server, first["id"], "weather").json() == {"id": first["id"], "label": "weather"}
    assert give(server, second["id"], "music").status_code == 200
    one, other = lines(file)
    assert one["label"] == "weather" and one["feedback"]["said"] == [first["label"]]
    assert one["feedback"]["score"] == pytest.approx(first["score"], abs=1e-6)
    version = server.get("/v1/models").json()["models"][0]["version"]
    assert (one["feedback"]["model"], one["feedback"]["version"]) == ("intents", version)
    assert "text" not in one and "lost" not in file.read_text()
    assert other["feedback"]["id"] == second["id"] and first["id"] != second["id"]
    assert (file.stat().st_mode & 0o077) == 0


def test_told_to_it_keeps_texts_masked_as_rows_that_can_be_trained_on(client, file):
    from tunewright.core import catalog

    server = client(feedback=file, texts=True)
    [one] = asked(server, TEXT)
    give(server, one["id"], "card")
    [row] = lines(file)
    assert row["text"] == "i lost my card, call [PHONE]" and "138" not in file.read_text()
    inputs, label = catalog.create("tasks", "text_classification").read(row)
    assert (inputs, label) == ({"text": row["text"]}, "card")


def test_a_streams_answers_have_ids_too_and_without_feedback_none_has(client, file):
    server = client(feedback=file)
    said = [json.loads(one) for one in server.post("/v1/predict/stream", content='"a"\n"b"').text.splitlines()]
    assert give(server, said[1]["id"], "card").status_code == 200
    assert "id" not in asked(client(), "a")[0]
    refused = give(client(), "x.0", "card")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "no_feedback")


def test_a_search_takes_any_of_its_documents(client, file, search_bundle):
    server = client(bundles={"faq": search_bundle}, feedback=file)
    [one] = asked(server, "lost card", model="faq")
    assert give(server, one["id"], "missing phone", "faq").status_code == 200
    assert give(server, one["id"], "missing nothing", "faq").status_code == 422
    [row] = lines(file)
    assert row["document"] == "missing phone"


ODD = ["card2", "", None, 7, True, [], ["card", "music"], {}, {"label": "card"}, "\x00", "\ud800", "<script>", "x" * 20_000, [[["card"]]], ["card"] * 5000]  # fmt: skip


@pytest.mark.parametrize("label", ODD)
def test_a_label_that_the_model_does_not_have_is_refused_and_nothing_is_kept(client, file, label):
    server = client(feedback=file)
    [one] = asked(server, "a")
    answer = give(server, one["id"], label)
    assert answer.status_code == 422 and len(answer.json()["error"]["message"]) < 500
    assert not file.exists()


@pytest.mark.parametrize("id", ["", "x", ".", "x.0", ".0", "{}.1", "{}.-1", "{}.²", "{}." + "9" * 50, "{}.0.0", "\x00", "\ud800.0", "{}", "../../etc.0", "' OR 1=1 --.0"])  # fmt: skip
def test_an_answer_that_was_not_given_is_none(client, file, id):
    server = client(feedback=file, names=("intents", "other"))
    [one] = asked(server, "a")
    whole = one["id"].rpartition(".")[0]
    answer = give(server, id.replace("{}", whole), "card")
    assert answer.status_code == 404 and not file.exists()
    assert give(server, one["id"], "card", "other").status_code == 404
    assert give(server, one["id"], "card", "none").json()["error"]["code"] == "no_such_model"


def test_a_row_that_had_no_answer_has_none_to_correct(client, file):
    server = client(feedback=file)
    [one] = asked(server, "  ")
    assert give(server, one["id"], "card").status_code == 404


@pytest.mark.parametrize("body", ["[]", "7", '"x"', "{}", '{"id": 7, "label": "card"}', '{"id": "x.0"}', '{"id": "x.0", "label": "card", "text": "a"}', "{", ""])  # fmt: skip
def test_what_is_no_feedback_is_said(client, file, body):
    answer = client(feedback=file).post("/v1/models/intents/feedback", content=body)
    assert 400 <= answer.status_code < 500


def test_only_those_who_may_give_feedback(client, file, tmp_path):
    keys = {role: new_key(tmp_path / "keys.json", role, f"{role}-team")[0] for role in ("predict", "feedback", "admin")}
    server = client(feedback=file, keys=tmp_path / "keys.json")
    [one] = asked(server, "a", Authorization=f"Bearer {keys['predict']}")
    status = {role: give(server, one["id"], "card", **{"X-API-Key": key}).status_code for role, key in keys.items()}
    assert status == {"predict": 403, "feedback": 200, "admin": 200}
    assert [row["feedback"]["by"] for row in lines(file)] == ["feedback-team", "admin-team"]
    refused = server.post("/v1/predict", json={"inputs": ["a"]}, headers={"X-API-Key": keys["feedback"]})
    assert refused.json()["error"]["message"] == "This key has the role feedback; predict is needed."
    for path in ("/v1/admin/rollback", "/v1/admin/models/intents/feedback"):
        assert server.post(path, json={}, headers={"X-API-Key": keys["feedback"]}).status_code == 403


def test_open_to_others_without_keys_nobody_gives_feedback(client, file):
    server = client(feedback=file, local=False)
    [one] = asked(server, "a")
    assert give(server, one["id"], "card").json()["error"]["code"] == "feedback"


def test_a_file_that_cannot_be_written_is_said_and_a_torn_line_spoils_no_other(client, file, tmp_path):
    (tmp_path / "kept").mkdir()
    server = client(feedback=tmp_path / "kept/f.jsonl")
    [one] = asked(server, "a")
    shutil.rmtree(tmp_path / "kept")
    assert (give(server, one["id"], "card").status_code) == 503
    file.write_text('{"label": "ca')
    server = client(feedback=file)
    [one] = asked(server, "a")
    give(server, one["id"], "card")
    assert json.loads(file.read_text().splitlines()[1])["label"] == "card"
