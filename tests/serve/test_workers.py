"""Several workers: one that dies is missed by nobody else and comes back; what an admin does reaches all; all end together."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .test_repository import changed

ASKED = json.dumps({"inputs": ["i lost my card"]})
RATE, SECONDS = 50, 4.0  # requests a second, and for how long


def workers_of(process) -> set[int]:
    return set(map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()))


def until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.05)
    return found


def both(server, without=frozenset()) -> set[int]:
    """The workers, when there are two again; what is to be gone otherwise."""
    found = workers_of(server.process)
    return found if len(found) == 2 else set(without)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def server(program, light_bundle, tmp_path):
    changed(light_bundle, tmp_path / "models/second")
    return program(f"intents={light_bundle}", "--workers", 2, "--models", tmp_path / "models", "--grace", "0.5")


def counted(server) -> int:
    text = server.ask("GET", "/metrics")[1]
    found = re.search(r'request_seconds_count\{method="POST",route="/v1/predict",status="200"\} (\d+)', text)
    return int(found[1]) if found else 0


def test_a_worker_that_is_killed_under_load_is_missed_by_no_other_request_and_comes_back(server):
    before = workers_of(server.process)
    assert len(before) == 2
    victim, said, torn = min(before), [], []
    began = time.monotonic()

    def ask(number: int) -> None:
        time.sleep(max(0.0, began + number / RATE - time.monotonic()))
        try:
            said.append(server.ask("POST", "/v1/predict", ASKED)[0])
        except (http.client.HTTPException, OSError):
            torn.append(number)  # its connection was the dead worker's

    killer = threading.Timer(1.0, os.kill, (victim, signal.SIGKILL))
    killer.start()
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(ask, range(int(RATE * SECONDS))))
    assert set(said) == {200} and len(said) + len(torn) == RATE * SECONDS
    assert len(torn) <= 16
    after = until(lambda: both(server))
    assert victim not in after and len(after & before) == 1
    fresh = (after - before).pop()
    until(lambda: server.ask("POST", "/v1/predict", ASKED)[0] == 200 and _answers(server, fresh))
    assert server.stop() == 0
    assert "ended with code -9; another starts in" in server.process.stderr.read().decode()


def _folder(pid: int) -> Path:
    """What the workers share."""
    told = Path(f"/proc/{pid}/environ").read_bytes().split(b"PROMETHEUS_MULTIPROC_DIR=")[1].split(b"\0")[0]
    return Path(told.decode()).parent


def _answers(server, pid: int) -> bool:
    """Whether this process has answered a request: its counts are a file of its own."""
    file = _folder(pid) / f"metrics/counter_{pid}.db"
    return file.exists() and b"decisions" in file.read_bytes()


def test_counts_are_those_of_all_workers_also_of_one_that_died(server):
    for _ in range(30):
        assert server.ask("POST", "/v1/predict", ASKED)[0] == 200
    assert {counted(server) for _ in range(10)} == {30}
    os.kill(min(workers_of(server.process)), signal.SIGKILL)
    assert until(lambda: counted(server)) == 30


def test_what_an_admin_does_reaches_all_workers_and_those_that_start_later(server):
    def versions() -> set[str]:
        return {server.ask("POST", "/v1/predict", ASKED)[1]["version"] for _ in range(30)}

    [first] = versions()
    status, said = server.ask("POST", "/v1/admin/load", json.dumps({"name": "intents", "path": "second"}))
    assert (status, said["workers"]) == (200, {"all": 2, "changed": 2, "failed": 0})
    assert versions() == {said["version"]} != {first}
    for victim in workers_of(server.process):
        os.kill(victim, signal.SIGKILL)
        until(lambda victim=victim: victim not in both(server, {victim}))
    assert until(lambda: _quietly(versions)) == {said["version"]}
    status, back = server.ask("POST", "/v1/admin/rollback", json.dumps({"name": "intents"}))
    assert (status, back["version"]) == (200, first) and versions() == {first}
    asked = {"name": "intents", "path": "second", "mode": "canary", "percent": 100}
    assert server.ask("POST", "/v1/admin/trial", json.dumps(asked))[1]["error"]["code"] == "same_version"


def _quietly(ask):
    try:
        return ask()
    except (http.client.HTTPException, OSError):
        return None


def test_a_trial_runs_at_all_workers_and_is_told_as_one(server):
    asked = {"name": "intents", "path": "second", "mode": "canary", "percent": 50}
    tried = server.ask("POST", "/v1/admin/trial", json.dumps(asked))[1]["trial"]["version"]
    texts = [json.dumps({"inputs": [f"i lost my card {n}"]}) for n in range(40)]
    ways = [[server.ask("POST", "/v1/predict", text)[1]["version"] for text in texts] for _ in range(2)]
    assert ways[0] == ways[1] and len(set(ways[0])) == 2
    expected = 2 * ways[0].count(tried)

    def told():
        return {server.ask("GET", "/v1/admin/models/intents")[1]["trial"]["compared"] for _ in range(8)}

    until(lambda: told() == {expected})
    server.ask("POST", "/v1/admin/promote", json.dumps({"name": "intents"}))
    assert {server.ask("POST", "/v1/predict", text)[1]["version"] for text in texts} == {tried}


def test_told_to_stop_all_finish_what_they_have_and_none_is_left(server):
    workers = workers_of(server.process)
    host, _, port = server.host.partition(":")
    import socket

    held = [socket.create_connection((host, int(port)), timeout=60) for _ in range(6)]
    head = f"POST /v1/predict HTTP/1.1\r\nHost: {server.host}\r\nContent-Length: {len(ASKED)}\r\n\r\n"
    for one in held:
        one.sendall(head.encode() + ASKED[:5].encode())
    server.ask("GET", "/health/ready")
    server.process.send_signal(signal.SIGTERM)
    time.sleep(1.5)
    for one in held:
        one.sendall(ASKED[5:].encode())
    answers = [one.makefile("rb").read() for one in held]
    for one in held:
        one.close()
    assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)
    assert server.stop() == 0 and not any(map(alive, workers))


def test_workers_do_not_outlive_the_process_that_looks_after_them(server):
    workers = workers_of(server.process)
    folder = _folder(min(workers))
    server.process.kill()
    server.process.wait(60)
    until(lambda: not any(map(alive, workers)))
    assert not folder.exists()


def test_what_cannot_be_served_ends_it_as_one_process_would(command, tiny_bundle, tmp_path):
    code, _, errors = command("serve", tiny_bundle, "--runtime", "native", "--workers", 2, "--port", 0)
    assert code == 2 and "is not served by the runtime native" in errors
    code, _, errors = command("serve", tmp_path / "none", "--workers", 2, "--port", 0)
    assert code == 3 and "There is no bundle" in errors


def test_quotas_and_feedback_hold_for_all_workers_together_and_over_a_restart(program, light_bundle, tmp_path):
    from tunewright.serve.keys import new_key

    keys, file = tmp_path / "keys.json", tmp_path / "feedback.jsonl"
    asks = {"X-API-Key": new_key(keys, "predict", "ci", {"requests/day": 12})[0]}
    labels = {"X-API-Key": new_key(keys, "feedback", "ann")[0]}
    options = [f"intents={light_bundle}", "--keys", keys, "--feedback", file, "--state", tmp_path / "state"]
    server = program(*options, "--workers", 2)
    said = [server.ask("POST", "/v1/predict", ASKED, **asks) for _ in range(20)]
    assert [status for status, _ in said] == [200] * 12 + [429] * 8
    ids = [answer["predictions"][0]["id"] for status, answer in said if status == 200]
    for id in ids[:6]:
        body = json.dumps({"id": id, "label": "card"})
        assert server.ask("POST", "/v1/models/intents/feedback", body, **labels)[0] == 200
    assert server.stop() == 0
    again = program(*options)
    assert again.ask("POST", "/v1/predict", ASKED, **asks)[0] == 429
    body = json.dumps({"id": ids[-1], "label": "music"})
    assert again.ask("POST", "/v1/models/intents/feedback", body, **labels)[0] == 200
    kept = [json.loads(line) for line in file.read_text().splitlines()]
    assert [one["feedback"]["id"] for one in kept] == [*ids[:6], ids[-1]]


def test_models_are_exchanged_and_tried_at_all_workers_under_load_without_a_failed_request(server):
    said, stop = [], threading.Event()

    def ask(number: int) -> None:
        while not stop.is_set():
            body = json.dumps({"inputs": [f"i lost my card {len(said) % 7} {number}"]})
            said.append(server.ask("POST", "/v1/predict", body))
            time.sleep(0.02)

    def change(action: str, **asked) -> None:
        status, told = server.ask("POST", f"/v1/admin/{action}", json.dumps({"name": "intents", **asked}))
        assert status == 200 and told["workers"]["changed"] == 2, told

    with ThreadPoolExecutor(3) as pool:
        asking = [pool.submit(ask, number) for number in range(3)]
        try:
            for mode in ("canary", "shadow"):
                change("trial", path="second", mode=mode, percent=50)
                change("drop")
            change("load", path="second")
            change("rollback")
        finally:
            stop.set()
        for one in asking:
            one.result(60)
    assert len(said) > 20 and {status for status, _ in said} == {200}


def test_a_worker_that_dies_again_and_again_waits_longer_each_time_and_one_that_lived_does_not(monkeypatch):
    import socket
    from types import SimpleNamespace

    from tunewright.serve.start import Settings
    from tunewright.serve.workers import FIRST, LONGEST, SHORT, Supervisor

    now = 1000.0
    monkeypatch.setattr("tunewright.serve.workers.time", SimpleNamespace(monotonic=lambda: now))
    with socket.socket() as listening:
        supervisor = Supervisor(Settings({}), 2, listening)

        def ended(lived: float) -> float:
            supervisor._running[0], supervisor._started[0] = SimpleNamespace(pid=1), now - lived
            supervisor._ended(0, -9)
            return supervisor._due.pop(0) - now

        try:
            assert ended(SHORT + 1) == 0
            assert [ended(0) for _ in range(8)] == [FIRST, 1, 2, 4, 8, 16, LONGEST, LONGEST]
            assert ended(SHORT + 1) == 0 and ended(0) == FIRST
        finally:
            supervisor._running.clear()
            supervisor._end()
