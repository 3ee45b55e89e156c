"""Judge on the sealed test split: calibrate and set the policy on validation, then tuned model against baselines."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tunewright.core import catalog, measures, statistics
from tunewright.core.contracts import Given, Task
from tunewright.core.policy import NEVER, fit_accept, fit_threshold, fit_thresholds
from tunewright.core.progress import Progress
from tunewright.core.recipe import Recipe
from tunewright.core.types import Answer, Example, Label, Policy, Prediction, Span, Triple, by_name
from tunewright.data.dataset import Dataset
from tunewright.predict.infer import Inferred
from tunewright.stages.embed import Embedder

BASELINE_ROWS = 100_000  # training rows a baseline learns from at most
SLICES = 5  # parts that lengths are cut into
MOST_VALUES = 20  # values of a column that are shown apart, the most frequent ones


@dataclass(frozen=True)
class Calibrated:
    """What validation says about scores: the affine map that calibrates them, the policy, and its evidence."""

    scale: np.ndarray | float
    shift: np.ndarray | float
    policy: Policy
    about: dict[str, Any]  # for decision.json and the report


def calibrate(recipe: Recipe, items: Sequence[Inferred], labels: Sequence[str]) -> Calibrated:
    """Fit calibration and policy on validation logits. Tasks without a probability for every label go uncalibrated."""
    if not items or not recipe.task.scored:
        about = {"calibration": None, "accept": None, "coverage": None}
        return _with_own_thresholds(recipe, items, labels, Calibrated(1.0, 0.0, Policy(), about))
    settings = recipe.decision
    logits = np.stack([item.logits for item in items]).astype(np.float64)
    gold = measures.encode_labels([item.example.label for item in items], labels)
    multi_label = gold.ndim == 2
    scale, shift = (1.0, 0.0)
    if settings.calibration is not None:
        scale, shift = settings.calibration.fit(logits, gold, multi_label)
    before, after = (_decoded(recipe.task, items, values, labels) for values in (logits, logits * scale + shift))
    golds = [item.example.label for item in items]
    calibration = None
    if settings.calibration is not None:
        calibration = {
            **catalog.describe(settings.calibration),
            "scale": scale,
            "ece_before": recipe.task.measures.metrics(golds, before, labels)["ece"],
            "ece_after": recipe.task.measures.metrics(golds, after, labels)["ece"],
        }
    about = {"calibration": calibration}
    return _with_policy(recipe, items, logits * scale + shift, labels, Calibrated(scale, shift, Policy(), about))


def refit_policy(
    calibrated: Calibrated, recipe: Recipe, items: Sequence[Inferred], labels: Sequence[str]
) -> Calibrated:
    """The policy anew, from validation as the calibrated model answers it through the runtime that ships."""
    if not items or not recipe.task.scored:
        return _with_own_thresholds(recipe, items, labels, calibrated)
    return _with_policy(recipe, items, np.stack([item.logits for item in items]), labels, calibrated)


def _with_own_thresholds(
    recipe: Recipe, items: Sequence[Inferred], labels: Sequence[str], calibrated: Calibrated
) -> Calibrated:
    """The task's own thresholds, each where answers to validation rows are best on average."""
    task, found = recipe.task, {}
    logits, golds = [item.logits for item in items], [item.example.label for item in items]
    for name in task.thresholds if items else ():
        either = [_decoded(task, items, logits, labels, Policy({**found, name: limit})) for limit in (0.0, NEVER)]
        yes, no = ([task.measures.quality(*pair) for pair in zip(golds, said, strict=True)] for said in either)
        found[name] = fit_threshold([prediction.scores[name] for prediction in either[0]], yes, no)
    if not found:
        return calibrated
    return dataclasses.replace(calibrated, policy=Policy(found), about={**calibrated.about, "thresholds": found})


def _with_policy(
    recipe: Recipe, items: Sequence[Inferred], logits: np.ndarray, labels: Sequence[str], calibrated: Calibrated
) -> Calibrated:
    """Thresholds and the least score to answer, fitted on calibrated logits of validation rows."""
    golds = [item.example.label for item in items]
    gold = measures.encode_labels(golds, labels)
    thresholds = {}
    if gold.ndim == 2:
        thresholds = _thresholds(recipe, _decoded(recipe.task, items, logits, labels), gold, labels)
    policy = Policy(thresholds=thresholds)
    accept, coverage = _accept(recipe, _decoded(recipe.task, items, logits, labels, policy), golds)
    about = {**calibrated.about, "thresholds": thresholds, "accept": accept, "coverage": coverage}
    return dataclasses.replace(calibrated, policy=Policy(thresholds=thresholds, accept=accept), about=about)


def _decoded(
    task: Task, items: Sequence[Inferred], logits: np.ndarray, labels: Sequence[str], policy: Policy | None = None
) -> list[Prediction]:
    policy = policy or Policy()
    return [task.decode(row, item.windows, labels, policy) for row, item in zip(logits, items, strict=True)]


def _thresholds(
    recipe: Recipe, predictions: Sequence[Prediction], gold: np.ndarray, labels: Sequence[str]
) -> dict[str, float]:
    if recipe.decision.threshold != "auto":
        return {label: float(recipe.decision.threshold) for label in labels}
    probabilities = np.array([[prediction.scores[label] for label in labels] for prediction in predictions])
    return fit_thresholds(probabilities, gold, labels)


def _accept(
    recipe: Recipe, predictions: Sequence[Prediction], golds: Sequence[Label]
) -> tuple[float | None, dict[str, Any] | None]:
    if recipe.decision.max_error is None:
        return None, None
    answers = [[(prediction.value, prediction.score), *prediction.wider] for prediction in predictions]
    shape = len(answers), max(map(len, answers))
    scores, correct = np.full(shape, -1.0), np.zeros(shape, dtype=bool)
    for row, (gold, own) in enumerate(zip(golds, answers, strict=True)):
        scores[row, : len(own)] = [score for _, score in own]
        correct[row, : len(own)] = [recipe.task.measures.right(gold, value) for value, _ in own]
    fitted = fit_accept(scores, correct, recipe.decision.max_error)
    about = {
        "split": "validation",
        "accepted": fitted.coverage,
        "error": fitted.error,
        "upper": fitted.upper,
        "limit": recipe.decision.max_error,
        "reason": None if fitted.reason is None else asdict(fitted.reason),
    }
    return fitted.accept, about


def coverage_on_test(task: Task, items: Sequence[Inferred], predictions: Sequence[Prediction]) -> dict[str, Any]:
    """What the policy costs and gives on rows it was not chosen on: share answered, and the error among them."""
    return {"split": "test", **accepted(task, [item.example.label for item in items], predictions)}


def accepted(task: Task, golds: Sequence[Label], predictions: Sequence[Prediction]) -> dict[str, Any]:
    """ "accepted", the share that is answered; "error", that of wrong ones among them; and where labels have levels
    "parents", that of ancestors given instead. The latter two are None where nothing is answered."""
    answered = [(gold, said) for gold, said in zip(golds, predictions, strict=True) if said.decision != "abstain"]
    counted = {"error": sum(not task.measures.right(gold, said.given[0]) for gold, said in answered)}
    if any(said.wider for said in predictions):
        counted["parents"] = sum(said.decision == "parent" for _, said in answered)
    shares = {name: count / len(answered) if answered else None for name, count in counted.items()}
    return {"accepted": len(answered) / max(1, len(predictions)), **shares}


def baseline_predictions(
    recipe: Recipe, dataset: Dataset, embedder: Embedder, progress: Progress
) -> dict[str, list[Prediction]]:
    """Every baseline of the recipe fitted on train and validation, and its answers for the test rows."""
    given = Given(
        recipe.task,
        train=_sampled(dataset, recipe.seed),
        validation=dataset.splits["validation"].examples(0, BASELINE_ROWS),
        test=[Example(id=e.id, inputs=e.inputs, columns=e.columns) for e in dataset.splits["test"]],
        labels=dataset.labels,
        embed=embedder,
        seed=recipe.seed,
    )
    found = {}
    with progress.task("Baselines", total=len(recipe.evaluate.baselines)) as step:
        for baseline in recipe.evaluate.baselines:
            name = catalog.name_of(baseline)  # the second of a kind is "tfidf-2"
            number = sum(known.partition("-")[0] == name for known in found) + 1
            found[name if number == 1 else f"{name}-{number}"] = baseline.predict(given)
            step(1)
    return found


def _sampled(dataset: Dataset, seed: int) -> list[Example]:
    split = dataset.splits["train"]
    if len(split) <= BASELINE_ROWS:
        return split.examples()
    chosen = np.random.default_rng(seed).choice(len(split), BASELINE_ROWS, replace=False)
    return split.take(np.sort(chosen))


def slice_tables(
    recipe: Recipe, items: Sequence[Inferred], predictions: Sequence[Prediction], labels: Sequence[str]
) -> dict[str, list[dict[str, Any]]]:
    """The deciding metric, with its interval, in every part of every slice the recipe names."""
    tables = {}
    for name in recipe.evaluate.slices:
        parts = _by_length(items) if name == "length" else _by_column(items, name)
        tables[name] = [
            {"slice": part, "n": len(rows), **_measured(recipe, items, predictions, labels, rows)}
            for part, rows in parts.items()
        ]
    return tables


def _measured(
    recipe: Recipe,
    items: Sequence[Inferred],
    predictions: Sequence[Prediction],
    labels: Sequence[str],
    rows: Sequence[int],
) -> dict[str, float]:
    gold = [items[i].example.label for i in rows]
    answers = [predictions[i] for i in rows]
    found = measured_interval(recipe, gold, answers, labels)
    return {"value": found["value"], "low": found["low"], "high": found["high"]}


def measured_interval(
    recipe: Recipe, gold: Sequence[Label], predictions: Sequence[Prediction], labels: Sequence[str]
) -> dict[str, Any]:
    """The deciding metric of these rows with its bootstrap interval."""
    values = resampled(recipe, gold, predictions, labels)
    return statistics.summarise(values, recipe.evaluate.metric, recipe.evaluate.confidence).to_dict()


def resampled(
    recipe: Recipe, gold: Sequence[Label], predictions: Sequence[Prediction], labels: Sequence[str]
) -> np.ndarray:
    """The deciding metric on these rows, then on every resample of them: (1 + resamples,)."""
    settings = {"resamples": recipe.evaluate.resamples, "seed": recipe.seed}
    metric = recipe.evaluate.metric
    if metric in measures.COUNT_METRICS and recipe.task.scored:
        true = measures.encode_labels(gold, labels)
        said = measures.encode_labels([prediction.value for prediction in predictions], labels)
        return statistics.resample(true, (said,), metric, labels, **settings)[:, 0]

    if weighed := recipe.task.measures.weighed(metric, gold, predictions, labels):
        return statistics.resample_weighed([weighed], len(gold), **settings)[:, 0]

    def measure(true: Sequence[Label], said: Sequence[Prediction]) -> float:
        return float(recipe.task.measures.metrics(true, said, labels)[metric])

    return statistics.resample(gold, (predictions,), measure, labels, **settings)[:, 0]


def _by_length(items: Sequence[Inferred]) -> dict[str, list[int]]:
    tokens = np.array([sum(w.tokens - w.shared for w in item.windows) for item in items])
    edges = np.unique(np.quantile(tokens, np.linspace(0, 1, SLICES + 1)).astype(int))
    parts: dict[str, list[int]] = {}
    for low, high in itertools.pairwise(edges):
        first = low if low == edges[0] else low + 1
        rows = np.flatnonzero((tokens >= first) & (tokens <= high))
        if len(rows):
            parts[str(high) if first == high else f"{first}–{high}"] = rows.tolist()
    return parts or {str(tokens[0]): list(range(len(items)))}


def _by_column(items: Sequence[Inferred], column: str) -> dict[str, list[int]]:
    parts: dict[str, list[int]] = {}
    for index, item in enumerate(items):
        parts.setdefault(str(item.example.columns.get(column, "")), []).append(index)
    ordered = sorted(parts.items(), key=lambda part: -len(part[1]))
    shown = dict(ordered[:MOST_VALUES])
    if rest := [index for _, rows in ordered[MOST_VALUES:] for index in rows]:
        shown["…"] = rest
    return shown


def worst_errors(
    task: Task, items: Sequence[Inferred], predictions: Sequence[Prediction], most: int
) -> list[dict[str, Any]]:
    """The worst of the wrong answers; of equally bad ones those the model was surest of first."""
    wrong = [i for i, item in enumerate(items) if not task.measures.right(item.example.label, predictions[i].value)]
    wrong.sort(key=lambda i: (task.measures.quality(items[i].example.label, predictions[i]), -predictions[i].score))
    return [_error(task, items[i].example, predictions[i]) for i in wrong[:most]]


def _error(task: Task, example: Example, prediction: Prediction) -> dict[str, Any]:
    """One wrong answer; "text" is what its places count in, "before" the inputs that go with it."""
    top = sorted(prediction.scores.items(), key=lambda pair: -pair[1])[:3]
    before = {role: str(value) for role, value in example.inputs.items()}
    text = before.pop(task.located) if task.located else " ⏎ ".join(before.values())
    return {
        "id": example.id,
        **({"before": " ⏎ ".join(before.values())} if task.located else {}),
        "text": text,
        "gold": _shown(example.label, text),
        "predicted": _shown(prediction.value, text),
        "score": prediction.score,
        "scores": dict(top),
    }


def _shown(label: Any, text: str) -> Any:
    """A label as JSON: spans with their text, several labels as a list, a frame {"intent", "slots"}, a graph {"entities",
    "triples"}, that of several tasks by their names."""
    if (named := by_name(label)) is not None:
        return {name: _shown(part, text) for name, part in named.items()}
    if isinstance(label, Answer):
        label = (label,)
    return [_part(part, text) for part in label] if isinstance(label, tuple) else label


def _part(part: Any, text: str) -> Any:
    if isinstance(part, Triple):
        return {"head": _part(part.head, text), "relation": part.relation, "tail": _part(part.tail, text)}
    return {**asdict(part), "text": text[part.start : part.end]} if isinstance(part, (Span, Answer)) else part
