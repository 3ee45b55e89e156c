"""What a server sees of its answers, whom it tells, and what its page shows: never a text, and never at an answer's cost."""

from __future__ import annotations

import contextlib
import csv
import http.server
import json
import re
import socketserver
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager

import pytest

from tunewright.core import catalog
from tunewright.core.errors import UsageError
from tunewright.monitor.watching import Watching
from tunewright.serve import alerts, page, start
from tunewright.serve.metrics import Metrics
from tunewright.serve.traces import Traces
from tunewright.serve.watch import WAITING, Alarm, Watch

WORD = "Ωmega"  # in foreign rows: nothing that leaves the server may hold it


@pytest.fixture
def watching():
    """function: watching(*told) gives a Watch with small windows; it is closed when the test ends."""
    made = []

    def start(*told) -> Watch:
        made.append(Watch(Watching(window=100, looks=5), told))
        return made[-1]

    yield start
    for watch in made:
        watch.close(10)


def texts(file) -> list[str]:
    with open(file, encoding="utf-8", newline="") as opened:
        return [row["text"] for row in csv.DictReader(opened)]


def ask(client, rows) -> None:
    for first in range(0, len(rows), 50):
        assert client.post("/v1/predict", json={"inputs": rows[first : first + 50]}).status_code == 200


def alarms_of(watched, watching, client) -> list[Alarm]:
    """The alarms that foreign rows raise."""
    told: list[Alarm] = []
    watch = watching(told.append)
    ask(client(bundles={"intents": watched.bundle}, watch=watch), texts(watched.other))
    watch.close(30)
    return told


# ------------------------------------------------------------------------------------------------------------ seeing


def test_rows_as_usual_raise_no_alarm_and_foreign_ones_do(watched, client, watching):
    told: list[Alarm] = []
    watch = watching(told.append)
    server = client(bundles={"intents": watched.bundle}, watch=watch)
    ask(server, texts(watched.same))
    seen = server.service.versions[0].watched
    _until(lambda: seen.rows == 250)
    assert told == [] and len(seen.looks) == 10
    ask(server, texts(watched.other))
    _until(lambda: seen.rows == 500)
    assert {"unknown_characters", "wording"} <= {check.name for alarm in told for check in alarm.look.gate.failed}
    assert told[0].model == "intents" and WORD not in json.dumps(
        [alarm.to_dict() for alarm in told], ensure_ascii=False
    )


def test_metrics_and_status_tell_what_is_seen(watched, client, watching):
    watch = watching()
    server = client(bundles={"intents": watched.bundle}, watch=watch)
    ask(server, texts(watched.other))
    seen = server.service.versions[0].watched
    _until(lambda: seen.rows == 250)
    metrics = server.get("/metrics").text
    for signal in catalog.names("signals"):
        assert re.search(
            rf'^tunewright_drift_p{{model="intents",signal="{signal}",version="\w+"}} [\d.e-]+$', metrics, re.M
        )
    assert re.search(r'^tunewright_watched_total{model="intents",version="\w+"} 250.0$', metrics, re.M)
    assert re.search(r"^tunewright_estimated_accuracy{", metrics, re.M)
    assert re.search(r'^tunewright_estimate_holds{model="intents",version="\w+"} 0.0$', metrics, re.M)
    assert re.search(r'^tunewright_drift_p{model="intents",signal="all_together",', metrics, re.M)
    (model,) = server.get("/v1/status").json()["models"]
    assert model["answers_now"] and sum(model["decisions"].values()) == 250 == sum(model["given"].values())
    assert "wording" in model["watched"]["looks"][-1]["estimated_accuracy"]["doubts"]
    assert model["watched"]["looks"][-1]["alarms"] and model["watched"]["usual_accuracy"] > 0.5
    assert WORD not in metrics + json.dumps(model, ensure_ascii=False)


def test_series_stay_few_however_many_versions_come_and_go(watched, client, watching):
    server = client(bundles={"intents": watched.bundle}, watch=watching())
    repository = server.service.repository
    for _ in range(5):
        repository.publish(repository.open("intents", watched.bundle))
    series = Counter(re.findall(r"^(tunewright_\w+){", server.get("/metrics").text, re.M))
    assert series["tunewright_watched_total"] == 2  # the version that answers and the one before


def test_a_bundle_that_does_not_say_what_is_usual_is_served_unwatched(client, tiny_bundle, watching, tmp_path, caplog):
    import shutil

    from tunewright.core.bundle import open_bundle, seal
    from tunewright.core.files import write_json

    older = shutil.copytree(tiny_bundle, tmp_path / "older")
    opened = open_bundle(older)
    write_json(older / "reference.json", {"rows": 0})
    seal(older, task=opened.task, labels=opened.labels, policy=opened.policy, backbone=opened.about["backbone"])
    server = client(bundles={"intents": older}, watch=watching())
    ask(server, ["play music"])
    assert server.get("/v1/status").json()["models"][0]["watched"] is None
    assert "is not watched" in caplog.text


def test_answers_never_wait_for_whoever_looks_at_them(watched, client, watching):
    stuck = threading.Event()
    watch = watching(lambda alarm: stuck.wait(30))
    server = client(bundles={"intents": watched.bundle}, watch=watch)
    rows = texts(watched.other)
    ask(server, rows)  # the first alarm holds the watching thread
    for _ in range(WAITING + 10):
        assert server.post("/v1/predict", json={"inputs": rows[:2]}).status_code == 200
    assert server.service.versions[0].watched.skipped > 0
    stuck.set()


def test_a_defect_in_looking_stops_no_answer_and_logs_no_text(watched, client, watching, caplog, monkeypatch):
    server = client(bundles={"intents": watched.bundle}, watch=watching())
    monkeypatch.setattr("tunewright.serve.watch.traffic_of", lambda *_: (_ for _ in ()).throw(ValueError(WORD)))
    ask(server, [WORD])
    seen = server.service.versions[0].watched
    _until(lambda: seen.skipped == 1)
    assert "met a defect: ValueError" in caplog.text and WORD not in caplog.text


def _until(held, tries: int = 600) -> None:
    wait = threading.Event()
    for _ in range(tries):
        if held():
            return
        wait.wait(0.05)
    raise AssertionError("it never came about")


# ----------------------------------------------------------------------------------------------------------- telling


@contextmanager
def hook(status: int = 200, **headers: str):
    """A webhook on this machine: its address, and what it was sent."""
    got: list[bytes] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            got.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_):
            pass

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/hook?token=secret", got
        finally:
            server.shutdown()


def sent(urls, alarms, **settings) -> list[tuple[str, str]]:
    """What became of these alarms."""
    outcomes: list[tuple[str, str]] = []
    made = alerts.Alerts(urls, outcome=lambda *one: outcomes.append(one), **settings)
    for alarm in alarms:
        made.alarm(alarm)
    made.close(30)
    return outcomes


def test_a_webhook_gets_numbers_and_names_and_no_text(watched, client, watching, caplog):
    found = alarms_of(watched, watching, client)
    with hook() as (url, got):
        assert sent([url], found[:1]) == [("webhook", "sent")]
    told = json.loads(got[0])
    assert told["event"] == "drift" and told["model"] == "intents" and told["answers"]["count"] <= 100
    assert {"name", "p", "limit", "distance"} == set(told["signals"][0])
    assert told["estimated_accuracy"]["holds"] is False
    assert "Estimated accuracy at most " in told["message"] and "估计准确率至多 " in told["message_zh"]
    assert "differ from what is usual" in told["message"] and "与平时不同" in told["message_zh"]
    rows = [row for row in texts(watched.other) if len(row) > 8]
    assert not [row for row in rows if row in got[0].decode() or row in caplog.text]
    assert told["message"] in caplog.text  # the log is told as well


def test_within_the_pause_a_model_raises_one_alert_and_the_next_says_how_many_were_held_back(watched, client, watching):
    alarm = alarms_of(watched, watching, client)[0]
    other = Alarm("another", alarm.version, alarm.look, 0.9)
    times = iter([0.0, 10.0, 20.0, 30.0, 99.0, 101.0])
    with hook() as (url, got):
        outcomes = sent([url], [alarm, alarm, other, alarm, alarm, alarm], pause=100.0, clock=lambda: next(times))
    assert outcomes == [("webhook", "sent")] * 3
    assert [(json.loads(one)["model"], json.loads(one)["held_back"]) for one in got] == [("intents", 0), ("another", 0), ("intents", 3)]  # fmt: skip


def test_of_several_workers_one_sends_an_alert_within_the_pause_and_it_counts_the_others(
    watched, client, watching, tmp_path
):
    alarm = alarms_of(watched, watching, client)[0]
    with hook() as (url, got):
        given = start.Settings({}, alerts=[url], alert_pause=100.0)
        with contextlib.ExitStack() as closing:
            workers = [start._watch(given, Metrics(), closing, start.Place(tmp_path, slot, 3)) for slot in range(3)]
            for tell in [tell for one in workers for tell in one._told]:
                tell(alarm)
        assert [json.loads(one)["held_back"] for one in got] == [0]
        late = alerts.SharedPauses(tmp_path)
        assert late.held("another", 0.0, 100.0) == 0 and late.held("another", 99.0, 100.0) is None
        assert late.held(alarm.model, time.monotonic() + 100.0, 100.0) == 2


@pytest.mark.parametrize(("status", "headers"), [(500, {}), (302, {"Location": "http://127.0.0.1:1/elsewhere"})])
def test_what_a_webhook_does_not_take_is_counted_and_its_address_is_not_logged(watched, client, watching, caplog, status, headers):  # fmt: skip
    alarm = alarms_of(watched, watching, client)[0]
    with hook(status, **headers) as (url, _):
        assert sent([url], [alarm]) == [("webhook", "failed")]
    assert "could not be sent by webhook: OSError" in caplog.text and "secret" not in caplog.text


def test_nobody_there_is_a_failed_alert_and_nothing_else(watched, client, watching):
    alarm = alarms_of(watched, watching, client)[0]
    assert sent(["http://127.0.0.1:9/hook"], [alarm]) == [("webhook", "failed")]


def test_a_slow_channel_holds_nobody_up_and_what_does_not_fit_is_dropped(watched, client, watching, monkeypatch):
    alarm = alarms_of(watched, watching, client)[0]
    go = threading.Event()
    monkeypatch.setattr(alerts, "_post", lambda url, told: go.wait(30))
    outcomes: list[tuple[str, str]] = []
    made = alerts.Alerts(["http://127.0.0.1/hook"], pause=0.0, outcome=lambda *one: outcomes.append(one))
    for _ in range(alerts.WAITING + 5):
        made.alarm(alarm)  # comes back at once, though nothing is sent yet
    assert Counter(outcomes)["webhook", "dropped"] >= 4
    go.set()
    made.close(30)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("example.org/hook", "is no address"),
        ("https://", "lacks a host"),
        ("http://[1", "is none"),
        ("nothing-of-the-kind://x", "no address that apprise knows"),
    ],
)
def test_an_address_that_is_none_is_said_at_the_start(url, message):
    if "nothing" in url:
        pytest.importorskip("apprise")
    with pytest.raises(UsageError, match=message):
        alerts.Alerts([url])


def test_an_e_mail_is_sent_with_both_languages(watched, client, watching):
    pytest.importorskip("apprise")
    alarm = alarms_of(watched, watching, client)[0]
    with mailbox() as (port, got):
        assert sent([f"mailto://127.0.0.1:{port}?from=a@example.org&to=b@example.org&mode=insecure"], [alarm]) == [("mailto", "sent")]  # fmt: skip
    assert b"Subject: Tunewright: intents" in got[0] and b"differ from what is usual" in got[0].replace(b"=\r\n", b"")


@contextmanager
def mailbox():
    """A mail server on this machine that takes everything: its port, and the letters."""
    got: list[bytes] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            self.wfile.write(b"220 here\r\n")
            while line := self.rfile.readline():
                word = line[:4].upper()
                if word == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    letter = b""
                    while (part := self.rfile.readline()) != b".\r\n":
                        letter += part
                    got.append(letter)
                self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 fine\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1], got
        finally:
            server.shutdown()


# ------------------------------------------------------------------------------------------------------------ traces


def test_a_requests_span_is_the_callers_child_and_holds_no_text(client):
    pytest.importorskip("opentelemetry.sdk")
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    kept = InMemorySpanExporter()
    server = client(traces=Traces(kept, together=False))
    parent = {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}
    server.post("/v1/predict", json={"inputs": [WORD]}, headers=parent)
    server.post("/v1/predict", json={"inputs": WORD})
    server.request("SECRET", "/nowhere/secret")
    answer, asked, wrong, none = kept.get_finished_spans()
    assert (asked.name, answer.name, wrong.name, none.name) == (
        "POST /v1/predict",
        "answer",
        "POST /v1/predict",
        "- none",
    )
    assert asked.context.trace_id == int("ab" * 16, 16) and asked.parent.span_id == int("cd" * 8, 16)
    assert answer.parent.span_id == asked.context.span_id and dict(answer.attributes) == {
        "model": "intents",
        "inputs": 1,
    }
    assert (asked.attributes["http.response.status_code"], wrong.attributes["http.response.status_code"]) == (200, 422)
    written = " ".join(span.to_json() for span in kept.get_finished_spans())
    assert WORD not in written and "secret" not in written.lower()


def test_without_traces_their_library_stays_out():
    script = "import sys; from tunewright.serve.traces import Traces; from tunewright.serve import app\n"
    script += "t = Traces()\nwith t.request({}), t.answer(model='a'): pass\nprint('opentelemetry.sdk' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "False\n"
    )


# -------------------------------------------------------------------------------------------------------- the page


@pytest.mark.parametrize("path", page.FILES)
def test_the_pages_files_come_from_this_server_alone_under_a_strict_policy(client, path):
    answer = client().get(path)
    assert answer.status_code == 200 and answer.headers["content-type"] == page.FILES[path][1]
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    assert re.findall(r"(?:https?:)?//(?!www\.w3\.org)[\w.]+\.\w+", answer.text) == []
    assert not re.search(r"innerHTML|insertAdjacent|document\.write|eval\(|localStorage|sessionStorage|cookie|<script>|style=| on\w+=", answer.text)  # fmt: skip


def test_the_page_says_everything_in_both_languages():
    script = (page.FOLDER / "page.texts.js").read_text("utf-8")
    english, chinese = (re.search(rf"^  {name}: {{(.*?)^  }},", script, re.M | re.S)[1] for name in ("en", "zh"))
    keys = [re.findall(r"(?:^ +|, |{)(\w+): (?=[\"{])", part, re.M) for part in (english, chinese)]
    assert keys[0] == keys[1]
    code = (page.FOLDER / "page.js").read_text("utf-8")
    said = {
        *re.findall(r'say\("(\w+)"', code),
        *re.findall(r'data-text="(\w+)"', (page.FOLDER / "page.html").read_text("utf-8")),
    }
    assert said and said <= set(keys[0])
    assert {*catalog.names("signals"), "estimated_accuracy", "all_together"} <= set(keys[0])


def test_its_files_need_no_key_and_what_it_shows_does(client, tmp_path):
    from tunewright.serve.keys import new_key

    key, _ = new_key(tmp_path / "keys.json", "predict")
    server = client(keys=tmp_path / "keys.json")
    assert [server.get(path).status_code for path in page.FILES] == [200] * len(page.FILES)
    assert server.get("/v1/status").status_code == 401
    assert server.get("/v1/status", headers={"Authorization": f"Bearer {key}"}).status_code == 200


@pytest.mark.parametrize("path", ["/", "/v1/status"])
def test_without_keys_it_stands_behind_the_same_guard(client, path):
    assert client().get(path, headers={"Host": "evil.example"}).status_code == 403
    assert client().get(path, headers={"Origin": "http://evil.example"}).status_code == 403


def test_texts_that_nobody_sent_are_not_watched(client, watched, watching):
    """An explanation answers a text again without each of its words: that is no traffic."""
    watch = watching()
    server = client(bundles={"intents": watched.bundle}, watch=watch)
    one = texts(watched.other)[:1]
    assert server.post("/v1/explain", json={"inputs": one}).status_code == 200
    ask(server, one)
    watch.close(30)
    assert server.get("/v1/status").json()["models"][0]["watched"]["rows"] == 1


def test_workers_share_the_level(tmp_path):
    with contextlib.ExitStack() as closing:
        alone, one_of_four = (
            start._watch(start.Settings(bundles={}), Metrics(), closing, place)
            for place in (None, start.Place(tmp_path, 0, 4))
        )
        assert alone._watching.level == 4 * one_of_four._watching.level == Watching().level
        assert start._watch(start.Settings(bundles={}, watching=None), Metrics(), closing, None) is None
