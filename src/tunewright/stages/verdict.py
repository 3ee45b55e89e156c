"""The sealed verdict: better, no measurable gain or worse than the baselines, on rows nothing else has touched."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tunewright.core.contracts import Task
from tunewright.core.errors import DataError, RecipeError, listing, nearest
from tunewright.core.files import machine_errors, read_json, write_json
from tunewright.core.gate import Gate, check
from tunewright.core.measures import COUNT_METRICS, count, encode_labels
from tunewright.core.recipe import Recipe
from tunewright.core.statistics import Interval, least_disagreements, resample, resample_weighed, summarise
from tunewright.core.types import Label, Note, Prediction, placed
from tunewright.stages.wording import WORDS, sentence

SEALED = "sealed.json"  # beside the runs: how often each test split has been judged on
NO_QUALITY = ("n", "ece", "mae", "rmse")  # numbers among a task's metrics of which more is not better


@dataclass(frozen=True)
class Verdict:
    """What a comparison on the sealed test split says.

    verdict: "better", "no_gain" or "worse"; value: the tuned model's metric; against: the strongest baseline on these
    rows (for no_gain the strongest that is not beaten; None without baselines); differences: baseline → tuned minus
    baseline; intervals: "tuned" and each baseline → its own metric; gate: passes exactly when the verdict is better.
    """

    verdict: str
    metric: str
    rows: int
    against: str | None
    differences: Mapping[str, Interval]
    intervals: Mapping[str, Interval]
    apart: Mapping[str, int]  # baseline → on how many rows it does better or worse than the tuned model
    confidence: float
    test_uses: int
    gate: Gate

    @property
    def difference(self) -> Interval | None:
        """The tuned model's metric minus that of the baseline it is held against."""
        return None if self.against is None else self.differences[self.against]

    @property
    def sentence(self) -> dict[str, str]:
        """The verdict in one line: {"en": …, "zh": …}."""
        return {language: sentence(self, language) for language in WORDS}

    def to_dict(self) -> dict[str, Any]:
        """As the report's section "verdict"."""
        return {
            "verdict": self.verdict,
            "sentence": self.sentence,
            "metric": self.metric,
            "rows": self.rows,
            "against": self.against,
            "difference": None if self.difference is None else self.difference.to_dict(),
            "confidence": self.confidence,
            "test_uses": self.test_uses,
            "checks": [asdict(made) for made in self.gate.checks],
        }


def between(
    recipe: Recipe,
    gold: Sequence[Label],
    said: Sequence[Prediction],
    other: tuple[str, Sequence[Prediction]],
    labels: Sequence[str],
    metric: str | None = None,
) -> Verdict:
    """Compare two answers to the same rows as the recipe has it: `said` takes the tuned model's place, `other` has a name.

    metric: None for the recipe's deciding one. Raises as `judge` does.
    """
    return judge(
        gold,
        said,
        dict([other]),
        metric or recipe.evaluate.metric,
        labels,
        recipe.task,
        confidence=recipe.evaluate.confidence,
        resamples=recipe.evaluate.resamples,
        seed=recipe.seed,
    )


def judge(
    gold: Sequence[Label],
    tuned: Sequence[Prediction],
    baselines: Mapping[str, Sequence[Prediction]],
    metric: str,
    labels: Sequence[str],
    task: Task,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    test_uses: int = 1,
) -> Verdict:
    """Compare the tuned model with every baseline on the same rows.

    It is better only when the paired interval of the difference lies above zero against *every* baseline, and each
    pair differs on enough rows to tell. Because all must be beaten, several baselines make a false "better" less
    likely, not more. It is worse when the interval against the strongest baseline lies below zero.
    Rows whose gold label is unknown are left out. Raises DataError when no row is left, RecipeError for a metric that
    the task does not measure.
    """
    known = [row for row, label in enumerate(gold) if label is not None]
    if not known:
        raise DataError("The test split has no labelled row, so nothing can be judged. Give a test split with labels.")
    gold = [gold[row] for row in known]
    models = {"tuned": tuned, **baselines}
    models = {name: [predictions[row] for row in known] for name, predictions in models.items()}
    values, apart = _measured(gold, models, metric, labels, task, resamples, seed)
    columns = dict(zip(models, values.T, strict=True))
    intervals = {name: summarise(column, metric, confidence) for name, column in columns.items()}
    differences = {name: summarise(columns["tuned"] - columns[name], metric, confidence) for name in baselines}
    gate = _gate(differences, apart, confidence)
    verdict, against = _decide(gate, differences, apart, confidence)
    return Verdict(verdict, metric, len(gold), against, differences, intervals, apart, confidence, test_uses, gate)


def count_use(registry_file: Path | str, fingerprint: str, user: str = "") -> int:
    """Note one more use of the sealed test split `fingerprint`, and return how often it has been used now.

    user: who uses it, where that can happen twice for one purpose: a run that was killed and resumed counts once.
    Safe when several runs count at once. Raises MachineError when the file cannot be written, DataError when it is no
    registry.
    """
    path = Path(registry_file)
    with _locked(path):
        uses = _read_uses(path)
        users = read_json(path).get("users", {}) if uses else {}
        if not user or users.get(fingerprint) != user:
            uses[fingerprint] = uses.get(fingerprint, 0) + 1
            write_json(path, {"schema": 1, "uses": uses, "users": {**users, fingerprint: user}})
    return uses[fingerprint]


def was_sealed(registry_file: Path | str, fingerprint: str) -> bool:
    """Whether `fingerprint` is a test split that a run has judged on."""
    return fingerprint in _read_uses(Path(registry_file))


def _measured(
    gold: list[Label],
    models: Mapping[str, list[Prediction]],
    metric: str,
    labels: Sequence[str],
    task: Task,
    resamples: int,
    seed: int,
) -> tuple[np.ndarray, dict[str, int]]:
    """(1 + resamples, models) values, and baseline → rows that tell it and the tuned model apart."""
    stated = task.measures.metrics(gold, models["tuned"], labels)
    numbers = [name for name, value in stated.items() if isinstance(value, (int, float)) and name not in NO_QUALITY]
    if metric not in numbers:
        raise RecipeError(
            f"evaluate.metric is {metric!r}, by which this task cannot be judged.{nearest(metric, numbers)} "
            f"Choose one of {listing(numbers)}."
        )
    rows = _as_arrays(gold, models, metric, labels, float(stated[metric]))
    if rows is not None:
        values = resample(rows[0], rows[1:], metric, labels, resamples=resamples, seed=seed)
        wrong = [np.sum((said != rows[0]).reshape(len(gold), -1), axis=1) for said in rows[1:]]
        return values, _apart(models, wrong)

    alone = np.array(
        [[task.measures.quality(*pair) for pair in zip(gold, said, strict=True)] for said in models.values()]
    )
    weighed = [task.measures.weighed(metric, gold, said, labels) for said in models.values()]
    if all(weighed):
        return resample_weighed(weighed, len(gold), resamples=resamples, seed=seed), _apart(models, alone)

    # The task's own measure, once for every resample: slower, and right for any task.
    def measure(true: list[Label], said: list[Prediction]) -> float:
        return float(task.measures.metrics(true, said, labels)[metric])

    values = resample(gold, list(models.values()), measure, labels, resamples=resamples, seed=seed)
    return values, _apart(models, alone)


def _as_arrays(
    gold: list[Label], models: Mapping[str, list[Prediction]], metric: str, labels: Sequence[str], stated: float
) -> list[np.ndarray] | None:
    """Gold and answers as arrays for the quick resampling, if that gives exactly what the task itself states."""
    columns = [gold, *([prediction.value for prediction in said] for said in models.values())]
    names = all(isinstance(answer, str) for column in columns for answer in column)
    sets = all(isinstance(answer, tuple) and not placed(answer) for column in columns for answer in column)
    if metric not in COUNT_METRICS or not (names or sets):
        return None
    rows = [encode_labels(column, labels) for column in columns]
    quick = float(COUNT_METRICS[metric](count(rows[0], rows[1], len(labels))))
    return rows if abs(quick - stated) < 1e-9 else None


def _apart(models: Mapping[str, Any], row_values: Sequence[np.ndarray]) -> dict[str, int]:
    """Baseline → on how many rows it does better or worse than the tuned model, which comes first."""
    return {name: int(np.sum(row_values[0] != own)) for name, own in zip(models, row_values, strict=True)}


def _gate(differences: Mapping[str, Interval], apart: Mapping[str, int], confidence: float) -> Gate:
    least = least_disagreements(confidence)
    above = Note(
        f"The whole {confidence:.0%} interval of the difference must lie above zero.",
        f"差值的整个 {confidence:.0%} 置信区间都须高于零。",
    )
    enough = Note(
        f"Fewer rows on which the two differ cannot show a difference at {confidence:.0%} (sign test).",
        f"两者表现不同的数据若少于此数，就无法以 {confidence:.0%} 的置信度说明有差别（符号检验）。",
    )
    least_one = Note("Without a baseline nothing can be better.", "没有基线，就谈不上更好。")
    checks = [check("baselines", len(differences), ">=", 1, least_one)]
    for name, found in differences.items():
        checks.append(check(f"gain over {name}, lower end", found.low, ">", 0.0, above))
        checks.append(check(f"rows apart from {name}", apart[name], ">=", least, enough))
    return Gate("verdict", tuple(checks))


def _decide(
    gate: Gate, differences: Mapping[str, Interval], apart: Mapping[str, int], confidence: float
) -> tuple[str, str | None]:
    """The verdict, and the baseline it is held against."""
    if not differences:
        return "no_gain", None
    strongest = min(differences, key=lambda name: differences[name].value)
    enough = least_disagreements(confidence)
    if gate.passed:
        return "better", strongest
    if differences[strongest].high < 0 and apart[strongest] >= enough:
        return "worse", strongest
    unbeaten = [name for name, found in differences.items() if found.low <= 0 or apart[name] < enough]
    return "no_gain", min(unbeaten, key=lambda name: differences[name].value)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock file beside `path`; the system frees it even when the process is killed."""
    with machine_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = open(path.with_name(f"{path.name}.lock"), "w")  # noqa: SIM115 - closed below
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _read_uses(path: Path) -> dict[str, int]:
    if not path.exists():
        return {}
    try:
        return {str(key): int(value) for key, value in read_json(path)["uses"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} counts the uses of sealed test splits and cannot be read ({type(error).__name__}). "
            "Restore it, or delete it to start counting anew."
        ) from error
