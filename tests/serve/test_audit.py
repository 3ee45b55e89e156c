"""What admins do, and are refused, is on the disk: who, what, when, with which outcome; and nothing is done that is not."""

from __future__ import annotations

import json
import shutil

import pytest

from tunewright.core.errors import MachineError
from tunewright.serve.keys import new_key

from .test_repository import changed


@pytest.fixture
def place(tiny_bundle, tmp_path):
    (tmp_path / "models").mkdir()
    changed(tiny_bundle, tmp_path / "models/second")
    changed(tiny_bundle, tmp_path / "models/bare", lambda folder: (folder / "certificate.json").unlink())
    return tmp_path / "models"


def lines(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_every_action_is_told_before_and_after_with_its_key(client, place, tmp_path):
    key, about = new_key(tmp_path / "keys.json", "admin", "ann@example.org")
    other = new_key(tmp_path / "keys.json", "predict", "ben")[0]
    file = tmp_path / "audit.jsonl"
    server = client(models=place, keys=tmp_path / "keys.json", audit=file)
    mine, his = {"X-API-Key": key}, {"X-API-Key": other}
    first = server.get("/v1/models", headers=mine).json()["models"][0]["version"]
    done = server.post("/v1/admin/load", json={"name": "intents", "path": "second"}, headers=mine).json()
    server.post("/v1/admin/load", json={"name": "intents", "path": "bare"}, headers=mine)
    server.post("/v1/admin/load", json={"name": "intents", "path": "../../etc"}, headers=mine)
    server.post("/v1/admin/drop", content=b"\xff", headers=mine)
    server.post("/v1/admin/rollback", json={"name": "intents"}, headers=his)
    server.post("/v1/admin/rollback", json={"name": "intents"}, headers={"X-API-Key": "tw_x_y"})  # fills no disk
    found = lines(file)
    assert [(one["who"], one["action"], one["outcome"], one.get("code")) for one in found] == [
        ("ann@example.org", "load", "begun", None),
        ("ann@example.org", "load", "done", None),
        ("ann@example.org", "load", "begun", None),
        ("ann@example.org", "load", "refused", "invalid"),
        ("ann@example.org", "load", "refused", "invalid"),
        ("ann@example.org", "drop", "refused", "invalid_json"),
        ("ben", "rollback", "refused", "role"),
    ]
    assert (found[0]["version"], found[1]["version"]) == (first, done["version"])
    assert (found[0]["name"], found[0]["path"], found[0]["key"], found[0]["role"]) == (
        "intents",
        "second",
        about.id,
        "admin",
    )
    assert found[3]["path"] == "bare" and all("at" in one for one in found)
    assert key not in file.read_text() and (file.stat().st_mode & 0o077) == 0


def test_where_the_log_cannot_be_written_nothing_is_changed(client, place, tmp_path):
    (tmp_path / "kept").mkdir()
    server = client(models=place, audit=tmp_path / "kept/audit.jsonl")
    shutil.rmtree(tmp_path / "kept")
    before = server.get("/v1/models").json()
    answer = server.post("/v1/admin/load", json={"name": "intents", "path": "second"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "audit")
    assert server.get("/v1/models").json() == before


def test_reading_is_no_action(client, tmp_path):
    server = client(audit=tmp_path / "a.jsonl")
    assert [server.get(f"/v1/admin/models/{name}").status_code for name in ("intents", "none")] == [200, 404]
    assert not (tmp_path / "a.jsonl").exists()


@pytest.mark.parametrize("option", ["audit", "feedback"])
def test_a_file_that_cannot_be_added_to_is_said_before_anything_is_answered(client, tmp_path, option):
    with pytest.raises(MachineError, match="A folder stands where a file is needed"):
        client(**{option: tmp_path})
    with pytest.raises(MachineError, match="Cannot write"):
        client(**{option: tmp_path / "none" / "lines.jsonl"})


def test_odd_names_stay_within_their_line(client, place, tmp_path):
    server = client(models=place, audit=tmp_path / "a.jsonl")
    for name in ("<b>", "a\nb", "\u2028", "\ud800", "x" * 5000):
        body = json.dumps({"name": name, "path": "second", "mode": "canary"})
        assert server.post("/v1/admin/trial", content=body).status_code < 500
        assert server.post("/v1/admin/rollback", content=json.dumps({"name": name})).status_code < 500
    assert all(one["outcome"] in ("begun", "refused") for one in lines(tmp_path / "a.jsonl"))
