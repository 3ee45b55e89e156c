"""How fast training is: real tokens a CPU second, Tunewright's loop and `transformers` in turn, beside what the machine can.

    python benchmarks/train_speed.py --task trec6        one task; several take several --task; none takes all
    python benchmarks/train_speed.py --quick             two tasks, few steps, few variants: some minutes

Writes benchmarks/results/train_speed.json after every measurement and goes on from there when it is called again.
What each task and variant is stands in benchmarks/train_once.py; benchmarks/report.py makes tables of the results.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import harness
from report import PROFILE, training

ONCE = harness.ROOT / "benchmarks" / "train_once.py"
# Task → its data set, and how many examples are measured: enough that a step more or less does not matter.
TASKS = {
    "ag_news": ("ag_news", 2048),
    "trec6": ("trec6", 4096),
    "clinc150": ("clinc150", 4096),
    "waimai_10k": ("waimai_10k", 2048),
    "bert_base": ("ag_news", 512),
}
PEERS = ("textbook", "trainer", "trainer_bf16_grouped")
OURS = (
    *("ours", "ours_same_batch", "ours_frozen_words", "ours_no_kernels", "ours_plain"),
    *("ours_lora", "ours_linear_probe", "ours_masked"),
)
ENVIRONMENTS = {
    "ours_no_kernels": {"TUNEWRIGHT_KERNELS": "off"},
    "ours_masked": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"},
}
PARTIAL = ("ours_lora", "ours_linear_probe")  # they need fewer operations a token
FROZEN = ("waimai_10k",)  # tasks whose large vocabulary is frozen by default: there the other way is the comparison
WARM_UP = 64  # examples
LEAST = WARM_UP + 32  # examples of which two rounds hold the warm-up and a step
QUICK_TASKS, QUICK_VARIANTS, QUICK_EXAMPLES = ("trec6", "ag_news"), (*PEERS[1:], "ours"), 256
QUICK_RESULTS = harness.ROOT / "build" / "bench-quick"


def measures(task: str, variants: Sequence[str], examples: int, data: Path) -> list[harness.Measure]:
    """What is measured for a task: the floor, where the time of a step goes, and each variant that differs there."""
    found = []
    for variant in ("floor", "profile", *variants):
        if variant == "ours_frozen_words" and task in FROZEN:
            variant = "ours_trained_words"
        settings = {"examples": examples, "warm_up": WARM_UP}
        asked = {**settings, "task": task, "variant": variant, "data": str(data)}
        environment = ENVIRONMENTS.get(variant, {})
        found.append(harness.Measure(f"{task}/{variant}", (str(ONCE), json.dumps(asked)), settings, environment))
    return found


def summary(measured: Mapping[str, Any]) -> dict[str, Any]:
    """Task → {"floor", "profile", "variants": {variant: …}}. Ratios are of the same round; every figure with its range."""
    return {task: _of_task(task, measured) for task in TASKS if measured.get(f"{task}/floor", {}).get("rounds")}


def _of_task(task: str, measured: Mapping[str, Any]) -> dict[str, Any]:
    settings = measured[f"{task}/floor"]["settings"]
    own = {key.partition("/")[2]: entry for key, entry in measured.items() if key.startswith(f"{task}/")}
    rounds = {variant: entry["rounds"] for variant, entry in own.items() if entry["settings"] == settings}
    floor = rounds.pop("floor")
    rounds.pop("profile", None)
    values = {name: statistics.median(one[name] for one in floor) for name in floor[0] if name not in ("at", "commit")}
    rates = {name: [one["tokens"] / one["cpu_seconds"] for one in found] for name, found in rounds.items() if found}
    variants = {}
    for name, rate in rates.items():
        found = rounds[name]
        variants[name] = {
            "tokens_per_cpu_second": harness.median(rate),
            "tokens_per_second": harness.median([one["tokens"] / one["wall_seconds"] for one in found]),
            "peak_memory_mib": harness.median([one["peak_memory_mib"] for one in found]),
            "own_memory_mib": harness.median([one["own_memory_mib"] for one in found]),
            "share_of_bf16_peak": None
            if name in PARTIAL
            else statistics.median(rate) * values["flops_per_token"] / values["bf16_best"],
            "padding": 1 - found[0]["tokens"] / found[0]["computed_tokens"] if "computed_tokens" in found[0] else None,
            "precision": found[0].get("precision"),
            "rounds": len(found),
        }
        for peer in PEERS[1:]:
            if pairs := list(zip(rate, rates.get(peer, ()), strict=False)):
                variants[name][f"times_{peer}"] = harness.median([own / its for own, its in pairs])
    commits = sorted({one["commit"] for found in rounds.values() for one in found})
    return {
        "floor": values,
        "profile": _profile(own.get("profile")),
        "commits": commits,
        "settings": settings,
        "variants": variants,
    }


def _profile(entry: Mapping[str, Any] | None) -> dict[str, float]:
    """Part of a step → its share, which hardly depends on how many examples were measured; {} before it is measured."""
    rounds = entry["rounds"] if entry else []
    return {name: statistics.median(one[name] for one in rounds) for name in PROFILE} if rounds else {}


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    harness.add_options(parser)
    parser.add_argument("--task", action="append", choices=TASKS, help="only this one; may be repeated")
    parser.add_argument("--variant", action="append", choices=(*PEERS, *OURS), help="only this one; may be repeated")
    parser.add_argument("--examples", type=harness.whole, help=f"examples measured, a multiple of 32, {LEAST} or more")
    parser.add_argument("--quick", action="store_true", help="few tasks, variants and steps, into build/bench-quick")
    options = parser.parse_args()
    if options.examples and options.examples < LEAST:
        parser.error(f"--examples {options.examples} is too few to warm up and measure: give {LEAST} or more")
    if options.quick:
        options.task, options.variant = options.task or QUICK_TASKS, options.variant or QUICK_VARIANTS
        options.examples = options.examples or QUICK_EXAMPLES
        options.results = QUICK_RESULTS if options.results == harness.RESULTS else options.results
    data = harness.data_folder(options.data).absolute()
    for task in harness.present(options.task, {task: name for task, (name, _) in TASKS.items()}, data):
        examples = TASKS[task][1]
        variants = options.variant or (*PEERS, *OURS)
        found = harness.take_turns(
            measures(task, variants, options.examples or examples, data),
            options.results / "train_speed.json",
            rounds=options.rounds,
            threads=options.threads,
            again=options.again,
            summarise=summary,
        )
        print(training({**found, "summary": {task: found["summary"][task]}}))


if __name__ == "__main__":
    main()
