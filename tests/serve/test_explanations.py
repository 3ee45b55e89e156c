"""Explanations over HTTP: those of the model that answers, within bounds, for odd texts too."""

from __future__ import annotations

import json

import pytest

from tunewright.predict.explain import explain as explained
from tunewright.predict.predictor import load


@pytest.fixture
def server(client, tiny_bundle, search_bundle):
    return client(bundles={"intents": tiny_bundle, "faq": search_bundle})


def ask(server, **asked):
    return server.post("/v1/explain", content=json.dumps({"model": "intents", **asked}))


def test_it_says_of_each_word_what_the_score_loses_without_it(server, tiny_bundle):
    text = "i lost my 银行卡 today"
    [row] = ask(server, inputs=[text]).json()["explanations"]
    predictor = load(tiny_bundle)
    expected = explained(predictor.predict, predictor.example(text), predictor.bundle.task)
    assert (row["label"], row["measure"]) == (expected.label, "probability")
    assert row["score"] == pytest.approx(expected.score, abs=1e-5)
    assert [one["contribution"] for one in row["words"]] == pytest.approx(
        [value for _, value in expected.contributions], abs=1e-5
    )
    assert [one["log_odds"] for one in row["words"]] == pytest.approx(expected.log_odds, abs=1e-4)
    assert all(text[one["start"] : one["end"]] == one["text"] for one in row["words"])
    [without] = predictor.predict(["i lost  银行卡 today"])
    my = next(one for one in row["words"] if one["text"] == "my")
    assert my["contribution"] == pytest.approx(expected.score - without.scores[expected.label], abs=1e-5)


def test_a_search_is_explained_for_the_document_it_found(server):
    [row] = ask(server, model="faq", inputs=["lost card 1"]).json()["explanations"]
    assert row["label"].startswith("missing") and len(row["words"]) == 3


def test_of_entities_each_is_explained_by_the_words_around_it(client, names_bundle):
    server = client(bundles={"names": names_bundle})
    text = "i lost my card now 😀"
    [said] = server.post("/v1/predict", json={"inputs": [text]}).json()["predictions"]
    [row] = ask(server, model="names", inputs=[text]).json()["explanations"]
    assert (row["decision"], row["truncated_tokens"]) == ("model", 0) and said["spans"]
    for found, span in zip(row["answers"], said["spans"], strict=True):
        own = {name: span[name] for name in ("start", "end", "text")}
        assert (found["answer"], found["label"], found["places"]) == ("spans", span["label"], [own])
        assert found["score"] == pytest.approx(span["score"], abs=1e-5)
        assert all(text[one["start"] : one["end"]] == one["text"] for one in found["words"])
        places = [(one["start"], one["end"]) for one in found["words"]]
        assert all(end <= span["start"] or span["end"] <= start for start, end in places) and places
    rows = ask(server, model="names", inputs=[text, "", "…", "a\x00b"], label="PER").json()["explanations"]
    assert rows[0] == row and rows[1]["error"] and all(isinstance(one["answers"], list) for one in rows[2:])
    refused = ask(server, model="names", inputs=[text], label="PRE")
    assert refused.status_code == 422
    assert "There is no label 'PRE' here. Did you mean 'PER'? Labels: PER." in refused.json()["error"]["message"]


def test_of_a_relation_words_have_their_places_in_the_text_that_was_sent(client, taught):
    relations = {"in": "lives in", "from": "left"}
    rows = [
        {"text": f"{a} {verb} {b} {n}", "head": [0, len(a)], "tail": [len(a) + len(verb) + 2, len(a) + len(verb) + len(b) + 2], "relation": name}
        for a in ("mary", "john", "anna") for b in ("rome", "paris") for name, verb in relations.items() for n in range(3)
    ]  # fmt: skip
    server = client(bundles={"relations": taught("relation_extraction", rows, epochs=2)})
    server.service.masks = True
    text = "call 13812345678: mary lives in rome"
    asked = {"text": text, "head": [18, 22], "tail": {"start": 32, "end": 36}}
    [row] = ask(server, model="relations", inputs=[asked]).json()["explanations"]
    assert row["label"] in relations
    stands = {one["text"]: text[one["start"] : one["end"]] for one in row["words"]}
    assert stands == {**{word: word for word in ("call", "mary", "lives", "in", "rome")}, "[PHONE]": "13812345678"}


def test_an_input_that_cannot_be_answered_stays_in_its_place(server):
    rows = ask(server, inputs=["card", "  ", "\ud800", "…", "a\x00b <b>"]).json()["explanations"]
    assert [row.get("error", "")[:7] for row in rows] == ["", "Input 1", "Input 2", "", ""]
    assert [len(row.get("words", ())) for row in rows] == [1, 0, 0, 0, 3]


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        ({"inputs": ["a"], "label": "crad"}, 422, "There is no label 'crad' here. Did you mean 'card'?"),
        ({"inputs": ["a"], "label": ["card"]}, 422, '"label" must be a text.'),
        ({"inputs": ["a"], "label": "<script>"}, 422, "There is no label '<script>'"),
        ({"inputs": ["a"], "words": 0}, 422, "from 1 to 256"),
        ({"inputs": ["a"], "words": True}, 422, "from 1 to 256"),
        ({"inputs": ["a"], "words": 1e3}, 422, "from 1 to 256"),
        ({"inputs": ["a"] * 17}, 422, "a list of 16 at most"),
        ({"inputs": "a"}, 422, "must be a list"),
        ({}, 422, "must be a list"),
        ({"inputs": [["a"]]}, 422, "Input 0"),
        ({"inputs": ["a"], "model": "none"}, 404, "There is no model"),
        ({"inputs": ["a"], "version": "none"}, 404, "no version"),
        ({"inputs": ["a"], "passes": 3}, 422, "unknown field 'passes'"),
        ({"inputs": ["a b " * 20_000]}, 413, "Explaining this would read"),
    ],
)
def test_what_is_wrong_is_said(server, asked, status, said):
    answer = ask(server, **asked)
    assert answer.status_code == status and said in answer.json()["error"]["message"]
