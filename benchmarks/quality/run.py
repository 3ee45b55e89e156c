"""What recipes with nothing but defaults reach on public data sets: one training each, judged on the sealed test split.

    python benchmarks/quality/run.py               all recipes of this folder that have no result yet
    python benchmarks/quality/run.py wikigold      these, anew

A recipe's paths are those in the folder of the data sets (see --data). Writes results.json after every recipe, and the table in
README.md. The runs with their reports stay under build/benchmarks/quality.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))
import harness

from tunewright.core.files import read_json, write_json, write_text
from tunewright.core.report import Report

HERE = Path(__file__).parent
RUNS = harness.ROOT / "build" / "benchmarks" / "quality"
NAMES = {"en": "English", "zh": "Chinese"}


@dataclass(frozen=True)
class Goal:
    """What is asked of a recipe: a figure of the report, by its place under results.tuned, and the least it should be."""

    name: str
    place: str
    least: float


GOALS = {
    "wikigold": Goal("F1", "f1", 0.70),
    "resume_ner_zh": Goal("F1", "f1", 0.90),
    "sts_b": Goal("Spearman", "spearman", 0.82),
    "mrpc": Goal("F1 of paraphrases", "per_class.1.f1", 0.86),
    "snips_slots": Goal("intents", "intent_accuracy", 0.97),
    "semeval2010_task8": Goal("SemEval's F1", "relation_f1", 0.82),
}


def once(name: str, data: Path, threads: int) -> dict[str, Any]:
    """Train one recipe in a process of its own, and give what the table needs. Exits with its message if it fails."""
    recipe, out = HERE / f"{name}.yaml", RUNS / name
    if out.exists():
        shutil.rmtree(out)
    places = yaml.safe_load(recipe.read_text(encoding="utf-8"))["data"]
    command = [sys.executable, "-m", "tunewright.cli.main", "train", str(recipe), "--out", str(out), "--json"]
    for key in ("train", "validation", "test"):
        if key in places:
            command += ["--set", f"data.{key}={(data / places[key]).absolute()}"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode not in (0, 2):
        raise SystemExit(f"{name} failed: {' '.join(command)}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = sum(getattr(after, kind) - getattr(before, kind) for kind in ("ru_utime", "ru_stime"))
    return {**_figures(Report.load(out), read_json(out / "verdict.json")), "cpu_seconds": round(seconds)}


def _figures(report: Report, verdict: Mapping[str, Any]) -> dict[str, Any]:
    tuned = report.get("results.tuned")
    return {
        "task": report.get("task"),
        "language": report.get("language"),
        "backbone": report.get("recipe.model.backbone"),
        "rows": report.get("data.ledger.rows.train.used"),
        "test_rows": verdict["rows"],
        "epochs": report.get("recipe.train.epochs"),
        "metric": verdict["metric"],
        "tuned": {name: value for name, value in tuned.items() if name != "confusion"},
        "against": verdict["against"],
        "difference": {key: verdict["difference"][key] for key in ("value", "low", "high")},
        "verdict": verdict["verdict"],
        "sentence": verdict["sentence"]["en"],
    }


def table(found: Mapping[str, Any]) -> str:
    """The results as Markdown."""
    head = ("recipe", "task", "training rows", "metric", "test", "over the best baseline", "asked", "CPU minutes")
    lines = [head, tuple("---" for _ in head)]
    for name, one in sorted(found.items(), key=lambda item: (item[1]["task"], item[0])):
        gain = one["difference"]
        lines.append(
            (
                f"[{name}]({name}.yaml), {NAMES.get(one['language'], one['language'])}",
                one["task"],
                f"{one['rows']:,}".replace(",", " "),
                one["metric"],
                _percent(one["tuned"][one["metric"]]),
                f"{one['against']}: {_points(gain['value'])} ({_points(gain['low'])} to {_points(gain['high'])})",
                _asked(name, one),
                str(round(one["cpu_seconds"] / 60)),
            )
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _asked(name: str, one: Mapping[str, Any]) -> str:
    if (goal := GOALS.get(name)) is None:
        return ""
    value: Any = one["tuned"]
    for key in goal.place.split("."):
        value = value[key]
    return (
        f"{goal.name} {_percent(goal.least)}: {'reached' if value >= goal.least else 'not reached'}, {_percent(value)}"
    )


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _points(value: float) -> str:
    return f"{100 * value:+.1f}"


def write_page(found: Mapping[str, Any]) -> None:
    """Put the table between its marks in README.md."""
    page = HERE / "README.md"
    before, mark, rest = page.read_text(encoding="utf-8").partition("<!-- begin quality -->\n")
    _, end, after = rest.partition("<!-- end quality -->")
    write_text(page, f"{before}{mark}{table(found)}\n{end}{after}")


def main() -> None:
    """Train what is asked for, and print the table."""
    names = sorted(file.stem for file in HERE.glob("*.yaml"))
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "recipe", nargs="*", choices=[*names, []], help="only these, anew; default: all without a result"
    )
    parser.add_argument("--data", type=Path, help="folder of the data sets")
    parser.add_argument("--threads", type=harness.whole, default=1, help="threads of each process; one is steadiest")
    options = parser.parse_args()
    if wrong := [name for name in options.recipe if name not in names]:
        parser.error(f"there is no recipe {', '.join(wrong)}; known: {', '.join(names)}")
    data, file = harness.data_folder(options.data), HERE / "results.json"
    content = read_json(file) if file.exists() else {}
    for name in options.recipe or [name for name in names if name not in content]:
        train = data / yaml.safe_load((HERE / f"{name}.yaml").read_text(encoding="utf-8"))["data"]["train"]
        if not train.exists():
            print(f"{name} is left out: there is no {train}.", file=sys.stderr)
            continue
        result = {**once(name, data, options.threads), "commit": harness.commit()}
        content = {**(read_json(file) if file.exists() else {}), name: result}
        write_json(file, dict(sorted(content.items())))
        write_page(content)
    print(table(content))


if __name__ == "__main__":
    main()
