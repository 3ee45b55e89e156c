"""Short facts of a run as (name, value) pairs in the report's language: cost, decision, machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from tunewright.core.report import Report
from tunewright.stages.report import formats, texts

Facts = list[tuple[str, str]]
MOST_THRESHOLDS = 12  # said one by one; of more labels, only from where to where they go


def cost(report: Report, t: texts.Translator, language: str) -> Facts:
    """What was trained and what it took; only what was measured."""
    tokens, step = report.get("model.max_tokens"), report.get("training.best_step")
    speed, memory = report.get("training.tokens_per_second"), report.get("training.peak_memory_mb")
    threads = report.get("training.threads")
    device = (report.get("training.device"), t("cost.threads", n=threads) if isinstance(threads, int) else None)
    return _known(
        t,
        "cost",
        backbone=without_path(report.get("model.backbone")),
        why=dict(choices(report, language)).get("model.backbone"),
        source=without_path(report.get("model.source")),
        licence=report.get("model.licence"),
        method=component(report.get("model.method")),
        ensemble=ensemble(report, t, language),
        unlabelled=unlabelled(report, t, language),
        parameters=parameters(report, t),
        max_tokens=None if tokens is None else formats.count(tokens),
        seconds=duration(report.get("training.seconds"), t),
        speed=None if speed is None else t("cost.tokens_per_second", n=formats.count(speed)),
        memory=None if memory is None else formats.size(memory),
        device=t("page.comma").join(part for part in device if part),
        precision=report.get("training.precision"),
        best_step=None if step is None else formats.count(step),
    )


def decision(report: Report, t: texts.Translator) -> Facts:
    """When the model answers, and what that costs."""
    scale, coverage = report.get("decision.calibration.scale"), report.get("decision.coverage", {})
    shares = {key: formats.percent(coverage[key]) for key in ("accepted", "error", "upper", "limit") if key in coverage}
    test = {key: formats.percent(value) for key, value in coverage.get("test", {}).items() if key in shares}
    return _known(
        t,
        "decision",
        accept=formats.number(report.get("decision.accept")) if answers_from(report) is not None else None,
        **shares,
        test=t("decision.on_test", **test) if test else None,
        parents=_percent(coverage.get("test", {}).get("parents")),
        thresholds=_thresholds(report.get("decision.thresholds", {}), t),
        calibration=report.get("decision.calibration.name"),
        scale=formats.number(scale) if isinstance(scale, (int, float)) else None,
    )


def decision_said(report: Report, t: texts.Translator, word: texts.Namer, language: str) -> str:
    """Whether the model always answers, never does and why, or where its threshold was measured; "" when unknown."""
    if report.get("decision") is None:
        return ""
    if report.get("decision.accept") is None:
        return t("decision.always")
    if answers_from(report) is None:
        return t("decision.never", reason=report.get(f"decision.coverage.reason.{language}", "")).rstrip()
    return t("decision.where", split=word("split", report.get("decision.coverage.split", "validation")))


def answers_from(report: Report) -> float | None:
    """The score from which the model answers; None when it always does, or never (a score no answer can reach)."""
    accept = report.get("decision.accept")
    return accept if accept is not None and accept <= 1 else None


def calibration_said(report: Report, t: texts.Translator) -> str:
    """What calibration did to the gap between confidence and correctness; "" when that is unknown."""
    name, *gaps = (report.get(f"decision.calibration.{key}") for key in ("name", "ece_before", "ece_after"))
    if None in gaps:
        return ""
    (before, after), helped = map(formats.percent, gaps), round(gaps[1], 3) < round(gaps[0], 3)  # as far as one sees
    return t("reliability.change" if helped else "reliability.no_help", name=name, before=before, after=after)


def environment(report: Report, t: texts.Translator) -> Facts:
    """The machine the run was made on."""
    known = report.get("environment", {})
    keys = ("python", "platform", "cpu", "cores", "memory_gb", "commit")
    return _known(t, "record", **{key: formats.number(known[key]) for key in keys if known.get(key) is not None})


def parameters(report: Report, t: texts.Translator) -> str | None:
    """How many parameters were trained, of how many."""
    trained, total = report.get("model.trained_parameters"), report.get("model.parameters")
    if trained is None or not total:
        return None
    share = formats.percent(trained / total, 1 if trained >= 0.01 * total else 3)
    return t("cost.trained", trained=formats.count(trained), all=formats.count(total), share=share)


def ensemble(report: Report, t: texts.Translator, language: str) -> str | None:
    """Of what the ensemble is made, and how it and each member do on validation; None for one model."""
    about = report.get("training.ensemble")
    if not about:
        return None
    metric, members = about["metric"], about["members"]
    values = [formats.measure(member["value"], metric) for member in members]
    said = [v if m["kept"] else t("cost.left_out", value=v) for v, m in zip(values, members, strict=True)]
    return t(
        f"cost.{about['kind']}",
        kept=sum(member["kept"] for member in members),
        n=len(members),
        metric=texts.namer(language)("metric", metric),
        value=formats.measure(about["value"], metric),
        members=t("page.comma").join(said),
    )


def unlabelled(report: Report, t: texts.Translator, language: str) -> str | None:
    """What was made of rows without labels, and what came of it; None where there were none."""
    about = report.get("training.unlabelled")
    if not about:
        return None
    if "pairs" in about:
        return t("cost.pairs", pairs=formats.count(about["pairs"]), rows=formats.count(about["rows"]))
    if not about["taken"]:
        return t("cost.none_taken", rows=formats.count(about["rows"]))
    values = {key: formats.measure(about[key], about["metric"]) for key in ("before", "after")}
    return t(
        "cost.taken",
        taken=formats.count(about["taken"]),
        rows=formats.count(about["rows"]),
        threshold=formats.number(about["threshold"]),
        metric=texts.namer(language)("metric", about["metric"]),
        kept=t("cost.kept_after" if about["kept"] else "cost.kept_before"),
        **values,
    )


def choices(report: Report, language: str) -> Facts:
    """(recipe key, why) of every value that "auto" chose."""
    return [(key, str(why.get(language, ""))) for key, why in report.get("model.whys", {}).items()]


def without_path(name: str | None) -> str | None:
    """A name as it is; of a folder, its own name without the path, which is nobody else's business."""
    return name.rstrip("/").rpartition("/")[2] if name and name.startswith(("/", "./", "../", "~")) else name


def component(described: Any) -> str | None:
    """A component as one line: lora (rank 8, alpha 16)."""
    if not isinstance(described, Mapping):
        return described
    name = str(described.get("name", ""))
    settings = ", ".join(f"{key} {formats.number(value)}" for key, value in described.items() if key != "name")
    return f"{name} ({settings})" if settings else name


def duration(seconds: float | None, t: texts.Translator) -> str | None:
    """A time with its units in the report's language; None when it was not measured."""
    return None if seconds is None else formats.duration(seconds, (t("time.hour"), t("time.minute"), t("time.second")))


def recipe_yaml(report: Report) -> str:
    """The resolved recipe as YAML; "" when the report holds none."""
    recipe = report.get("recipe")
    return yaml.safe_dump(recipe, allow_unicode=True, sort_keys=False, width=100) if recipe else ""


def _thresholds(thresholds: Mapping[str, float], t: texts.Translator) -> str | None:
    """From which score each label is said; of many labels, the lowest and the highest of them."""
    if not thresholds:
        return None
    if len(thresholds) <= MOST_THRESHOLDS:
        return t("page.comma").join(f"{label} ≥ {formats.number(value)}" for label, value in thresholds.items())
    low, high = (formats.number(end(thresholds.values())) for end in (min, max))
    return t("decision.range", low=low, high=high)


def _percent(share: float | None) -> str | None:
    return None if share is None else formats.percent(share)


def _known(t: texts.Translator, section: str, **values: str | None) -> Facts:
    return [(t(f"{section}.{key}"), str(value)) for key, value in values.items() if value not in (None, "")]
