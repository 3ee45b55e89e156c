"""Quotas of keys: what is counted, when it is refused, and that workers and a restart share one count."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest

from tunewright.core.errors import MachineError, UsageError
from tunewright.serve import quota
from tunewright.serve.keys import Key, Keys, new_key
from tunewright.serve.limits import RequestError
from tunewright.serve.store import Store

NOON = 1_700_000_000 // 86_400 * 86_400 + 43_200.0


def key(**quotas):
    return Key("k", "predict", "", "", "", quotas={name.replace("_", "/"): number for name, number in quotas.items()})


def used(store, own, what="requests", amount=1, now=NOON):
    try:
        store.take(own, what, amount, now)
    except RequestError as error:
        return error
    return None


def test_beyond_a_quota_a_request_is_told_when_to_come_again_and_then_it_may():
    store, own = Store(), key(requests_minute=2)
    assert used(store, own) is used(store, own) is None
    refused = used(store, own, now=NOON + 15)
    assert (refused.status, refused.code, refused.headers) == (429, "quota", {"Retry-After": "45"})
    assert refused.message == "This key may have 2 requests a minute, and has had them. Try again in 45 s."
    assert used(store, own, now=NOON + 60) is None


def test_each_quota_counts_by_itself_and_what_one_refuses_none_counts():
    store, own = Store(), key(rows_minute=10, rows_day=25)
    assert used(store, own, "rows", 10) is None
    assert used(store, own, "rows", 1).status == 429
    assert used(store, own, "rows", 10, NOON + 60) is None
    assert "rows a day" in used(store, own, "rows", 6, NOON + 120).message
    assert used(store, own, "rows", 5, NOON + 120) is None  # the refused six were not counted
    assert used(store, own, "requests", 1, NOON + 120) is None
    assert used(store, own, "rows", 11, NOON + 86_400).status == 413  # which waiting would not help


def test_keys_do_not_share_and_one_without_quotas_has_none():
    store = Store()
    other = Key("other", "predict", "", "", "", quotas={"requests/day": 1})
    assert used(store, other) is None and used(store, other).status == 429
    assert used(store, key(requests_day=1)) is None
    assert all(used(store, key(), amount=10**9) is None for _ in range(3))


def test_workers_and_restarts_go_on_with_one_count(tmp_path):
    own = key(requests_day=40)
    stores = [Store(tmp_path / "state/serve.db") for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        took = [pool.submit(lambda store=store: [used(store, own) is None for _ in range(15)]) for store in stores]
        assert sum(sum(one.result()) for one in took) == 40
    for store in stores:
        store.close()
    assert used(Store(tmp_path / "state/serve.db"), own).status == 429


def test_a_file_that_is_no_store_is_refused(tmp_path):
    (tmp_path / "serve.db").write_text("something else, long enough to be read " * 100)
    with pytest.raises(MachineError, match=r"Choose another --state\."):
        Store(tmp_path / "serve.db")
    with pytest.raises(sqlite3.ProgrammingError):
        store = Store()
        store.close()
        store.take(key(requests_day=1), "requests", 1)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("row/day=3", "There is no quota 'row/day'. Did you mean 'rows/day'?"),
        ("rows/hour=3", "There is no quota 'rows/hour'."),
        ("rows/day", "needs a whole number from 1, as rows/day=1000"),
        ("rows/day=0", "needs a whole number"),
        ("rows/day=-1", "needs a whole number"),
        ("rows/day=1e3", "needs a whole number"),
        ("rows/day=²", "needs a whole number"),
        ("rows/day=" + "9" * 30, "needs a whole number"),
    ],
)
def test_a_quota_that_is_none_is_said(word, said):
    with pytest.raises(UsageError, match=said):
        quota.parse([word])


def test_a_server_counts_requests_and_rows_of_its_keys(client, tmp_path):
    file = tmp_path / "keys.json"
    rows = new_key(file, "predict", "batch", quota.parse(["rows/day=5"]))[0]
    few = new_key(file, "predict", "ci", quota.parse(["requests/day=2"]))[0]
    server = client(keys=file)

    def ask(key, inputs, path="/v1/predict"):
        return server.post(path, json={"inputs": inputs}, headers={"Authorization": f"Bearer {key}"})

    assert ask(rows, ["a"] * 3).status_code == 200
    refused = ask(rows, ["a"] * 3)
    assert refused.status_code == 429 and refused.json()["error"]["code"] == "quota"
    assert 0 < int(refused.headers["retry-after"]) <= 86_400
    assert ask(rows, ["a"]).status_code == ask(rows, ["a"], "/v1/explain").status_code == 200
    assert ask(rows, ["a"], "/v1/explain").status_code == 429
    lines = server.post("/v1/predict/stream", content='"a"\n"b"', headers={"X-API-Key": rows}).text.splitlines()
    assert len(lines) == 2 and all("This key may have 5 rows a day" in line for line in lines)
    assert [ask(few, ["a"] * 9).status_code for _ in range(3)] == [200, 200, 429]
    assert server.get("/health/ready", headers={"X-API-Key": few}).status_code == 200
    assert 'tunewright_refused_total{code="quota"}' in server.get("/metrics", headers={"X-API-Key": rows}).text


def test_a_key_keeps_its_name_and_quotas_and_files_from_before_are_read(command, tmp_path):
    file = tmp_path / "keys.json"
    code, made, _ = command("serve", "--new-key", "predict", "--keys", file, "--key-name", "ci", "--quota", "rows/day=5", "--quota", "requests/minute=2")  # fmt: skip
    assert code == 0
    found = Keys(file).find(made.strip())
    assert (found.who, found.quotas) == ("ci", {"rows/day": 5, "requests/minute": 2})
    old = tmp_path / "old.json"
    import json

    stored = json.loads(file.read_text())["keys"][0]
    old.write_text(json.dumps({"keys": [{name: stored[name] for name in ("id", "role", "salt", "hash", "created")}]}))
    assert Keys(old).find(made.strip()).quotas == {}
    for quotas in ({"rows/day": 0}, {"rows/year": 1}, {"rows/day": True}, [], "x"):
        old.write_text(json.dumps({"keys": [{**stored, "quotas": quotas}]}))
        with pytest.raises(UsageError, match="is no file of keys"):
            Keys(old)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--new-key", "predict", "--keys", "k.json", "--key-name", "a b"], "cannot be a key's name"),
        (["--new-key", "predict", "--keys", "k.json", "--key-name", "<b>"], "cannot be a key's name"),
        (["--new-key", "predict", "--keys", "k.json", "--quota", "rows=1"], "There is no quota 'rows'"),
        (["x", "--key-name", "a"], "belong to --new-key ROLE"),
        (["x", "--quota", "rows/day=1"], "belong to --new-key ROLE"),
        (["x", "--keep-texts"], "--keep-texts belongs to --feedback FILE."),
    ],
)
def test_options_that_would_do_nothing_are_refused(command, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    code, _, errors = command("serve", *arguments)
    assert code == 3 and said in errors and not (tmp_path / "k.json").exists()
