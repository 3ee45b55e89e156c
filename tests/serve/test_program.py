"""The command itself: what it refuses to start, and a running server that is asked, attacked, exchanged and stopped."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from urllib.request import urlopen

import pytest

from tunewright.core.bundle import open_bundle, seal

ASKED = json.dumps({"inputs": ["i lost my card"]})


# ------------------------------------------------------------------------------------------------------ before it runs


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Which bundle? Name one or several: tunewright serve runs/first."),
        (["none"], "There is no bundle none."),
        (["none", "--host", "0.0.0.0"], "--host 0.0.0.0 is reached from other machines, and everyone there could ask."),
        (["none", "--keys", "k.json", "--no-keys"], "--keys (or --jwt) and --no-keys contradict each other."),
        (["none", "--keys", "k.json"], "k.json holds no keys."),
        (["none", "--models", "nowhere"], "--models nowhere is no folder."),
        (["none", "--tls-cert", "c.pem"], "HTTPS needs --tls-cert and --tls-key, two files in PEM form; --tls-cert is none."),
        (["none", "--tls-cert", __file__, "--tls-key", __file__], "are no certificate with its private key in PEM form"),
        (["none", "--queue", "0"], "Invalid value for '--queue'"),
        (["none", "--no-monitor", "--alert", "https://x.example"], "--alert needs the monitor: leave out --no-monitor."),
        (["none", "--alert", "nowhere"], "--alert 'nowhere' is no address. Write https://… for a webhook"),
        (["none", "--monitor-window", "10"], "Invalid value for '--monitor-window'"),
        (["a/b c"], "cannot be a model's name"),
        (["--new-key", "predict"], "Where shall the key's hash be kept? Name a file"),
        (["--new-key", "root", "--keys", "k.json"], "There is no role 'root'."),
    ],
)  # fmt: skip
def test_what_cannot_be_served_is_said_before_anything_is_opened(command, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, _, errors = command("serve", *arguments)
    assert code == 3 and message in errors


def test_an_uncertified_bundle_is_refused_by_a_gates_exit_code(command, tiny_bundle):
    code, _, errors = command("serve", tiny_bundle, "--runtime", "native")
    assert code == 2 and "is not served by the runtime native" in errors


def test_a_port_that_is_taken_is_said(command, tiny_bundle):
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        code, _, errors = command("serve", tiny_bundle, "--port", taken.getsockname()[1])
    assert code == 3 and "Choose another --host or --port; --port 0 takes a free one." in errors


def test_small_answers_are_sent_at_once():
    from tunewright.serve.server import bind

    with closing(bind("127.0.0.1", 0)) as listening:
        assert listening.proto == socket.IPPROTO_TCP  # what asyncio sets TCP_NODELAY by


def test_without_its_packages_it_says_what_to_install(tiny_bundle):
    script = f"""
import sys
sys.modules["fastapi"] = None
from tunewright.cli import main
main._register()
sys.exit(main.run(["serve", {str(tiny_bundle)!r}]))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 3
    assert "`serve` needs the package fastapi: pip install 'tunewright[serve]'." in done.stderr


def test_a_key_is_printed_once_alone(command, tmp_path):
    code, key, errors = command("serve", "--new-key", "admin", "--keys", tmp_path / "keys.json")
    assert code == 0 and key.startswith("tw_") and key.count("\n") == 1
    assert "It is not shown again" in errors
    code, out, _ = command("serve", "--new-key", "predict", "--keys", tmp_path / "keys.json", "--json")
    assert json.loads(out)["role"] == "predict"
    assert len(json.loads((tmp_path / "keys.json").read_text())["keys"]) == 2


# ----------------------------------------------------------------------------------------------------------- running


def test_no_torch_is_loaded_where_the_runtime_needs_none(light_bundle):
    script = f"""
import http.client, json, os, signal, sys, threading
from tunewright.cli import main

found = {{}}

def started(value):
    def ask():
        connection = http.client.HTTPConnection(value["url"].partition("://")[2])
        connection.request("POST", "/v1/predict", {ASKED!r})
        found.update(json.loads(connection.getresponse().read()))
        os.kill(os.getpid(), signal.SIGTERM)
    threading.Thread(target=ask).start()

from tunewright.cli import output
output.emit = started
main._register()
code = main.run(["serve", {str(light_bundle)!r}, "--port", "0", "--grace", "0", "--json"])
heavy = [name for name in ("torch", "transformers", "sklearn", "scipy", "pyarrow") if name in sys.modules]
print(json.dumps({{"code": code, "heavy": heavy, "said": found}}))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120)
    told = json.loads(done.stdout)
    assert told["said"]["predictions"][0]["decision"] == "model"
    assert (told["code"], told["heavy"]) == (0, [])


def test_the_images_packages_are_enough(light_bundle, tmp_path):
    """What deploy/requirements.txt does not name cannot be imported here."""
    listed = Path(__file__).parent.parent.parent / "deploy/requirements.txt"
    script = f"""
import importlib.metadata, re, sys
from pathlib import Path

def plain(name):
    return name.lower().replace("_", "-")

there = {{plain(name) for name in re.findall(r"^([\\w-]+)==", Path({str(listed)!r}).read_text(), re.M)}} | {{"tunewright"}}
absent = {{
    module
    for module, packages in importlib.metadata.packages_distributions().items()
    if not there & set(map(plain, packages)) and module not in sys.stdlib_module_names
}}

class Absent:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"{{name}} is not in the image", name=name)

sys.meta_path.insert(0, Absent)
assert {{"torch", "transformers", "pyarrow", "jinja2"}} <= absent
from tunewright.cli.main import main
main()
"""
    command = [sys.executable, "-c", script, "serve", str(light_bundle), "--port", "0", "--json", "--grace", "0"]
    options = ["--feedback", "feedback.jsonl", "--state", "state", "--audit", "audit.jsonl", "--mask-input"]
    with subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    ) as process:
        try:
            line = process.stdout.readline()
            assert line, process.stderr.read().decode()
            url = json.loads(line)["url"]
            for path in ("/", "/v1/status", "/metrics", "/openapi.json", "/v2/health/ready"):
                urlopen(url + path, timeout=60).close()
            for path in ("/v1/predict", "/v1/explain"):
                with urlopen(url + path, ASKED.encode(), timeout=60) as answer:
                    assert b'"decision":"model"' in answer.read()
        finally:
            process.terminate()
    assert process.returncode == 0


def test_told_to_stop_it_is_not_ready_and_finishes_what_it_has(program, light_bundle):
    server = program(light_bundle, "--grace", "5")
    assert server.ask("GET", "/health/ready") == (200, {"ready": True})
    host, _, port = server.host.partition(":")
    with closing(socket.create_connection((host, int(port)), timeout=60)) as held:
        held.sendall(
            f"POST /v1/predict HTTP/1.1\r\nHost: {server.host}\r\nContent-Length: {len(ASKED)}\r\n\r\n".encode()
            + ASKED[:5].encode()
        )
        server.process.send_signal(signal.SIGTERM)
        while server.ask("GET", "/health/ready")[0] == 200:
            time.sleep(0.05)
        for _ in range(10):  # for longer than it takes to stop
            assert server.ask("POST", "/v1/predict", ASKED)[0] == 200
            time.sleep(0.1)
        while _listens(host, int(port)):
            time.sleep(0.05)
        time.sleep(0.5)
        held.sendall(ASKED[5:].encode())
        answer = held.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 200") and b'"decision":"model"' in answer
    assert server.stop() == 0


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=5).close()
        return True
    except OSError:
        return False


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_server_stops_with_exit_code_0_and_logs_no_text(program, light_bundle, sent):
    server = program(light_bundle, "--grace", "0")
    server.ask("POST", "/v1/predict", json.dumps({"inputs": ["my secret sentence"]}))
    server.ask("POST", "/v1/predict", json.dumps({"inputs": [{"my secret field": 1}]}))
    server.ask("GET", "/my%20secret%20path?q=secret")
    assert server.stop(sent) == 0
    assert b"secret" not in server.process.stderr.read()


def test_exchanging_a_model_under_load_fails_no_request(program, light_bundle, tmp_path):
    shutil.copytree(light_bundle, tmp_path / "models/second")
    opened = open_bundle(tmp_path / "models/second")
    seal(opened.folder, task=opened.task, labels=opened.labels, policy=opened.policy, backbone="another")
    server = program(f"intents={light_bundle}", "--models", tmp_path / "models")
    answered, wrong, stop, asking = Counter(), [], threading.Event(), []

    def ask():
        while not stop.is_set():
            status, said = server.ask("POST", "/v1/predict", ASKED)
            if status == 200:
                answered[said["version"]] += 1
            else:
                wrong.append((status, said))
            time.sleep(0.02)

    def change(action: str, **asked: str) -> None:
        status, said = server.ask("POST", f"/v1/admin/{action}", json.dumps({"name": "intents", **asked}))
        assert status == 200, said
        before = answered[said["version"]]
        while answered[said["version"]] < before + 5 and not wrong and not any(one.done() for one in asking):
            time.sleep(0.01)

    with ThreadPoolExecutor(4) as pool:
        asking += [pool.submit(ask) for _ in range(4)]
        try:
            for _ in range(3):
                change("load", path="second")
                change("rollback")
        finally:
            stop.set()
        for one in asking:
            one.result(60)
    assert wrong == []
    assert len(answered) == 2


ATTACKS = {
    "an oversized body": ("POST", "/v1/predict", b"x" * (5 << 20)),
    "deep JSON": ("POST", "/v1/predict", b"[" * 1_000_000),
    "deep objects": ("POST", "/v1/predict", b'{"inputs":' * 100_000),
    "many fields": ("POST", "/v1/predict", json.dumps({f"f{n}": 0 for n in range(100_000)}).encode()),
    "many fields in an input": ("POST", "/v1/predict", json.dumps({"inputs": [{f"f{n}": 0 for n in range(100_000)}]}).encode()),
    "a field of a megabyte": ("POST", "/v1/predict", json.dumps({"f" * (1 << 20): 0}).encode()),
    "NUL": ("POST", "/v1/predict", b'{"inputs": ["a\\u0000b"], "model": "a\\u0000"}'),
    "a NUL byte": ("POST", "/v1/predict", b'{"inputs": ["a\x00b"]}'),
    "lone surrogates": ("POST", "/v1/predict", b'{"inputs": ["\\ud800"], "model": "\\udfff", "\\ud801": 1}'),
    "a surrogate as a field": ("POST", "/v1/predict", b'{"\\ud801": 1}'),
    "a surrogate as an input's field": ("POST", "/v1/predict", b'{"inputs": [{"\\ud801": 1}]}'),
    "numbers": ("POST", "/v1/predict", b'{"inputs": [1, 1e999, -0, 1.5, true, null, [], {}]}'),
    "lists of lists": ("POST", "/v1/predict", b'{"inputs": [[["a"]]]}'),
    "a number for inputs": ("POST", "/v1/predict", b'{"inputs": 7}'),
    "an object for inputs": ("POST", "/v1/predict", b'{"inputs": {"text": "a"}}'),
    "a huge number": ("POST", "/v1/predict", b'{"inputs": [' + b"1" * 100_000 + b"]}"),
    "half a body": ("POST", "/v1/predict", b'{"inputs": ["a'),
    "bytes": ("POST", "/v1/predict", bytes(range(256))),
    "nothing": ("POST", "/v1/predict", b""),
    "a path for a model": ("POST", "/v1/predict", b'{"inputs": ["a"], "model": "../../etc/passwd"}'),
    "a path in an address": ("GET", "/v2/models/..%2f..%2f..%2fetc%2fpasswd", None),
    "dots in an address": ("GET", "/v2/models/../../../etc/passwd", None),
    "NUL in an address": ("GET", "/v2/models/%00", None),
    "odd bytes in an address": ("GET", "/v2/models/%ff%fe", None),
    "a path to load": ("POST", "/v1/admin/load", b'{"name": "../x", "path": "../../etc"}'),
    "a query without a value": ("POST", "/v1/predict/stream?all_scores=maybe", b'"a"'),
    "a stream of bytes": ("POST", "/v1/predict/stream", bytes(range(256)) * 100),
    "a stream of one long line": ("POST", "/v1/predict/stream", b'"' + b"x" * (5 << 20)),
    "tensors of nothing": ("POST", "/v2/models/intents/infer", b'{"inputs": [{"name": "text", "shape": [], "datatype": "BYTES"}]}'),
    "a tensor of a huge shape": ("POST", "/v2/models/intents/infer", b'{"inputs": [{"name": "text", "shape": [99999999999999999999], "datatype": "BYTES", "data": ["a"]}]}'),
    "parameters of a wrong type": ("POST", "/v2/models/intents/infer", b'{"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "parameters": 3}]}'),
}  # fmt: skip


def test_no_attack_meets_a_defect_and_the_server_goes_on_answering(program, light_bundle):
    server = program(f"intents={light_bundle}")
    met = {}
    for name, (method, path, body) in ATTACKS.items():
        try:
            met[name], _ = server.ask(method, path, body)
        except (BrokenPipeError, ConnectionResetError):
            met[name] = 413  # it was answered, and closed, before all had been sent
    assert {name: status for name, status in met.items() if status >= 500} == {}
    assert {name for name, status in met.items() if status == 200} == {
        "a stream of bytes",
        "a stream of one long line",
    }
    assert server.ask("POST", "/v1/predict", ASKED)[0] == 200


def test_a_connection_on_which_no_request_comes_is_closed(program, light_bundle):
    server = program(light_bundle, "--timeout", "0.5")
    host, _, port = server.host.partition(":")
    with closing(socket.create_connection((host, int(port)), timeout=30)) as slow:
        slow.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        for _ in range(100):
            try:
                slow.sendall(b"X-More: 1\r\n")
            except OSError:
                break
            time.sleep(0.1)
        else:
            pytest.fail("the connection stays open")
    with closing(socket.create_connection((host, int(port)), timeout=30)) as half:
        half.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{")
        assert half.makefile("rb").read().startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize("before", [b"", b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"])
def test_headers_without_end_are_not_kept(before, program, light_bundle):
    """Neither before the body, nor behind one in chunks, where trailers are."""
    server = program(light_bundle)
    host, _, port = server.host.partition(":")
    with closing(socket.create_connection((host, int(port)), timeout=30)) as endless:
        endless.sendall(b"POST /v1/predict/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n" + before)
        sent = 0
        with pytest.raises(OSError):
            while sent < 32 * 2**20:
                sent += endless.send(b"X-More: " + b"1" * 1000 + b"\r\n")
    assert server.ask("POST", "/v1/predict", ASKED)[0] == 200


def test_it_answers_by_https(program, light_bundle, tmp_path):
    import ssl
    import urllib.request

    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificate, is not there")
    files = ["-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem"]
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *name, *files]
    subprocess.run(command, capture_output=True, check=True)
    server = program(light_bundle, "--tls-cert", tmp_path / "cert.pem", "--tls-key", tmp_path / "key.pem")
    context = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
    with urllib.request.urlopen(f"{server.about['url']}/health/ready", context=context, timeout=60) as answer:
        assert json.load(answer) == {"ready": True}
