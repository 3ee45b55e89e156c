"""From benchmarks/results/*.json to the tables and plots of docs/benchmarks.md; no figure there is typed by hand.

    python benchmarks/report.py        draw the plots (needs matplotlib: pip install '.[bench]') and rewrite the page

docs/make_reference.py takes the tables from PARTS, so tests/test_docs.py notices a page that is not up to date.
"""

from __future__ import annotations

import itertools
import json
import math
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
IMAGES = ROOT / "docs" / "images"
# In the order of the tables; what each is, is told on the page and in benchmarks/train_once.py.
VARIANTS = {
    "textbook": "textbook script",
    "trainer": "Trainer",
    "trainer_bf16_grouped": "Trainer, bf16, grouped by length",
    "ours_no_kernels": "Tunewright without its kernels",
    "ours_same_batch": "Tunewright, batches of 16",
    "ours": "Tunewright",
    "ours_frozen_words": "Tunewright, word embeddings frozen",
    "ours_trained_words": "Tunewright, word embeddings trained",
    "ours_lora": "Tunewright, LoRA",
    "ours_linear_probe": "Tunewright, linear probe",
    "ours_plain": "Tunewright, plain and fp32",
    "ours_masked": "Tunewright, instructions for bf16 masked",
}
TASKS = {
    "ag_news": "AG News: short news, MiniLM (6 layers, 384 wide)",
    "trec6": "TREC-6: questions, MiniLM (6 layers, 384 wide)",
    "sst2": "SST-2: sentences of film reviews, MiniLM (6 layers, 384 wide)",
    "clinc150": "CLINC150: short requests, MiniLM (6 layers, 384 wide)",
    "waimai_10k": "Waimai: Chinese reviews, multilingual E5-small (12 layers, 384 wide)",
    "bert_base": "AG News, a network of BERT-base's shape with random weights (12 layers, 768 wide)",
}
PEER_COLOUR, OTHER_PEER_COLOUR, OUR_COLOUR = "#9aa5b1", "#c47f2c", "#2563a8"


# ------------------------------------------------------------------------------------------------------------ tables


def machine(name: str = "train_speed") -> str:
    """What the figures of a file of results were measured on."""
    content = _content(name)
    if content is None:
        return _NOTHING
    here, versions = content["machine"], content["machine"]["versions"]
    commits = sorted({commit for task in content["summary"].values() for commit in task["commits"]})
    threads = sorted({str(task["settings"]["threads"]) for task in content["summary"].values()})
    waiting = _waiting(content)
    rows = [
        ("processor", here["cpu"]),
        ("cores, memory", f"{here['cores']}, {here['memory_gib']} GiB"),
        (
            "instruction sets",
            ", ".join(f"`{name}`" for name in here["instructions"]) or "none of those that matter here",
        ),
        ("threads of each process", ", ".join(threads)),
        *([("time on the wall a CPU second (1: nothing else was running)", f"{waiting:.1f}")] if waiting else []),
        ("versions", ", ".join(f"{name} {version}" for name, version in versions.items())),
        ("commit", ", ".join(f"`{commit}`" for commit in commits)),
    ]
    return _table(("", ""), rows)


def _waiting(content: Mapping[str, Any]) -> float | None:
    """Wall time over CPU time of all measurements, on the median: how much the processor had to do beside them. None where
    a measurement is not of computing alone."""
    ratios = [
        one["wall_seconds"] * entry["settings"]["threads"] / one["cpu_seconds"]
        for entry in content["measurements"].values()
        for one in entry["rounds"]
        if "cpu_seconds" in one
    ]
    return statistics.median(ratios) if ratios else None


def training(content: Mapping[str, Any] | None = None) -> str:
    """A table for each task that was measured."""
    content = content or _content()
    if content is None:
        return _NOTHING
    parts = []
    for task, found in _tasks(content):
        settings = found["settings"]
        parts.append(
            f"### {TASKS[task]}\n\n{settings['examples']} texts of {found['floor']['mean_tokens']:.0f} tokens on average; "
            f"{min(variant['rounds'] for variant in found['variants'].values())} rounds.\n"
        )
        parts.append(_table(_COLUMNS, [_row(name, found) for name in VARIANTS if name in found["variants"]]))
    return "\n".join(parts)


_COLUMNS = (
    "variant",
    "tokens a CPU second (least to most)",
    "times Trainer",
    "times Trainer, bf16, grouped",
    "share of the bf16 peak",
    "padding",
    "peak memory",
    "of it for training",
)


def _row(name: str, found: Mapping[str, Any]) -> tuple[str, ...]:
    values = found["variants"][name]
    return (
        VARIANTS[name],
        _ranged(values["tokens_per_cpu_second"], _whole),
        *(_ranged(values.get(f"times_{peer}"), _times) for peer in ("trainer", "trainer_bf16_grouped")),
        "–" if values["share_of_bf16_peak"] is None else f"{values['share_of_bf16_peak']:.0%}",
        "none" if values["padding"] is None else f"{values['padding']:.0%}",
        *(f"{_whole(values[name]['median'])} MiB" for name in ("peak_memory_mib", "own_memory_mib")),
    )


def floor() -> str:
    """What the machine's matrix products would allow, beside what each task's fastest variant reaches."""
    content = _content()
    if content is None:
        return _NOTHING
    rows = []
    for task, found in _tasks(content):
        values = found["floor"]
        best = max(found["variants"].values(), key=lambda variant: variant["share_of_bf16_peak"] or 0)
        rows.append(
            (
                _short(task),
                f"{values['flops_per_token'] / 1e6:.0f} million",
                *(f"{values[name] / 1e9:.0f}" for name in ("fp32_best", "fp32_all", "bf16_best", "bf16_all")),
                _whole(values["bf16_best"] / values["flops_per_token"]),
                f"{best['share_of_bf16_peak']:.0%}",
            )
        )
    head = ("task", "operations a token", "fp32: fastest", "all", "bf16: fastest", "all", "bound", "reached")
    return _table(head, rows)


def reached() -> str:
    """The outcome of each task in a sentence."""
    content = _content()
    if content is None:
        return _NOTHING
    lines = []
    for task, found in _tasks(content):
        ours = found["variants"].get("ours", {})
        if all(f"times_{peer}" in ours for peer in ("trainer", "trainer_bf16_grouped")):
            lines.append(
                f"- {_short(task)}: "
                f"{_times(ours['times_trainer']['median'])} times `Trainer` as it comes, "
                f"{_times(ours['times_trainer_bf16_grouped']['median'])} times `Trainer` with bf16 and grouping; "
                f"{ours['share_of_bf16_peak']:.0%} of what the matrix products alone would allow."
            )
    return "\n".join(lines)


def quality(content: Mapping[str, Any] | None = None) -> str:
    """A row for each variant of each task whose peer was measured."""
    content = content or _content("time_to_quality")
    if content is None:
        return _NOTHING
    rows = []
    for task, found in _complete(content):
        for name in QUALITY_VARIANTS:
            if about := found["variants"].get(name):
                times = [about.get(f"times_{peer}") for peer in QUALITY_VARIANTS[:-1]]
                rate = about.get("learning_rate")
                rows.append(
                    (
                        _short(task),
                        VARIANTS[name] + ("" if rate is None else f", {rate:g}"),
                        _ranged(about["to_goal"], _seconds),
                        f"{about['reached']} of {len(about['runs'])}",
                        *("" if time is None else _times(time) for time in times),
                        _ranged(about["cpu_seconds"], _seconds),
                        f"{about['accuracy']['mean']:.1%} ({_spread(about['accuracy'])})",
                    )
                )
    return _table(_QUALITY_COLUMNS, rows)


QUALITY_VARIANTS = ("trainer", "trainer_bf16_grouped", "ours")
_COLOURS = dict(zip(QUALITY_VARIANTS, (PEER_COLOUR, OTHER_PEER_COLOUR, OUR_COLOUR), strict=True))
_QUALITY_COLUMNS = (
    "task",
    "variant, learning rate",
    "CPU seconds to the goal",
    "runs that reach it",
    "times Trainer",
    "times Trainer, bf16, grouped",
    "CPU seconds of the whole run",
    "its test accuracy",
)


def quality_tasks() -> str:
    """What is learned from in each task, and what the goal is."""
    content = _content("time_to_quality")
    if content is None:
        return _NOTHING
    rows = []
    for task, found in _complete(content):
        settings, peer = found["settings"], found["variants"]["trainer"]
        tried = ", ".join(f"{rate}: {accuracy:.1%}" for rate, accuracy in peer["search"].items())
        rows.append(
            (
                TASKS[task],
                _whole(settings["rows"]),
                str(settings["epochs"]),
                tried,
                f"{_seconds(peer['search_cpu_seconds'])} s",
                f"{found['quality']:.1%}",
                f"{found['goal']:.1%}",
            )
        )
    head = ("task", "rows", "epochs of the peers", "Trainer's rates, on validation", "search", "quality", "goal")
    return _table(head, rows)


def quality_reached() -> str:
    """The outcome over all tasks in a sentence or two."""
    content = _content("time_to_quality")
    if content is None:
        return _NOTHING
    tasks = [(task, found["variants"]) for task, found in _complete(content)]
    lines = []
    for peer in QUALITY_VARIANTS[:-1]:
        times = {_short(task): variants["ours"].get(f"times_{peer}") for task, variants in tasks if peer in variants}
        if not times:
            continue
        reached = {task: time for task, time in times.items() if time}
        mean = f"{_times(statistics.geometric_mean(reached.values()))} times" if reached else "never"
        never = ", ".join(task for task in times if task not in reached)
        lines.append(
            f"- Less CPU time than {VARIANTS[peer]}: {mean}"
            + (f", geometric mean over {', '.join(reached)}" if reached else "")
            + (f"; the goal is not reached, and stands in no mean, on {never}" if never else "")
            + "."
        )
    return "\n".join(lines)


def scaling(content: Mapping[str, Any] | None = None) -> str:
    """A row for each variant at each size."""
    content = content or _content("scaling")
    if content is None:
        return _NOTHING
    head = (
        "rows",
        "texts in one",
        "threads",
        "variant",
        "CPU seconds before the first step",
        "tokens a CPU second",
        "tokens a second on the wall",
        "peak memory",
    )
    sizes = ("rows", "length", "threads")
    found = sorted(content["summary"], key=lambda one: [one["settings"][name] for name in reversed(sizes)])
    rows = [
        (
            *(_whole(one["settings"][name]) for name in sizes),
            SCALING_VARIANTS[one["variant"]],
            f"{one['prepare_cpu_seconds']:.1f}",
            *(_ranged(one[f"tokens_per_{name}"], _whole) for name in ("cpu_second", "wall_second")),
            f"{_whole(one['peak_memory_mib'])} MiB",
        )
        for one in found
    ]
    waiting = _waiting(
        {"measurements": {key: e for key, e in content["measurements"].items() if e["settings"]["threads"] == 1}}
    )
    told = f"Time on the wall a CPU second, one thread: {waiting:.1f} (1: nothing else was running)."
    return f"{_table(head, rows)}\n{told}"


def methods(content: Mapping[str, Any] | None = None) -> str:
    """A row for each tuning method, the most accurate first."""
    content = content or _content("methods")
    if content is None or not content["summary"]:
        return _NOTHING
    found = sorted(content["summary"].items(), key=lambda item: -item[1]["accuracy"]["median"])
    rows = [
        (
            f"`{name}`",
            _ranged(about["accuracy"], _percent),
            _ranged(about["cpu_seconds"], _whole),
            *(f"{_whole(about[memory]['median'])} MiB" for memory in ("peak_memory_mib", "own_memory_mib")),
            _whole(about["trained_parameters"]),
            f"{about['trained_parameters'] / about['parameters']:.2%}",
            "yes" if about["merged"] else "no",
        )
        for name, about in found
    ]
    head = (
        "method",
        "test accuracy (least to most)",
        "CPU seconds of training",
        "peak memory",
        "of it for training",
        "trained parameters",
        "share of all",
        "plain in the end",
    )
    about = found[0][1]
    told = (
        f"{_whole(about['rows'])} rows for training and validation, at most {about['epochs']} epochs; "
        f"seeds: {about['seeds']}."
    )
    return f"{_table(head, rows)}\n{told}\n"


FEW_SHOT_VARIANTS = {
    "setfit": "SetFit",
    "few_shot": "Tunewright, `start: few_shot`",
    "full": "Tunewright, plain fine-tuning",
}
FEW_SHOT_TASKS = {"trec6": "TREC-6, MiniLM", "tnews_fewclue": "TNEWS, multilingual E5-small"}


def few_shot(content: Mapping[str, Any] | None = None) -> str:
    """What each way makes of a few rows of each label."""
    content = content or _content("few_shot")
    if content is None or not content["summary"]:
        return _NOTHING
    rows = [
        (
            FEW_SHOT_TASKS[task],
            FEW_SHOT_VARIANTS[variant],
            _whole(about["rows"]),
            _ranged(about["accuracy"], _percent),
            _ranged(about["cpu_seconds"], _whole),
            _whole(about["seeds"]),
        )
        for task, variants in content["summary"].items()
        for variant, about in variants.items()
    ]
    return _table(("data", "way", "rows", "test accuracy (least to most)", "CPU seconds", "seeds"), rows)


def _percent(value: float) -> str:
    return f"{value:.1%}"


SCALING_VARIANTS = {"trainer": "Trainer", "ours_from_probe": "Tunewright"}


def _seconds(value: float | None) -> str:
    return "not reached" if value is None or math.isinf(value) else f"{value:,.0f}".replace(",", " ")


def _spread(values: Mapping[str, float]) -> str:
    return f"{values['least']:.1%} to {values['most']:.1%}"


def goals() -> str:
    """What is asked of each benchmark, and what it gave, task by task."""
    speed, quality_, answers, growth = (
        _content(name) for name in ("train_speed", "time_to_quality", "inference", "scaling")
    )

    def memory(variant: str, name: str, against: str) -> str:
        found = [(task, about["variants"]) for task, about in _tasks(speed or {"summary": {}})]
        return (
            ", ".join(
                f"{_short(task)} {own[variant][name]['median'] / own[against][name]['median']:.0%}"
                for task, own in found
                if variant in own and against in own
            )
            or "not measured"
        )

    def of(content: Mapping[str, Any] | None, name: str, show: Callable[[float], str]) -> str:
        found = [
            (task, about["variants"].get("ours", {}).get(name)) for task, about in _tasks(content or {"summary": {}})
        ]
        values = [(task, value["median"] if isinstance(value, Mapping) else value) for task, value in found]
        return ", ".join(f"{_short(task)} {show(value)}" for task, value in values if value) or "not measured"

    def share(value: float) -> str:
        return f"{value:.0%}"

    rows = [
        (
            "training, tokens a CPU second: times `Trainer`",
            "6, and 4 for BERT-base's shape",
            of(speed, "times_trainer", _times),
        ),
        ("the same: times `Trainer` with bf16 and grouping", "2.8", of(speed, "times_trainer_bf16_grouped", _times)),
        ("training, share of the bf16 peak", "40%", of(speed, "share_of_bf16_peak", share)),
        ("CPU time to `Trainer`'s quality: times less", "8, on average", _times_to_quality(quality_)),
        ("memory of training: share of `Trainer`'s", "below 100%", memory("ours", "peak_memory_mib", "trainer")),
        ("LoRA: share of full training's own memory", "below 50%", memory("ours_lora", "own_memory_mib", "ours")),
        (
            "linear probe: share of full training's own memory",
            "below 50%",
            memory("ours_linear_probe", "own_memory_mib", "ours"),
        ),
        ("ten times the rows: more memory", "at most 5%", _growth(growth)),
        ("answering in bulk: times the pipeline", "6", of(answers, "times_pipeline", _times)),
        ("the same: times ONNX Runtime in fp32", "2.8", of(answers, "times_onnx_fp32", _times)),
        ("one text, median: share of the pipeline's time", "at most 30%", of(answers, "p50_cpu_ms_of_pipeline", share)),
        ("the same at 99%", "at most 30%", of(answers, "p99_cpu_ms_of_pipeline", share)),
        ("memory of a MiniLM classifier, MiB", "at most 134", of(answers, "peak_memory_mib", _whole)),
        ("first answer of a fresh process, CPU seconds", "below 1", of(answers, "cold_cpu_seconds", _times)),
    ]
    return _table(("what", "goal", "reached"), rows)


def _times_to_quality(content: Mapping[str, Any] | None) -> str:
    """The geometric mean, and each task's own; a goal that is never reached stands in no mean, and is said."""
    found = [
        (task, about["variants"]["ours"]["times_trainer"]) for task, about in _complete(content or {"summary": {}})
    ]
    if not found:
        return "not measured"
    reached = [value for _, value in found if value]
    mean = f"{_times(statistics.geometric_mean(reached))}: " if len(reached) > 1 else ""
    return mean + ", ".join(f"{_short(task)} {_times(value) if value else 'never'}" for task, value in found)


def _growth(content: Mapping[str, Any] | None) -> str:
    """Peak memory at each number of rows against the one before, one thread."""
    if content is None:
        return "not measured"
    sizes = {
        one["settings"]["rows"]: one["peak_memory_mib"]
        for one in content["summary"]
        if one["variant"] == "ours_from_probe" and one["settings"]["length"] == one["settings"]["threads"] == 1
    }
    steps = list(itertools.pairwise(sorted(sizes)))
    return ", ".join(f"{_whole(few)} → {_whole(many)} {sizes[many] / sizes[few] - 1:+.0%}" for few, many in steps)


ANSWERING_VARIANTS = {
    "pipeline": "pipeline",
    "pipeline_batched": "pipeline, batches of 32",
    "sentence_transformers": "sentence-transformers",
    "onnx_fp32": "ONNX Runtime, fp32",
    "onnx_int8": "ONNX Runtime, int8",
    "ours_torch_bf16": "Tunewright, PyTorch in bf16",
    "ours_native": "Tunewright, native",
    "ours": "Tunewright",
    "ours_compressed": "Tunewright, compressed",
    "ours_static": "Tunewright, static student",
}
_ANSWERING_COLUMNS = (
    "variant",
    "texts a CPU second (least to most)",
    "times pipeline",
    "times ONNX Runtime, fp32",
    "one text: median, CPU ms",
    "99%",
    "first answer after",
    "peak memory",
    "accuracy",
    "flips",
)


def answering(content: Mapping[str, Any] | None = None) -> str:
    """A table for each task that was measured."""
    content = content or _content("inference")
    if content is None:
        return _NOTHING
    parts = []
    for task, found in _tasks(content):
        variants = {name: found["variants"][name] for name in ANSWERING_VARIANTS if name in found["variants"]}
        about = variants["ours"]
        parts.append(
            f"#### {TASKS[task]}\n\n{_whole(about['texts']['median'])} texts in bulk, {found['settings']['alone']} alone; "
            f"{min(values['rounds'] for values in variants.values())} rounds.\n"
        )
        rows = [_answering_row(ANSWERING_VARIANTS[name], values) for name, values in variants.items()]
        parts.append(_table(_ANSWERING_COLUMNS, rows))
    return "\n".join(parts)


def _answering_row(label: str, values: Mapping[str, Any]) -> tuple[str, ...]:
    middle = {name: value["median"] for name, value in values.items() if isinstance(value, dict)}
    return (
        label,
        _ranged(values["texts_per_cpu_second"], _whole),
        *(_ranged(values.get(f"times_{peer}"), _times) for peer in ("pipeline", "onnx_fp32")),
        *(f"{middle[name]:.1f}" for name in ("p50_cpu_ms", "p99_cpu_ms")),
        f"{middle['cold_cpu_seconds']:.1f} s",
        f"{_whole(middle['peak_memory_mib'])} MiB",
        f"{middle['accuracy']:.1%}",
        _whole(middle["flips"]),
    )


def answering_reached() -> str:
    """The outcome of each task in a sentence."""
    content = _content("inference")
    if content is None:
        return _NOTHING
    lines = []
    for task, found in _tasks(content):
        ours = found["variants"]["ours"]
        if "times_pipeline" in ours and "times_onnx_fp32" in ours:
            lines.append(
                f"- {_short(task)}: {_times(ours['times_pipeline']['median'])} times the pipeline's texts a CPU second, "
                f"{_times(ours['times_onnx_fp32']['median'])} times those of ONNX Runtime in fp32; one text takes "
                f"{ours['p50_cpu_ms_of_pipeline']['median']:.0%} of the pipeline's time on the median, "
                f"{ours['p99_cpu_ms_of_pipeline']['median']:.0%} at 99%."
            )
    return "\n".join(lines)


def bulk(content: Mapping[str, Any] | None = None) -> str:
    """What answering a file takes, by its rows."""
    content = content or _content("bulk")
    if content is None:
        return _NOTHING
    rows = [
        (
            _whole(found["rows"]),
            _whole(found["rows"] / found["cpu_seconds"]),
            f"{_whole(found['cpu_seconds'])} s",
            f"{_whole(found['peak_memory_mib'])} MiB",
        )
        for found in content["summary"].values()
    ]
    return _table(("rows", "rows a CPU second", "CPU time", "peak memory"), rows)


SERVERS = {
    "fastapi": "pipeline behind FastAPI",
    "litserve": "LitServe",
    "litserve_batched": "LitServe, batches of 32",
    "ours": "Tunewright",
    "ours_compressed": "Tunewright, compressed",
    "ours_static": "Tunewright, static student",
}


def serving(content: Mapping[str, Any] | None = None) -> str:
    """What each server does for 1, 16 and 64 clients, and what it takes."""
    content = content or _content("serving")
    if content is None or not content["summary"]:
        return _NOTHING
    ((task, found),) = content["summary"].items()
    variants = {name: found["variants"][name] for name in SERVERS if name in found["variants"]}
    clients, seconds = found["settings"]["clients"], found["settings"]["seconds"]
    about = (
        f"#### {TASKS[task]}\n\nEach number of clients asks for {seconds:g} s; "
        f"{min(values['rounds'] for values in variants.values())} rounds.\n"
    )
    rates = [
        (SERVERS[name], str(count), *_rate(values, count), *_against(values, count))
        for count in clients
        for name, values in variants.items()
    ]
    rate_head = ("server", "clients", "requests a second (least to most)", "median", "99%", "server's CPU a request")
    costs = [
        (
            SERVERS[name],
            _ranged(values["start_up_seconds"], lambda value: f"{value:.1f} s"),
            _ranged(values["memory_mib"], lambda value: f"{_whole(value)} MiB"),
            f"{values['accuracy']['median']:.1%}",
            _whole(values["flips"]["median"]),
        )
        for name, values in variants.items()
    ]
    return "\n".join(
        (
            about,
            _table((*rate_head, *(f"times {SERVERS[peer]}" for peer in PEERS)), rates),
            _table(("server", "first answer after", "memory", "accuracy", "flips"), costs),
        )
    )


PEERS = ("fastapi", "litserve", "litserve_batched")


def _rate(values: Mapping[str, Any], clients: int) -> tuple[str, ...]:
    return (
        _ranged(values[f"c{clients}_per_second"], _whole),
        *(f"{values[f'c{clients}_{name}_ms']['median']:.1f} ms" for name in ("p50", "p99", "cpu")),
    )


def _against(values: Mapping[str, Any], clients: int) -> tuple[str, ...]:
    return tuple(_ranged(values.get(f"times_{peer}_c{clients}"), _times) for peer in PEERS)


def _short(task: str) -> str:
    return "BERT-base's shape" if task == "bert_base" else TASKS[task].partition(":")[0]


def _tasks(content: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    found = content["summary"]
    return [(task, found[task]) for task in TASKS if found.get(task, {}).get("variants")]


def _complete(content: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Tasks where both sides were measured with the same number of seeds; `make bench-quality` goes on with the others."""
    counts = {task: {len(one["runs"]) for one in found["variants"].values()} for task, found in _tasks(content)}
    return [(task, found) for task, found in _tasks(content) if "ours" in found["variants"] and len(counts[task]) == 1]


def _content(name: str = "train_speed") -> Mapping[str, Any] | None:
    file = RESULTS / f"{name}.json"
    return json.loads(file.read_text("utf-8")) if file.exists() else None


_NOTHING = "Not measured yet."


def _ranged(values: Mapping[str, float] | None, shown: Callable[[float], str]) -> str:
    if values is None:
        return ""
    if values["least"] == values["most"]:
        return shown(values["median"])
    return f"{shown(values['median'])} ({shown(values['least'])} to {shown(values['most'])})"


def _whole(value: float) -> str:
    return f"{value:,.0f}".replace(",", " ")


def _times(value: float) -> str:
    return f"{value:.2f}"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


PROFILE = {
    "products": "matrix products",
    "attention": "attention",
    "normalisation": "normalisation",
    "activation": "activation",
    "update": "clipping, optimizer, average",
    "copies": "copies, casts, sums",
    "rest": "the rest: Python, autograd",
}


def profile() -> str:
    """Where the time of a training step goes, task by task."""
    tasks = [(task, found["profile"]) for task, found in _tasks(_content() or {"summary": {}}) if found.get("profile")]
    if not tasks:
        return _NOTHING
    rows = [(_short(task), *(f"{parts[name]:.0%}" for name in PROFILE)) for task, parts in tasks]
    return _table(("task", *PROFILE.values()), rows)


PARTS: dict[str, Callable[[], str]] = {
    "bench_profile": profile,
    "bench_machine": machine,
    "bench_reached": reached,
    "bench_training": training,
    "bench_floor": floor,
    "bench_goals": goals,
    "bench_quality_reached": quality_reached,
    "bench_quality_tasks": quality_tasks,
    "bench_quality": quality,
    "bench_scaling": scaling,
    "bench_methods": methods,
    "bench_few_shot": few_shot,
    "bench_answering_reached": answering_reached,
    "bench_answering": answering,
    "bench_bulk": bulk,
    "bench_compressed": lambda: answering(_content("compressed")) if _content("compressed") else _NOTHING,
    "bench_compressed_machine": lambda: machine("compressed"),
    "bench_serving": serving,
    "bench_serving_machine": lambda: machine("serving"),
    "bench_answering_machine": lambda: machine("inference"),
}


# ------------------------------------------------------------------------------------------------------------- plots


def draw_training(target: Path) -> None:
    """Bars of each task's variants that train all layers, with the least and the most of the rounds."""
    pyplot = _pyplot()
    tasks = _tasks(_content())
    shown = {
        task: [name for name in VARIANTS if found["variants"].get(name, {}).get("share_of_bf16_peak")]
        for task, found in tasks
    }
    counts = [len(names) for names in shown.values()]
    figure, axes = pyplot.subplots(
        len(tasks), 1, figsize=(8, 0.32 * sum(counts) + 0.9 * len(tasks)), height_ratios=counts, squeeze=False
    )
    for axis, (task, found) in zip(axes[:, 0], tasks, strict=True):
        names = shown[task][::-1]
        rates = [found["variants"][name]["tokens_per_cpu_second"] for name in names]
        middle = [rate["median"] for rate in rates]
        spread = [[rate["median"] - rate["least"] for rate in rates], [rate["most"] - rate["median"] for rate in rates]]
        colours = [OUR_COLOUR if name.startswith("ours") else PEER_COLOUR for name in names]
        bars = axis.barh([VARIANTS[name] for name in names], middle, xerr=spread, color=colours, ecolor="#444444")
        labels = [
            f"{_whole(rate)}{_against_trainer(found['variants'][name])}"
            for name, rate in zip(names, middle, strict=True)
        ]
        axis.bar_label(bars, labels, padding=6, fontsize=8)
        axis.set_title(TASKS[task], loc="left", fontsize=9)
        axis.set_xlim(0, max(rate["most"] for rate in rates) * 1.25)
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1, 0].set_xlabel("real tokens a CPU second, and as a multiple of Trainer", fontsize=8)
    _save(figure, target)


def _against_trainer(variant: Mapping[str, Any]) -> str:
    return f"  ({variant['times_trainer']['median']:.1f} ×)" if "times_trainer" in variant else ""


def draw_quality(target: Path) -> None:
    """Test accuracy over CPU seconds, a panel for each task: the seeds' mean, and from the least to the most of them."""
    pyplot = _pyplot()
    content = _content("time_to_quality")
    tasks = _complete(content)
    figure, axes = pyplot.subplots(len(tasks), 1, figsize=(8, 2.9 * len(tasks)), squeeze=False)
    for axis, (task, found) in zip(axes[:, 0], tasks, strict=True):
        for name in QUALITY_VARIANTS:
            if name in found["variants"]:
                keys = found["variants"][name]["runs"]
                _draw_curve(axis, name, [content["measurements"][key]["rounds"][0] for key in keys])
        axis.axhline(found["goal"], color="#444444", linewidth=0.8, linestyle=":", label="goal")
        axis.set_title(TASKS[task], loc="left", fontsize=9)
        axis.set_xscale("log")
        axis.set_ylim(bottom=max(0.0, 2.5 * found["goal"] - 1.5))  # worse models than that tell nothing about the goal
        for set_formatter in (axis.xaxis.set_major_formatter, axis.xaxis.set_minor_formatter):
            set_formatter(lambda value, _: _whole(value))
        axis.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axis.tick_params(labelsize=8, which="both")
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25)
    axes[0, 0].legend(fontsize=8, loc="lower right")
    axes[-1, 0].set_xlabel("CPU seconds; the larger dot is the model that is kept", fontsize=8)
    _save(figure, target)


def _draw_curve(axis: Any, name: str, runs: Sequence[Mapping[str, Any]]) -> None:
    points = list(zip(*(run["curve"] for run in runs), strict=False))  # as far as all seeds go
    seconds = [statistics.mean(point["cpu_seconds"] for point in at) for at in points]
    accuracies = [[point["accuracy"] for point in at] for at in points]
    style = {"color": _COLOURS[name], "linewidth": 0}
    axis.fill_between(seconds, [min(at) for at in accuracies], [max(at) for at in accuracies], alpha=0.2, **style)
    axis.plot(seconds, [statistics.mean(at) for at in accuracies], color=_COLOURS[name], label=VARIANTS[name])
    end = [statistics.mean(run[what] for run in runs) for what in ("cpu_seconds", "accuracy")]
    axis.plot(*end, color=_COLOURS[name], marker="o", markersize=5)


def draw_scaling(target: Path) -> None:
    """What grows with the rows and what does not: a panel each, one text in one, one thread."""
    shown = {
        "prepare_cpu_seconds": "CPU seconds before the first step",
        "tokens_per_cpu_second": "tokens a CPU second",
        "peak_memory_mib": "peak memory, MiB",
    }
    found = [
        one
        for one in _content("scaling")["summary"]
        if (one["settings"]["length"], one["settings"]["threads"]) == (1, 1)
    ]
    figure, axes = _pyplot().subplots(1, len(shown), figsize=(10, 2.8))
    for axis, (name, title) in zip(axes, shown.items(), strict=True):
        for variant, colour in zip(SCALING_VARIANTS, (PEER_COLOUR, OUR_COLOUR), strict=True):
            own = sorted((one for one in found if one["variant"] == variant), key=lambda one: one["settings"]["rows"])
            values = [one[name]["median"] if isinstance(one[name], Mapping) else one[name] for one in own]
            rows = [one["settings"]["rows"] for one in own]
            axis.plot(rows, values, color=colour, marker="o", markersize=4, label=SCALING_VARIANTS[variant])
        axis.set_xscale("log")
        axis.set_ylim(bottom=0)
        axis.set_title(title, loc="left", fontsize=9)
        axis.set_xlabel("rows", fontsize=8)
        axis.xaxis.set_major_formatter(lambda value, _: _whole(value))
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25)
    axes[0].legend(fontsize=8)
    _save(figure, target)


def draw_answering(target: Path) -> None:
    """One text's CPU time, median and 99th percentile, over the rate in bulk: a panel for each task."""
    pyplot = _pyplot()
    tasks = _tasks(_content("inference"))
    figure, axes = pyplot.subplots(1, len(tasks), figsize=(4.5 * len(tasks), 4), squeeze=False)
    for axis, (task, found) in zip(axes[0], tasks, strict=True):
        for index, (name, label) in enumerate(ANSWERING_VARIANTS.items()):
            if name == "ours_native":
                continue  # what `load` chooses wherever it is the fastest: two dots in one place
            if values := found["variants"].get(name):
                rate, *times = (values[key]["median"] for key in ("texts_per_cpu_second", "p50_cpu_ms", "p99_cpu_ms"))
                colour = OUR_COLOUR if name.startswith("ours") else PEER_COLOUR
                axis.plot([rate, rate], times, color=colour, linewidth=1)
                axis.plot(rate, times[0], color=colour, marker="o", markersize=5)
                axis.annotate(
                    label, (rate, times[0]), xytext=(5, 5 if index % 2 else -10), textcoords="offset points", fontsize=7
                )
        axis.set_title(_short(task), loc="left", fontsize=9)
        axis.set_xscale("log")
        axis.set_yscale("log")
        for side in (axis.xaxis, axis.yaxis):
            side.set_major_formatter(lambda value, _: f"{value:g}")
            side.set_minor_formatter(lambda value, _: "")
        axis.margins(x=0.25)
        axis.tick_params(labelsize=8, which="both")
        axis.spines[["top", "right"]].set_visible(False)
        axis.set_xlabel("texts a CPU second, in bulk", fontsize=8)
    axes[0, 0].set_ylabel("CPU milliseconds for one text: median, and up to 99%", fontsize=8)
    _save(figure, target)


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "tunewright"  # the same figures give the same file
    from matplotlib import pyplot

    return pyplot


def _save(figure: Any, target: Path) -> None:
    figure.tight_layout()
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, metadata={"Date": None})


def main() -> None:
    """Draw the plots and rewrite the pages."""
    plots = {
        "train_speed": draw_training,
        "time_to_quality": draw_quality,
        "scaling": draw_scaling,
        "inference": draw_answering,
    }
    for name, draw in plots.items():
        if (_content(name) or {}).get("summary"):
            draw(IMAGES / f"{name}.svg")
    subprocess.run([sys.executable, str(ROOT / "docs" / "make_reference.py")], check=True)


if __name__ == "__main__":
    main()
