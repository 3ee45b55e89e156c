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


# ------------------------------------------------------------------------------------------- models with several targets

SPANS = [{"start": 0, "end": 4, "label": "PER"}]


@pytest.fixture(scope="session")
def several_rows():
    return [
        {"text": f"{name} {verb} rome {n}", "label": label, "spans": SPANS}
        for name in ("mary", "john", "anna")
        for verb, label in (("likes", "good"), ("hates", "bad"))
        for n in range(6)
    ]


@pytest.fixture(scope="session")
def several_bundle(taught, several_rows):
    return taught("several", several_rows, epochs=1)


@pytest.fixture(scope="session")
def slots_bundle(taught):
    rows = [
        {"text": f"{verb} the song {n}", "intent": intent, "slots": [[len(verb) + 5, len(verb) + 9, "what"]]}
        for verb, intent in (("play", "Play"), ("stop", "Stop"))
        for n in range(12)
    ]
    return taught("slot_filling", rows, epochs=1)


def give_one(server, id, name, **said):
    return server.post(f"/v1/models/{name}/feedback", content=json.dumps({"id": id, **said}))


def test_of_several_tasks_one_is_corrected_or_all_and_the_file_is_data_to_train_and_evaluate_on(
    client, file, several_bundle, several_rows, taught, command
):
    server = client(bundles={"both": several_bundle}, feedback=file, texts=True)
    said = asked(server, *(row["text"] for row in several_rows), model="both")
    for one, row in zip(said, several_rows, strict=True):
        kept = give_one(server, one["id"], "both", target="label", label=row["label"])
        assert kept.json() == {"id": one["id"], "label": row["label"], "target": "label"}
        assert give_one(server, one["id"], "both", target="spans", label=row["spans"]).status_code == 200
    whole = {"label": "good", "spans": []}
    assert give_one(server, said[0]["id"], "both", label=whole).json() == {"id": said[0]["id"], "label": whole}
    first, second, *_, last = lines(file)
    assert (first["text"], first["label"], "spans" in first) == (several_rows[0]["text"], "good", False)
    assert (second["spans"], "label" in second) == (SPANS, False) and (last["label"], last["spans"]) == ("good", [])
    assert first["feedback"]["said"][0].startswith("label/")
    code, out, _ = command("evaluate", several_bundle, file, "--json")
    assert code == 0 and json.loads(out)["n"] == len(lines(file))
    taught("several", lines(file), epochs=1)


def test_without_texts_one_of_several_tasks_can_be_corrected_unless_it_has_places(client, file, several_bundle):
    server = client(bundles={"both": several_bundle}, feedback=file)
    [one] = asked(server, "mary likes rome", model="both")
    assert give_one(server, one["id"], "both", target="label", label="bad").status_code == 200
    refused = give_one(server, one["id"], "both", target="spans", label=SPANS)
    assert refused.status_code == 422 and "--keep-texts" in refused.json()["error"]["message"]
    assert [row["label"] for row in lines(file)] == ["bad"] and "text" not in lines(file)[0]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"target": "lable", "label": "good"}, "This model has no target 'lable'. Did you mean 'label'? Targets: label, spans."),
        ({"label": {"lable": "good"}}, "This model has no target 'lable'. Did you mean 'label'? Targets: label, spans."),
        ({"label": "good"}, 'This model gives label, spans: say "target", or give "label" as an object of their names.'),
        ({"label": {}}, '"label" must be an object with one of label, spans.'),
        ({"target": "label", "label": "godo"}, "There is no label 'label/godo'. Did you mean 'label/good'?"),
        ({"target": "label", "label": {"label": "good"}}, "not one that this model's rows can have"),
        ({"target": "spans", "label": [[0, 4, "PRE"]]}, "There is no label 'spans/PRE'. Did you mean 'spans/PER'?"),
        ({"target": "spans", "label": [[0, 400, "PER"]]}, "not one that this model's rows can have"),
        ({"target": ["label"], "label": "good"}, '"target" must be a text.'),
        ({"target": 7, "label": "good"}, '"target" must be a text.'),
        ({"target": "\x00", "label": "good"}, "no target"),
        ({"target": "\ud800" * 999, "label": "good"}, "no target"),
        ({"target": "label", "label": None}, "Feedback is"),
        ({"label": {"label": None}}, "empty"),
        ({"label": {"label": "good", "spans": None}}, "empty"),
        ({"label": {"label": "x" * 20_000}}, "one label an answer"),
    ],
)  # fmt: skip
def test_what_a_model_with_several_targets_cannot_take_is_said(client, file, several_bundle, said, message):
    server = client(bundles={"both": several_bundle}, feedback=file, texts=True)
    [one] = asked(server, "mary likes rome", model="both")
    answer = give_one(server, one["id"], "both", **said)
    assert answer.status_code == 422 and message in answer.json()["error"]["message"]
    assert len(answer.json()["error"]["message"]) < 300 and not file.exists()


def test_a_target_whose_row_would_say_that_the_others_are_none_is_given_with_them(client, file, slots_bundle):
    server = client(bundles={"slots": slots_bundle}, feedback=file, texts=True)
    [one] = asked(server, "play the song", model="slots")
    refused = give_one(server, one["id"], "slots", target="intent", label="Stop")
    assert refused.json()["error"]["message"] == '"label" must be an object with all of intent, slots.'
    unsaid = give_one(server, one["id"], "slots", label={"intent": "Stop", "slots": None})
    assert unsaid.json()["error"]["message"] == "The label is empty."
    right = {"intent": "Stop", "slots": [[9, 13, "what"]]}
    assert give_one(server, one["id"], "slots", label=right).status_code == 200
    wrong = give_one(server, one["id"], "slots", label={"intent": "Stpo", "slots": []}).json()["error"]["message"]
    assert "Did you mean '#Stop'?" in wrong
    [row] = lines(file)
    assert {name: row[name] for name in right} == right and row["text"] == "play the song"


def test_that_there_is_nothing_is_a_label_too(client, file, names_bundle):
    server = client(bundles={"names": names_bundle}, feedback=file)
    [one] = asked(server, "i lost my card", model="names")
    assert give(server, one["id"], [], "names").status_code == 200
    assert give(server, one["id"], "", "names").status_code == 422
    assert [row["spans"] for row in lines(file)] == [[]]
