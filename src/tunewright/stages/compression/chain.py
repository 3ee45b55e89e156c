"""What was kept of a bundle so far: each step is tried on it, and kept or undone."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tunewright.core.contracts import CompressionPass
from tunewright.core.errors import MachineError
from tunewright.core.files import write_json, write_text
from tunewright.predict.infer import decide
from tunewright.predict.predictor import AUTO, find_runtime
from tunewright.stages import save
from tunewright.stages.compression import speed
from tunewright.stages.compression.bench import Bench
from tunewright.stages.compression.rewrite import CARD
from tunewright.stages.compression.step import State, Tried

CERTIFICATE = "certificate.json"


class Chain:
    """`state`: the original, or what the last step that was kept made of it; `tried`: everything."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.state = bench, bench.start
        self.tried: list[Tried] = []

    def add(self, passes: Sequence[CompressionPass], name: str = "") -> None:
        """Try a step behind those that were kept; keep it if the certificate passes, else try what is milder, as long as
        there is something. name: where it has no passes."""
        if self._kept(passes, name):
            return
        while passes := milder(passes):
            try:
                if self._kept(passes, ""):
                    return
            except MachineError as error:
                self.bench.progress.say(f"Left out: {error}")

    def _kept(self, passes: Sequence[CompressionPass], name: str) -> bool:
        found = self.bench.tried(self.state, passes, name)
        tried: Tried = found.tried  # type: ignore[assignment]
        self.tried.append(tried)
        if tried.kept:
            self.bench.progress.say(f"{tried.shown}: {tried.told}: kept.")
            self.state = found
        else:
            self.bench.progress.say(f"{tried.shown}: {tried.told}: undone ({tried.why}).")
            self.bench.forget(found)
        return tried.kept


def milder(passes: Sequence[CompressionPass]) -> tuple[CompressionPass, ...]:
    """The step with the last pass that has something milder to try in its place; () where none has."""
    for place in reversed(range(len(passes))):
        if (instead := passes[place].milder()) is not None:
            return (*passes[:place], instead, *passes[place + 1 :])
    return ()


def report(bench: Bench, tried: Sequence[Tried], kept: State) -> dict[str, Any]:
    """Everything that was tried, beside the original."""
    assert kept.bundle is not None
    with bench.progress.task("Measuring memory", total=2) as step:
        memory = []
        for bundle in (bench.bundle, kept.bundle):
            memory.append(speed.memory(bundle.folder, bench.rows.validation))
            step(1)
    about = bench.about()
    return {
        **about,
        "original": {**about["original"], "speed": dataclasses.asdict(tried[-1].original)},
        "memory_mb": {"original": memory[0], "compressed": memory[1]},
        "tried": [one.to_dict() for one in tried],
    }


def write(bench: Bench, state: State, target: Path, content: Mapping[str, Any]) -> None:
    """The state's bundle at its place, with certificate and report, sealed."""
    from tunewright.stages.report.compression import render_compression

    assert state.bundle is not None and state.tried is not None
    shutil.copytree(state.bundle.folder, target, dirs_exist_ok=True)
    tried, compared = state.tried, state.tried.compared
    told = tried.to_dict()
    write_json(
        target / CERTIFICATE,
        {
            **tried.gate.to_dict(),
            "rows": compared.rows,
            "metric": compared.metric,
            "loss": compared.loss.to_dict(),
            "max_abs": compared.max_abs,
            "flips": compared.flips,
            "per_class": compared.per_class,
            "original": bench.bundle.about["digest"],
            **{name: told[name] for name in ("speed", "original_speed", "speedup", "size_mb")},
            "original_size_mb": content["original"]["size_mb"],
            "memory_mb": content["memory_mb"],
        },
    )
    if (target / CARD).exists():
        write_text(target / CARD, (target / CARD).read_text("utf-8") + _about(content, state))
    _write_reference(bench, state, target)
    write_json(target / "report.json", content)
    write_text(target / "report.html", render_compression(content))
    bench.rewriter.seal(target, state.bundle.policy, state.names, state.bundle.recipe)


def _write_reference(bench: Bench, state: State, target: Path) -> None:
    """What is usual of the smaller model's answers: its scores, and even its tokens, may be others."""
    assert state.bundle is not None
    runtime, _ = find_runtime(target, AUTO)
    items = bench.rewriter.answered(target, runtime, bench.rows.validation)
    said = decide(items, bench.bundle.task, bench.bundle.labels, state.bundle.policy)
    save.write_reference(target, list(zip(items, said, strict=True)), bench.bundle.task, bench.language)


def _about(content: Mapping[str, Any], state: State) -> str:
    """What is added to the model card, whose figures are those of the original."""
    assert state.tried is not None
    passes, compared = ", ".join(state.names), state.tried.compared
    loss, metric, rows, flips = compared.loss, compared.metric, content["data"]["rows"], len(compared.flips)
    span = f"{loss.value:.4f} ({loss.low:.4f} … {loss.high:.4f})"
    return (
        f"\n## Compressed · 压缩\n\nThe figures above are those of the model before {passes}. On {rows} rows the compressed one "
        f"loses {span} of {metric}, and {flips} answers differ (certificate.json).\n\n以上数字是压缩（{passes}）之前的。"
        f"压缩后在 {rows} 条数据上 {metric} 损失 {span}，{flips} 个答案不同（见 certificate.json）。\n"
    )
