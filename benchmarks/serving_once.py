"""One server, started, asked by many at once, and stopped: what serving.py runs, again and again.

    python benchmarks/serving_once.py '{"variant": "ours", "folder": "build/benchmarks/inference/clinc150-1000-all", …}'

Prints one JSON object; see `main`. The server has one core for each of its threads, and what asks has the others, so that a
server is not slowed by its clients. A client asks again as soon as it has its answer, over a connection that stays open.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

HERE = Path(__file__).parent
THREADS = int(os.environ.get("OMP_NUM_THREADS", "1"))
WARM_UP = 64  # requests before the clock starts, by as many clients as are measured
START_UP = 120.0  # seconds a server may take until it answers
STOP = 20.0  # seconds it may take to end


@dataclass(frozen=True)
class Server:
    """How a server is started and asked. command: from folder and port; body: the JSON of a request for one text; label: the
    answer in a response."""

    command: Callable[[Path, int], Sequence[str]]
    route: str
    body: Callable[[str], Any]
    label: Callable[[Any], str]


def _peer(program: str, *settings: str) -> Server:
    return Server(
        lambda folder, port: (sys.executable, str(HERE / program), str(folder), str(port), *settings),
        "/predict",
        lambda text: {"text": text},
        lambda answer: answer["label"],
    )


def _ours(bundle: str) -> Server:
    return Server(
        lambda folder, port: (sys.executable, "-m", "tunewright.cli.main", "serve", str(folder / bundle), "--port", str(port)),
        "/v1/predict",
        lambda text: {"inputs": [text]},
        lambda answer: answer["predictions"][0]["label"],
    )  # fmt: skip


SERVERS = {
    "fastapi": _peer("serving_fastapi.py"),
    "litserve": _peer("serving_litserve.py", "1"),
    "litserve_batched": _peer("serving_litserve.py", "32"),
    "ours": _ours("run/bundle"),
    "ours_compressed": _ours("ours_compressed"),
    "ours_static": _ours("ours_static"),
}


async def ask(port: int, server: Server, texts: Sequence[str], clients: int, seconds: float | None) -> list[Any]:
    """(milliseconds, text's number, label) of every request. seconds: how long is asked; None: each text once.

    Raises RuntimeError at an answer that is none.
    """
    found: list[Any] = []
    number, end = 0, None if seconds is None else time.perf_counter() + seconds

    async def client() -> None:
        nonlocal number
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            while (number < len(texts)) if end is None else (time.perf_counter() < end):
                own, number = number % len(texts), number + 1
                body = json.dumps(server.body(texts[own])).encode()
                head = f"POST {server.route} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
                began = time.perf_counter()
                writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
                answer = await _answer(reader)
                found.append(((time.perf_counter() - began) * 1000, own, server.label(answer)))
        finally:
            writer.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return found


async def _answer(reader: asyncio.StreamReader) -> Any:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    size = next(
        (int(line.partition(":")[2]) for line in head.split("\r\n") if line.startswith("content-length:")), None
    )
    body = await reader.readexactly(size or 0)
    if not head.startswith("http/1.1 200"):
        raise RuntimeError(f"{head.partition(chr(13))[0]}: {body[:500]!r}")
    return json.loads(body)


def _started(server: Server, folder: Path, first: str) -> tuple[psutil.Popen, int, float]:
    """The process, its port, and the seconds from its start to its first answer."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    began = time.perf_counter()
    process = psutil.Popen(
        server.command(folder, port), stdout=subprocess.DEVNULL, stderr=sys.stderr, cwd=HERE.parent, start_new_session=True
    )  # fmt: skip
    while time.perf_counter() < began + START_UP and process.poll() is None:
        try:
            asyncio.run(ask(port, server, [first], 1, None))
        except OSError:
            time.sleep(0.02)
        else:
            return process, port, time.perf_counter() - began
    _stop(process)
    raise SystemExit(f"The server did not answer within {START_UP:.0f} s.")


def _stop(process: psutil.Popen) -> None:
    """End the server and what it has started, whether it hears or not."""
    own = _family(process) if process.is_running() else []
    for one in own[:1]:
        one.terminate()
    _, left = psutil.wait_procs(own, timeout=STOP)
    for one in left:
        one.kill()


def _family(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def _cpu_seconds(process: psutil.Process) -> float:
    return sum(one.cpu_times().user + one.cpu_times().system for one in _family(process))


def _memory_mib(process: psutil.Process) -> float:
    """What the server's processes have, what they share counted once."""
    return sum(one.memory_full_info().pss for one in _family(process)) / 2**20


def main() -> None:
    """Measure what the argument says.

    start_up_seconds: to the first answer; for each number of clients c: c{c}_per_second, c{c}_p50_ms, c{c}_p99_ms,
    c{c}_cpu_ms (of the server, a request); memory_mib after all of it; accuracy; flips: answers that differ from those of
    the saved model in fp32.
    """
    asked = json.loads(sys.argv[1])
    rows = json.loads(Path(asked["rows"]).read_text("utf-8"))
    server, texts = SERVERS[asked["variant"]], rows["texts"]
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, set(cores[:THREADS]))  # what is started here inherits it
    process, port, start_up = _started(server, Path(asked["folder"]), texts[0])
    os.sched_setaffinity(0, set(cores[THREADS:] or cores))
    try:
        values = {"start_up_seconds": start_up, **_loads(process, port, server, texts, asked)}
        labels = {own: label for _, own, label in asyncio.run(ask(port, server, texts, 8, None))}
    finally:
        _stop(process)
    values["accuracy"] = statistics.mean(labels[own] == gold for own, gold in rows["labels"])
    values["flips"] = sum(labels[own] != exact for own, exact in enumerate(rows["exact"]))
    print(json.dumps({**values, "texts": len(texts)}))


def _loads(process: psutil.Process, port: int, server: Server, texts: Sequence[str], asked: Any) -> dict[str, float]:
    values = {}
    for clients in asked["clients"]:
        asyncio.run(ask(port, server, texts[:WARM_UP], clients, None))
        cpu, began = _cpu_seconds(process), time.perf_counter()
        found = asyncio.run(ask(port, server, texts, clients, asked["seconds"]))
        elapsed = time.perf_counter() - began
        times = sorted(one for one, _, _ in found)
        values |= {
            f"c{clients}_per_second": len(found) / elapsed,
            f"c{clients}_p50_ms": statistics.median(times),
            f"c{clients}_p99_ms": times[min(len(times) - 1, int(len(times) * 0.99))],
            f"c{clients}_cpu_ms": (_cpu_seconds(process) - cpu) / len(found) * 1000,
            f"c{clients}_requests": len(found),
        }
    return {**values, "memory_mib": _memory_mib(process)}


if __name__ == "__main__":
    main()
