"""Run measurements in turn, each in a process of its own, and keep every one of them as soon as it is there.

A measurement is a command that prints one JSON object of numbers as its last line. Variants take turns (A B A B …), so
that a machine which slows down slows them all. What is in the results' file is not measured again; what an interruption
leaves out is measured by the next call. Two calls may measure different variants into one file at the same time.
"""

from __future__ import annotations

import argparse
import datetime
import fcntl
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tunewright.core.files import read_json, write_json

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
SETS = (ROOT.parent / "shared" / "data", ROOT / "recipes" / "data")  # where data sets are looked for, in this order
PACKAGES = ("torch", "transformers", "accelerate", "tokenizers", "numpy", "tunewright")
INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")


@dataclass(frozen=True)
class Measure:
    """One variant. `settings` say what is measured: a figure measured under others does not stand for it."""

    key: str
    command: Sequence[str]
    settings: Mapping[str, Any]
    environment: Mapping[str, str] = field(default_factory=dict)


class Clock:
    """CPU and wall time from the end of step `first` to the end of step `last`, and the most memory up to then.

    Also the CPU time from the clock's making to `prepared`, and how much of the memory came after `opening`.
    """

    def __init__(self, first: int, last: int) -> None:
        self.first, self.last, self.steps = first, last, 0
        self._made = time.process_time()
        self._started = (0.0, 0.0)
        self._held = 0.0
        self.values: dict[str, float] = {}

    @property
    def running(self) -> bool:
        """Whether the step that goes on now is measured."""
        return self.first <= self.steps < self.last

    @property
    def stopped(self) -> bool:
        """Whether all steps are done."""
        return self.steps >= self.last

    def opening(self) -> None:
        """The network is opened next: what is held by now are libraries and rows."""
        self._held = memory_mib("VmRSS")

    def prepared(self) -> None:
        """All rows are ready; the first step comes next."""
        self.values["prepare_cpu_seconds"] = time.process_time() - self._made

    def step_done(self) -> None:
        """Count a step."""
        self.steps += 1
        now = (time.process_time(), time.perf_counter())
        if self.steps == self.first:
            self._started = now
        if self.steps == self.last:
            cpu, wall = (end - start for end, start in zip(now, self._started, strict=True))
            peak = peak_memory_mib()
            self.values |= {"cpu_seconds": cpu, "wall_seconds": wall, "peak_memory_mib": peak}
            self.values["own_memory_mib"] = peak - self._held


def peak_memory_mib() -> float:
    """The most memory this very program has had. `getrusage` would count the process it was started from as well."""
    return memory_mib("VmHWM")


def memory_mib(kind: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(kind)) / 1024


# --------------------------------------------------------------------------------------------------- taking turns


def take_turns(
    measures: Iterable[Measure],
    file: Path,
    *,
    rounds: int,
    threads: int,
    again: bool,
    summarise: Callable[[Mapping[str, Any]], Any],
) -> dict[str, Any]:
    """Measure each once a round, `rounds` times, and give the content of `file`, written after every measurement.

    again: measure anew what `file` holds already. summarise: from key → {"settings", "rounds"} to what is worth
    reading, kept beside the measurements. Exits with a message when `file` was measured on another machine.
    """
    measures = list(measures)
    with _changing(file, again) as content:
        kept = content["measurements"]
        for measure in measures:
            settings = {**measure.settings, "threads": threads}
            if again or kept.get(measure.key, {}).get("settings") != settings:
                kept[measure.key] = {"settings": settings, "rounds": []}
        content["summary"] = summarise(kept)
    for number in range(rounds):
        for measure in measures:
            if len(read_json(file)["measurements"][measure.key]["rounds"]) > number:
                continue
            values = _measured(measure, threads)
            with _changing(file) as content:
                content["measurements"][measure.key]["rounds"].append({**values, "at": _now(), "commit": commit()})
                content["summary"] = summarise(content["measurements"])
            shown = ", ".join(f"{name} {value:.4g}" for name, value in values.items() if isinstance(value, float))
            print(f"{measure.key}, round {number + 1} of {rounds}: {shown}", file=sys.stderr, flush=True)
    return read_json(file)


@contextmanager
def _changing(file: Path, again: bool = False) -> Iterator[dict[str, Any]]:
    """The content of `file`, to be changed inside and written afterwards, while no other call does the same."""
    file.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        content = _opened(file, again)
        yield content
        write_json(file, content)
    finally:
        os.close(folder)


def _opened(file: Path, again: bool) -> dict[str, Any]:
    here = machine()
    content = read_json(file) if file.exists() else {"machine": here, "measurements": {}}
    if changed := [name for name in here if content["machine"].get(name) != here[name]]:
        if not again:
            raise SystemExit(
                f"{file} was measured under other conditions: {', '.join(changed)} changed. Give --again to measure "
                "anew and leave those figures behind, or another folder with --results."
            )
        content = {"machine": here, "measurements": {}}
    return content


def _measured(measure: Measure, threads: int) -> dict[str, Any]:
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}
    environment |= {"HF_HUB_OFFLINE": "1", **measure.environment}
    command = [sys.executable, *measure.command]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        raise SystemExit(f"{measure.key} failed:\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def median(values: Sequence[float]) -> dict[str, float]:
    """The median with its range, as every figure is given."""
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


# ------------------------------------------------------------------------------------------------- machine and data


def machine() -> dict[str, Any]:
    """What a figure depends on beside the code."""
    information = Path("/proc/cpuinfo").read_text().splitlines()
    told = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in information)}
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {
        "cpu": told.get("model name") or platform.processor(),
        "cores": os.cpu_count(),
        "instructions": [name for name in INSTRUCTIONS if name in told.get("flags", "").split()],
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "versions": {"python": platform.python_version(), **versions},
    }


def commit() -> str:
    """The commit that is measured, with a plus where the package differs from it; "" outside a repository."""
    command = ["git", "describe", "--always", "--exclude", "*", "--abbrev=8"]
    changes = ["git", "status", "--porcelain", "--", "src"]
    try:
        found, changed = (subprocess.run(c, cwd=ROOT, capture_output=True, text=True) for c in (command, changes))
    except OSError:
        return ""
    return found.stdout.strip() + ("+" if changed.stdout.strip() else "")


def _now() -> str:
    return datetime.datetime.now().astimezone().isoformat(timespec="seconds")


def whole(text: str) -> int:
    """A count given on the command line."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)


def add_options(parser: argparse.ArgumentParser, *, rounds: str = "--rounds") -> None:
    """The options that all benchmarks have; `rounds` is the name of the one for how often each variant is measured."""
    parser.add_argument("--data", type=Path, help="folder of the data sets; one folder with train.csv each")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument(rounds, type=whole, default=3, help="measurements of each variant")
    parser.add_argument("--threads", type=whole, default=1, help="threads of each process; one is steadiest")
    parser.add_argument("--again", action="store_true", help="measure anew what is there")


def data_folder(given: Path | None) -> Path:
    """The folder of the data sets: the given one, else the first of SETS that is there."""
    return given or next((folder for folder in SETS if folder.is_dir()), SETS[-1])


def present(asked: Sequence[str] | None, sets: Mapping[str, str], data: Path) -> Iterator[str]:
    """The tasks that were asked for, or all of `sets` (task → data set) whose set is there; the rest is said.

    Exits with a message at one that was asked for and is missing.
    """
    for task in asked or sets:
        why = missing(data, sets[task])
        if why and asked:
            raise SystemExit(why)
        if why:
            print(f"{task} is left out. {why}", file=sys.stderr)
        else:
            yield task


def missing(data: Path, name: str) -> str:
    """Why the data set `name` cannot be used, in a sentence; "" when it can."""
    if (data / name / "train.csv").is_file():
        return ""
    return (
        f"The data set {name} is missing: {data / name / 'train.csv'} does not exist. Name another folder with --data."
    )
