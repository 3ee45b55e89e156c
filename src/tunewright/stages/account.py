"""Everything a run has measured, as the one JSON object that all reports are rendered from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewright import __version__
from tunewright.core import catalog
from tunewright.core.files import parse_json, read_json
from tunewright.core.gate import Gate
from tunewright.core.recipe import to_mapping
from tunewright.core.report import SCHEMA, Report
from tunewright.core.run import Run, now
from tunewright.core.types import Prediction
from tunewright.data.dataset import Dataset
from tunewright.predict.infer import Inferred
from tunewright.stages import judge
from tunewright.stages.assemble import label_counts
from tunewright.stages.fit import Trained
from tunewright.stages.judge import Calibrated
from tunewright.stages.verdict import Verdict


@dataclass(frozen=True)
class Facts:
    """What the report is made from."""

    run: Run
    dataset: Dataset
    trained: Trained
    calibrated: Calibrated
    items: Sequence[Inferred]  # test rows, in order
    predictions: Sequence[Prediction]  # of the tuned model, for them
    baselines: Mapping[str, Sequence[Prediction]]
    verdict: Verdict
    certificate: Gate
    runtime: Mapping[str, Any]  # what answers, and how the others did
    findings: Sequence[Mapping[str, Any]]


def report(facts: Facts) -> Report:
    """Put a run's report together."""
    recipe = facts.trained.plan.recipe
    return Report(
        {
            "schema": SCHEMA,
            "tunewright": __version__,
            "created": now(),
            "name": facts.run.name,
            "task": catalog.name_of(recipe.task),
            "multi_label": recipe.task.multi_label,
            "language": facts.dataset.language,
            "report_language": recipe.report.language,
            "verdict": facts.verdict.to_dict(),
            "data": _data(facts),
            "model": _model(facts.trained),
            "training": _training(facts),
            "results": _results(facts),
            "slices": judge.slice_tables(recipe, facts.items, facts.predictions, facts.dataset.labels),
            "errors": judge.worst_errors(recipe.task, facts.items, facts.predictions, recipe.evaluate.worst),
            "decision": facts.calibrated.about,
            "certificate": facts.certificate.to_dict(),
            "runtime": facts.runtime,
            "environment": read_json(facts.run.folder / "environment.json"),
            "command": facts.run.about["command"],
            "recipe": to_mapping(recipe),
        }
    )


def numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The plain numbers among a task's metrics."""
    return {name: value for name, value in metrics.items() if isinstance(value, (int, float))}


def _data(facts: Facts) -> dict[str, Any]:
    data = facts.trained.plan.recipe.data
    return {
        "ledger": _ledger(facts.run.folder / "ledger.jsonl"),
        **_labels(facts),
        "notes": [dataclasses.asdict(note) for note in facts.dataset.notes],
        "sources": {name: getattr(data, name) for name in ("train", "validation", "test", "unlabelled")},
        "findings": list(facts.findings),
    }


def _labels(facts: Facts) -> dict[str, Any]:
    """Rows of each label; of documents only how many there are."""
    if facts.trained.plan.recipe.task.retrieves:
        return {"documents": len(facts.dataset.labels)}
    return {"labels": {name: label_counts(split) for name, split in facts.dataset.splits.items()}}


def _ledger(path: Path) -> dict[str, Any]:
    """The summary that ends a ledger."""
    with open(path, encoding="utf-8") as file:
        for line in file:
            last = line
    return parse_json(last, path)["summary"]


def _model(trained: Trained) -> dict[str, Any]:
    plan = trained.plan
    return {
        "backbone": plan.recipe.model.backbone,
        "base_model": plan.located.facts.hub_id or (plan.located.name if plan.located.kind == "hub" else ""),
        "licence": plan.located.facts.licence,
        "source": plan.located.facts.source,
        "method": to_mapping(plan.recipe.train.method),
        "parameters": trained.parameters,
        "trained_parameters": trained.trained_parameters,
        "max_tokens": plan.processor.max_tokens,
        "inputs": list(plan.recipe.task.inputs),
        "beside": list(plan.recipe.task.beside.columns),
        "whys": {key: dataclasses.asdict(why) for key, why in plan.whys.items()},
    }


def _training(facts: Facts) -> dict[str, Any]:
    fitted, recipe = facts.trained.fitted, facts.trained.plan.recipe
    path = facts.trained.folder / "metrics.jsonl"
    lines = [parse_json(line, path) for line in path.read_text("utf-8").splitlines()]
    losses = [line for line in lines if line["kind"] == "train"]
    return {
        "ensemble": facts.trained.ensemble,
        "unlabelled": facts.trained.unlabelled,
        "history": fitted.history,
        "losses": [{key: line[key] for key in ("step", "loss", "learning_rate")} for line in losses],
        "steps": fitted.steps,
        "best_step": fitted.best_step,
        "stopped_early": fitted.stopped_early,
        "seconds": fitted.seconds,
        "tokens_per_second": fitted.tokens_per_second,
        "peak_memory_mb": fitted.peak_memory_mb,
        "precision": recipe.train.precision,
        "threads": recipe.train.threads,
        "device": recipe.train.device,
    }


def _results(facts: Facts) -> dict[str, Any]:
    recipe, labels = facts.trained.plan.recipe, facts.dataset.labels
    gold = [item.example.label for item in facts.items]
    tuned = recipe.task.measures.metrics(gold, facts.predictions, labels)
    return {
        "tuned": tuned,
        "baselines": {name: recipe.task.measures.metrics(gold, said, labels) for name, said in facts.baselines.items()},
        "differences": {name: value.to_dict() for name, value in facts.verdict.differences.items()},
        "intervals": {name: value.to_dict() for name, value in facts.verdict.intervals.items()},
    }
