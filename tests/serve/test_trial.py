"""A version on trial: which requests it gets, what is returned, what is compared, and how it ends."""

from __future__ import annotations

import json
import re
import time
from types import SimpleNamespace

import pytest

from tunewright.core.types import Prediction
from tunewright.serve.trial import Trial, pairs

from .test_repository import changed

TEXTS = [f"i lost my card {n}" for n in range(60)]


@pytest.fixture
def place(tiny_bundle, search_bundle, tmp_path):
    (tmp_path / "models").mkdir()
    changed(tiny_bundle, tmp_path / "models/second")
    changed(tiny_bundle, tmp_path / "models/bare", lambda folder: (folder / "certificate.json").unlink())
    changed(search_bundle, tmp_path / "models/search")
    return tmp_path / "models"


@pytest.fixture
def server(client, place):
    with client(
        models=place
    ) as made:  # one loop for all requests, as a server has, so that comparing goes on after them
        yield made


def begin(server, mode="canary", percent=50.0, path="second", name="intents"):
    return server.post("/v1/admin/trial", json={"name": name, "path": path, "mode": mode, "percent": percent})


def versions(server, texts=TEXTS, **headers):
    """The version that answered each of the texts."""
    asked = ({"inputs": [text]} for text in texts)
    return [server.post("/v1/predict", json=one, headers=headers).json()["version"] for one in asked]


def compared(server, rows):
    """What an admin reads, once so many rows are compared."""
    for _ in range(100):
        about = server.get("/v1/admin/models/intents").json()["trial"]
        if about["compared"] + about["failed"] + about["busy"] >= rows:
            return about
        time.sleep(0.05)
    raise AssertionError(about)


def version_with(id):
    return SimpleNamespace(id=id)


def test_the_share_is_what_was_asked_and_a_larger_one_holds_the_smaller():
    keys = [str(n) for n in range(10_000)]
    some, more = (
        {key for key in keys if Trial(version_with("v"), "canary", percent, "t").takes(key)} for percent in (10, 30)
    )
    assert 900 < len(some) < 1100 and 2800 < len(more) < 3200 and some < more
    assert not any(Trial(version_with("v"), "canary", 0, "t").takes(key) for key in keys)
    assert all(Trial(version_with("v"), "canary", 100, "t").takes(key) for key in (*keys, "\ud800"))
    other = {key for key in keys if Trial(version_with("w"), "canary", 10, "t").takes(key)}
    assert len(some & other) < 300  # another version gets others: nobody is always the one who tries


def test_an_abstention_is_no_agreement_and_differences_keep_their_sign():
    sure, unsure = Prediction("a", 0.9), Prediction("a", 0.4, decision="abstain")
    [same, other] = pairs([sure, sure], [Prediction("a", 0.7), unsure])
    assert same.agrees and same.difference == pytest.approx(-0.2) and not other.agrees


def test_a_canary_answers_its_share_and_the_same_request_goes_the_same_way(server):
    own = server.get("/v1/models").json()["models"][0]["version"]
    tried = begin(server).json()["trial"]["version"]
    first = versions(server)
    assert set(first) == {own, tried} and versions(server) == first
    assert 15 < first.count(tried) < 45
    about = compared(server, 2 * first.count(tried))
    assert about["agreed"] == about["compared"] == 2 * first.count(tried) and about["agreement"] == 1.0
    assert about["mean_score_difference"] == pytest.approx(0, abs=1e-6)
    assert about["mean_seconds"]["current"] > 0 and about["mean_seconds"]["trial"] > 0


def test_a_header_sends_all_requests_of_a_caller_one_way(server):
    begin(server)
    ways = {key: set(versions(server, TEXTS[:5], **{"X-Route-Key": str(key)})) for key in range(24)}
    assert all(len(way) == 1 for way in ways.values()) and len(set.union(*ways.values())) == 2


def test_a_shadow_is_compared_and_never_returned(server, monkeypatch):
    own = server.get("/v1/models").json()["models"][0]["version"]
    begin(server, "shadow", 100)
    worker = server.service.repository.models["intents"].trial.version.worker
    monkeypatch.setattr(worker, "_compute", lambda examples: [(None, Prediction("music", 0.25)) for _ in examples])
    assert set(versions(server)) == {own}
    about = compared(server, len(TEXTS))
    assert about["flipped"] > 0 and about["compared"] == len(TEXTS)
    assert about["agreement"] == pytest.approx(about["agreed"] / len(TEXTS), abs=1e-6)
    assert about["mean_score_difference"] < 0 < about["mean_absolute_score_difference"]
    text = server.get("/metrics").text
    assert re.search(r'tunewright_trial_rows_total\{model="intents",outcome="flipped",trial="\w+-\w+"\} ', text)


@pytest.mark.parametrize("mode", ["canary", "shadow"])
def test_where_the_version_on_trial_fails_the_other_answers(server, monkeypatch, mode, caplog):
    own = server.get("/v1/models").json()["models"][0]["version"]
    begin(server, mode, 100)
    worker = server.service.repository.models["intents"].trial.version.worker
    monkeypatch.setattr(worker, "_compute", lambda examples: 1 / 0)
    assert set(versions(server)) == {own}
    assert compared(server, len(TEXTS))["failed"] == len(TEXTS)
    assert "met a defect" in caplog.text and not any(text in caplog.text for text in TEXTS)


def test_who_names_a_version_gets_it_and_is_not_compared(server):
    tried = begin(server, percent=0).json()["trial"]["version"]
    said = server.post("/v1/predict", json={"inputs": ["a"], "version": tried}).json()
    assert said["version"] == tried
    assert server.get("/v1/admin/models/intents").json()["trial"]["compared"] == 0
    assert tried in server.get("/v2/models/intents").json()["versions"]


def test_a_stream_goes_one_way_as_a_whole_and_other_protocols_are_routed_too(server):
    begin(server, "canary", 50)
    lines = "\n".join(json.dumps(text) for text in TEXTS)
    server.post("/v1/predict/stream", content=lines)
    about = server.get("/v1/admin/models/intents").json()["trial"]
    first = compared(server, about["compared"])["compared"]
    assert first in (0, len(TEXTS))
    tensor = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["a"]}
    asked = [{"X-Route-Key": str(n)} for n in range(20)]
    found = {
        server.post("/v2/models/intents/infer", json={"inputs": [tensor]}, headers=one).json()["model_version"]
        for one in asked
    }
    assert len(found) == 2


def test_promoted_it_answers_all_and_can_be_taken_back(server):
    own = server.get("/v1/models").json()["models"][0]["version"]
    tried = begin(server).json()["trial"]["version"]
    said = server.post("/v1/admin/promote", json={"name": "intents"}).json()
    assert said == {"name": "intents", "version": tried, "previous": own}
    assert set(versions(server)) == {tried}
    assert server.post("/v1/admin/rollback", json={"name": "intents"}).json()["version"] == own


def test_dropped_it_is_closed_and_answers_nothing(server):
    own = server.get("/v1/models").json()["models"][0]["version"]
    begin(server, percent=100)
    worker = server.service.repository.models["intents"].trial.version.worker
    assert "trial" not in server.post("/v1/admin/drop", json={"name": "intents"}).json()
    assert set(versions(server)) == {own}
    worker.join(10)
    assert not worker._thread.is_alive()


def test_while_a_version_is_on_trial_none_takes_the_place_of_the_other(server, place, tiny_bundle):
    changed(tiny_bundle, place / "third")
    server.post("/v1/admin/load", json={"name": "intents", "path": "second"})
    begin(server, path="third")
    refused = server.post("/v1/admin/load", json={"name": "intents", "path": "second"})
    assert refused.status_code == 409 and "on trial: promote or drop it first" in refused.json()["error"]["message"]
    assert "trial" not in server.post("/v1/admin/rollback", json={"name": "intents"}).json()


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        ({"path": "bare"}, 422, "it has no certificate.json"),
        ({"path": "search"}, 422, "another task"),
        ({"path": "../x"}, 422, "below the server's --models folder"),
        ({"path": "a\x00"}, 422, "below the server's --models folder"),
        ({"name": "none"}, 404, "There is no model 'none'"),
        ({"name": "<b>"}, 404, "There is no model '<b>'"),
        ({"mode": "green"}, 422, '"mode" must be canary or shadow.'),
        ({"mode": ["canary"]}, 422, '"mode" must be a text.'),
        ({"percent": 101}, 422, '"percent" must be a number from 0 to 100.'),
        ({"percent": -1}, 422, '"percent"'),
        ({"percent": True}, 422, '"percent"'),
        ({"percent": "10"}, 422, '"percent"'),
        ({"share": 10}, 422, "unknown field 'share'"),
    ],
)
def test_what_cannot_be_tried_leaves_all_as_it_was(server, asked, status, said):
    given = {"name": "intents", "path": "second", "mode": "canary", **asked}
    answer = server.post("/v1/admin/trial", json=given)
    assert answer.status_code == status and said in answer.json()["error"]["message"]
    assert "trial" not in server.get("/v1/admin/models/intents").json()


def test_without_a_trial_there_is_nothing_to_promote_or_drop_and_a_version_is_not_tried_against_itself(server, place):
    for action in ("promote", "drop"):
        answer = server.post(f"/v1/admin/{action}", json={"name": "intents"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "no_trial")
    server.post("/v1/admin/load", json={"name": "intents", "path": "second"})
    assert begin(server).json()["error"]["code"] == "same_version"
