"""Who is let in: keys and roles, this machine alone without them, no pages of other sites, no more than there is room for."""

from __future__ import annotations

import asyncio
import json
import logging
import stat
import threading

import httpx2
import pytest

from tunewright.core.errors import UsageError
from tunewright.serve.keys import Keys, is_loopback, new_key
from tunewright.serve.worker import Worker

ASKED = {"inputs": ["i lost my card"]}


@pytest.fixture
def keys(tmp_path):
    file = tmp_path / "keys.json"
    return file, {role: new_key(file, role)[0] for role in ("predict", "feedback", "admin")}


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


def test_a_key_is_kept_as_a_salted_hash_that_only_its_owner_reads(keys):
    file, made = keys
    text = file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for key in made.values():
        assert key not in text and key.split("_", 2)[2] not in text
    stored = json.loads(text)["keys"]
    assert len({one["salt"] for one in stored}) == len({one["hash"] for one in stored}) == 3
    assert Keys(file).find(made["admin"]).role == "admin"


@pytest.mark.parametrize("wrong", ["", "tw", "tw_x_y", "x", "tw_\ud800_é"])
def test_what_is_no_key_is_none(keys, wrong):
    file, made = keys
    assert Keys(file).find(wrong) is None
    assert Keys(file).find(made["admin"][:-1]) is None
    assert Keys(file).find(made["admin"].replace("tw_", "tx_", 1)) is None


def test_a_key_taken_out_of_the_file_counts_no_more(keys):
    file, made = keys
    known = Keys(file)
    assert known.find(made["admin"])
    file.write_text(json.dumps({"keys": json.loads(file.read_text())["keys"][:1]}))
    assert known.find(made["admin"]) is None and known.find(made["predict"])
    file.unlink()
    assert known.find(made["predict"]) is None


def test_a_file_that_holds_no_keys_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"holds no keys\. Make one: tunewright serve --new-key predict --keys"):
        Keys(tmp_path / "none.json")
    (tmp_path / "odd.json").write_text('{"keys": [{"id": 1}]}')
    with pytest.raises(UsageError, match="is no file of keys"):
        Keys(tmp_path / "odd.json")
    with pytest.raises(
        UsageError, match=r"There is no role 'admn'. Did you mean 'admin'\? Roles: predict, feedback, admin."
    ):
        new_key(tmp_path / "new.json", "admn")


def test_with_keys_every_route_but_the_probes_asks_for_one(client, keys):
    file, made = keys
    server = client(keys=file)
    for path in ("/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready"):
        assert server.get(path).status_code == 200
    for path in ("/v1/models", "/metrics", "/openapi.json", "/v2", "/v2/models/intents", "/nothing"):
        refused = server.get(path)
        assert refused.status_code == 401 and refused.headers["www-authenticate"] == "Bearer"
    assert server.post("/v1/predict", json=ASKED).json()["error"]["code"] == "no_key"
    assert server.post("/v1/predict", json=ASKED, headers=bearer("tw_x_y")).status_code == 401
    assert server.post("/v1/predict", json=ASKED, headers=bearer(made["predict"])).status_code == 200
    assert server.post("/v1/predict", json=ASKED, headers={"X-API-Key": made["admin"]}).status_code == 200


def test_a_host_header_does_not_pass_for_a_path_that_asks_for_no_key(client, keys):
    file, made = keys
    server = client(keys=file)
    host = {"Host": "127.0.0.1/health/live?"}
    assert server.post("/v1/predict", json=ASKED, headers=host).status_code == 401
    role = {**host, **bearer(made["predict"])}
    assert server.post("/v1/admin/rollback", json={"name": "intents"}, headers=role).status_code == 403


@pytest.mark.parametrize("value", ["[", "[]", "]", "[::1", "a:b:c", ":", "http://[", "http://", "\xb2", "x" * 5000])
def test_odd_headers_meet_no_defect(client, value):
    server = client()
    names = (
        "Host",
        "Origin",
        "Authorization",
        "X-API-Key",
        "Content-Type",
        "Inference-Header-Content-Length",
        "Accept",
    )
    for name in names:
        for path in ("/v1/predict", "/v2/models/intents/infer"):
            headers = {name.encode(): value.encode("latin-1")}
            assert server.post(path, json=ASKED, headers=headers).status_code < 500


def test_a_method_of_a_requests_own_is_not_counted_by_name(client):
    server = client()
    assert server.request("SECRET", "/v1/predict").status_code == 405
    assert "SECRET" not in server.get("/metrics").text


def test_only_an_admins_key_changes_models(client, keys):
    file, made = keys
    server = client(keys=file)
    refused = server.post("/v1/admin/rollback", json={"name": "intents"}, headers=bearer(made["predict"]))
    assert refused.status_code == 403
    assert refused.json()["error"]["message"] == "This key has the role predict; admin is needed."
    allowed = server.post("/v1/admin/rollback", json={"name": "intents"}, headers=bearer(made["admin"]))
    assert allowed.json()["error"]["code"] == "no_previous_version"


@pytest.mark.parametrize("path", ["/v1/admin/rollback", "/v1//admin/rollback", "//v1/admin/rollback", "/v1/predict/../admin/rollback", "/V1/admin/rollback", "/v1/admin%2frollback"])  # fmt: skip
def test_no_spelling_of_an_admins_path_goes_past_the_role(client, keys, path):
    file, made = keys
    answer = client(keys=file).post(path, json={"name": "intents"}, headers=bearer(made["predict"]))
    assert answer.status_code in (403, 404)


def test_pages_of_other_sites_may_not_ask(client):
    server = client()
    for origin in ("https://evil.example", "null", "http://127.0.0.1:9999"):
        refused = server.post("/v1/predict", json=ASKED, headers={"Origin": origin})
        assert refused.status_code == 403 and "access-control-allow-origin" not in refused.headers
    assert server.options("/v1/predict", headers={"Origin": "https://evil.example"}).status_code == 403
    assert server.post("/v1/predict", json=ASKED, headers={"Origin": "http://127.0.0.1"}).status_code == 200


def test_without_keys_only_this_machines_own_names_are_answered_to(client):
    refused = client().post("/v1/predict", json=ASKED, headers={"Host": "evil.example"})
    assert refused.json()["error"]["message"] == "Without keys this server answers to 127.0.0.1 and localhost alone."
    assert client().post("/v1/predict", json=ASKED, headers={"Host": "localhost:8000"}).status_code == 200
    assert client().post("/v1/predict", json=ASKED, headers={"Host": "[::1]:8000"}).status_code == 200


def test_open_to_others_without_keys_nobody_is_an_admin(client):
    server = client(local=False)
    assert server.post("/v1/predict", json=ASKED, headers={"Host": "models.example"}).status_code == 200
    assert server.post("/v1/admin/rollback", json={"name": "intents"}).json()["error"]["code"] == "admin"


def test_addresses_that_only_this_machine_reaches():
    assert all(map(is_loopback, ("127.0.0.1", "127.0.0.2", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.1.7", "models.example", "")))


def test_a_defect_is_logged_by_its_place_and_never_by_what_was_said(client, monkeypatch, caplog):
    server = client()
    model = server.service.repository.models["intents"]

    def broken(examples):
        raise ValueError(f"what about {examples[0].inputs['text']}")

    monkeypatch.setattr(model.current.worker, "_compute", broken)
    with caplog.at_level(logging.DEBUG):
        answer = server.post("/v1/predict", json={"inputs": ["my secret sentence"]})
    assert answer.status_code == 500
    assert answer.json() == {"error": {"message": "The server has a defect; its log says where.", "code": "defect"}}
    assert "ValueError" in caplog.text and "worker.py" in caplog.text
    assert "secret" not in caplog.text


@pytest.fixture
def begun():
    return threading.Event()


@pytest.fixture
def blocked(client, begun):
    """A server whose model does not answer before `go` is set; `begun` says that it has a request."""

    def made(**limits):
        server, go = client(**limits), threading.Event()
        current = server.service.repository.models["intents"].current
        real = current.worker._compute

        def compute(examples):
            begun.set()
            go.wait(30)
            return real(examples)

        object.__setattr__(current, "worker", Worker(compute, waiting=server.service.limits.waiting))
        return server.app, go

    return made


def asking(app, work):
    async def run():
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1", timeout=60) as session:
            return await work(session)

    return asyncio.run(run())


def test_more_requests_than_may_wait_are_told_when_to_come_again(blocked, begun):
    app, go = blocked(waiting=2)

    async def work(session):
        asked = [asyncio.create_task(session.post("/v1/predict", json=ASKED))]
        await asyncio.to_thread(begun.wait, 30)
        asked += [asyncio.create_task(session.post("/v1/predict", json=ASKED)) for _ in range(5)]
        while sum(task.done() for task in asked) < 3:
            await asyncio.sleep(0.01)
        go.set()
        return await asyncio.gather(*asked)

    answers = asking(app, work)
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429, 429]
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers[3:])
    assert answers[3].json()["error"]["message"].startswith("2 requests wait already. Try again in ")


def test_more_requests_than_are_read_at_a_time_are_refused_before_they_are_read(blocked):
    app, go = blocked(at_once=2)

    async def work(session):
        asked = [asyncio.create_task(session.post("/v1/predict", json=ASKED)) for _ in range(5)]
        while sum(task.done() for task in asked) < 3:
            await asyncio.sleep(0.01)
        assert (await session.get("/health/live")).status_code == 200
        go.set()
        return await asyncio.gather(*asked)

    assert sorted(answer.status_code for answer in asking(app, work)) == [200, 200, 429, 429, 429]


def test_an_answer_that_does_not_come_in_time_is_an_error(blocked):
    app, go = blocked(seconds=0.3)
    answer = asking(app, lambda session: session.post("/v1/predict", json=ASKED))
    go.set()
    assert answer.status_code == 504
    assert answer.json()["error"]["message"] == "No answer within 0.3 s. Send fewer or shorter inputs."


def test_a_body_that_does_not_come_in_time_is_an_error(client):
    async def body():
        yield b'{"inputs": '
        await asyncio.sleep(30)

    answer = asking(client(seconds=0.3).app, lambda session: session.post("/v1/predict", content=body()))
    assert (answer.status_code, answer.json()["error"]["code"]) == (408, "slow")


def test_a_draining_server_is_not_ready_and_still_answers(client):
    server = client()
    server.service.draining = True
    assert server.get("/health/ready").status_code == server.get("/v2/health/ready").status_code == 503
    assert server.get("/v2/models/intents/ready").status_code == 503
    assert server.get("/health/live").status_code == 200
    assert server.post("/v1/predict", json=ASKED).status_code == 200
