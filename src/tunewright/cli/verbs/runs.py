"""List the runs in a folder, or show one.

Examples:

  tunewright runs

  tunewright runs show clinc150

  tunewright runs show /models/runs/first --json
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Any

import typer

from tunewright.cli import output
from tunewright.core.errors import UsageError, plural
from tunewright.core.files import read_json
from tunewright.core.run import RUNS, Run, open_run


class Action(StrEnum):
    """What else than listing can be done."""

    show = "show"


def command(
    action: Action = typer.Argument(None, metavar="show", help="Show one run instead of the list."),
    name: str = typer.Argument(None, metavar="NAME", help="The run to show: its name, or its folder."),
    folder: Path = typer.Option(RUNS, "--folder", help="The folder that holds the runs."),
    json: bool = output.JSON,
) -> None:
    if action is None:
        found = [summary(Run(path.parent)) for path in folder.glob("*/run.json")]
        found.sort(key=lambda run: (run["created"] or "", run["name"]))
        output.emit({"runs": found}) if json else _tell_all(found, folder)
        return
    if not name:
        raise UsageError("Which run? Give its name: tunewright runs show NAME. `tunewright runs` lists them.")
    run = open_run(name, folder)
    output.emit({"run": details(run)}) if json else _tell(details(run))


def summary(run: Run) -> dict[str, Any]:
    """One line of the list: {"name", "folder", "status", "created", "verdict", "metric", "value", "seconds"}.

    What a run does not have yet is None; one whose run.json cannot be read has the status "damaged".
    """
    about, report = _read(run.folder / "run.json"), _read(run.folder / "report.json")
    metric = report.get("verdict", {}).get("metric")
    return {
        "name": run.name,
        "folder": run.folder,
        "status": about.get("status", "damaged"),
        "created": about.get("created"),
        "verdict": report.get("verdict", {}).get("verdict"),
        "metric": metric,
        "value": report.get("results", {}).get("tuned", {}).get(metric),
        "seconds": report.get("training", {}).get("seconds"),
    }


def details(run: Run) -> dict[str, Any]:
    """What a run is about: its summary, sentence, data, model, baselines, where its files lie, and how it goes on."""
    about, report = _read(run.folder / "run.json"), _read(run.folder / "report.json")
    metric = report.get("verdict", {}).get("metric")
    results = report.get("results", {})
    there = {name: run.folder / name for name in ("recipe.yaml", "report.html", "errors.csv", "bundle")}
    return {
        **summary(run),
        "command": about.get("command"),
        "again": run.again if about.get("status", "finished") != "finished" else None,
        "sentence": report.get("verdict", {}).get("sentence"),
        "test_uses": report.get("verdict", {}).get("test_uses"),
        "sources": report.get("data", {}).get("sources"),
        "rows": {
            name: part.get("used") for name, part in report.get("data", {}).get("ledger", {}).get("rows", {}).items()
        },
        "backbone": report.get("model", {}).get("backbone"),
        "method": report.get("model", {}).get("method"),
        "baselines": {name: values.get(metric) for name, values in results.get("baselines", {}).items()},
        "files": {name: path for name, path in there.items() if path.exists()},
    }


def _read(path: Path) -> dict[str, Any]:
    """A JSON object of a run, {} where it is not there or not whole."""
    try:
        found = read_json(path)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _tell_all(found: list[dict[str, Any]], folder: Path) -> None:
    if not found:
        output.say(f"No runs in {folder}/ yet. `tunewright train recipe.yaml` makes one.")
        return
    rows = [
        [
            run["name"],
            run["status"],
            run["verdict"] or "",
            _measure(run),
            _duration(run["seconds"]),
            _day(run["created"]),
        ]
        for run in found
    ]
    output.table(["run", "status", "verdict", "result", "training", "created"], rows)
    output.say("\n`tunewright runs show NAME` tells more.")


def _tell(run: dict[str, Any]) -> None:
    sentence = run["sentence"] or {}
    output.say(f"{run['name']}: {run['status']}, created {_day(run['created'])}")
    if sentence:
        output.say(sentence["en"])
    method = (run["method"] or {}).get("name")
    rows = ", ".join(
        f"{name} {plural(run['rows'][name], 'row')}" for name in ("train", "validation", "test") if name in run["rows"]
    )
    lines = [
        ["data", rows],
        ["model", f"{run['backbone']}, method {method}" if run["backbone"] else ""],
        ["result", _measure(run)],
        *([f"baseline {name}", _measure({**run, "value": value})] for name, value in run["baselines"].items()),
        ["training", _duration(run["seconds"])],
        ["command", run["command"] or ""],
        *([name, str(path)] for name, path in run["files"].items()),
    ]
    width = max(len(name) for name, _ in lines)
    for name, value in lines:
        if value:
            output.say(f"  {name:<{width}}  {value}")
    if run["again"]:
        output.say(f"Not finished. Go on with: {run['again']}")


def _measure(run: dict[str, Any]) -> str:
    from tunewright.stages.report import formats

    return f"{run['metric']} {formats.measure(run['value'], run['metric'])}" if run["value"] is not None else ""


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _day(created: str | None) -> str:
    return (created or "")[:16].replace("T", " ")
