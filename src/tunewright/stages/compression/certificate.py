"""Hold what would be served against what was evaluated, row by row: the certificate of a bundle that was changed."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunewright.core import measures, statistics
from tunewright.core.bundle import Bundle
from tunewright.core.errors import plural
from tunewright.core.files import read_json
from tunewright.core.gate import Check, Gate, check
from tunewright.core.recipe import Recipe
from tunewright.core.statistics import Interval
from tunewright.core.types import Example, Note, Prediction
from tunewright.models.processor import SETTINGS, Processor
from tunewright.predict.infer import Inferred
from tunewright.predict.render import answer as plain
from tunewright.stages import parity, verdict
from tunewright.stages.compression.evidence import unlabelled
from tunewright.stages.evaluate import Judged

SAME = 1e-3  # largest difference of a logit that counts as the same number
BESIDE = (
    0.02  # share of rows whose answer may depend on what stands beside them where a runtime rounds to shared scales
)
READ = tuple(name for name in SETTINGS if name != "pad_id")  # how texts are read: pad_id follows from the vocabulary


@dataclass(frozen=True)
class Compared:
    """Two bundles' answers to the same rows: how far logits are apart at most, and whose answer differs.

    loss: the original's deciding metric minus the other's; per_class: label → the other's F1 minus the original's.
    """

    rows: int
    metric: str
    value: float  # of the deciding metric, of the changed bundle
    loss: Interval
    max_abs: float
    flips: Sequence[Mapping[str, Any]]
    per_class: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Served:
    """What the certificate looks at beside the answers: the bundle as it lies on the disk, and the rows it reads.

    reads: how texts have to be cut: the original's processor, or that of the network in memory where steps were to change it;
    built: logits of the network in memory, saved: of the same rows through the saved one in full precision; alone and
    original_alone: logits and answers to rows by themselves, by row id.
    """

    bundle: Bundle
    reads: Processor
    built: Sequence[np.ndarray]
    saved: Sequence[np.ndarray]
    alone: Mapping[str, tuple[np.ndarray, Any]]
    original_alone: Mapping[str, tuple[np.ndarray, Any]]
    steady: bool  # whether a row's answer may not depend on the rows beside it, by what its runtime promises


def compare(recipe: Recipe, labels: Sequence[str], before: Judged, after: Judged) -> Compared:
    """Hold the answers `after` against those `before`. Raises DataError where no row has a label."""
    original = ("original", before.predictions)
    judged = verdict.between(recipe, before.gold, after.predictions, original, labels)
    gain = judged.differences["original"]
    return Compared(
        rows=len(before.items),
        metric=judged.metric,
        value=judged.intervals["tuned"].value,
        loss=Interval(0.0 - gain.value, 0.0 - gain.high, 0.0 - gain.low, judged.metric),
        max_abs=_furthest((item.logits for item in before.items), (item.logits for item in after.items)),
        flips=_flips(before, after),
        per_class=_per_class(recipe, labels, before, after),
    )


def certify(
    original: Bundle,
    served: Served,
    compared: Compared,
    answers: tuple[Judged, Judged],
    examples: Sequence[Example],
    *,
    max_loss: float,
    exact: bool,
) -> Gate:
    """The gate that what is served has to pass. answers: before and after; exact: they were to stay the very same."""
    checks = [
        check(f"loss of {compared.metric}, upper end", compared.loss.high, "<=", max_loss, _budget(compared.rows)),
        check("labels named otherwise", _renamed(original, served.bundle), "==", 0, LABELS),
        check("ways of reading text changed", _reads_otherwise(served), "==", 0, READING),
        check("rows tokenized otherwise", _retokenized(served, examples), "==", 0, TOKENS),
        check(
            "saved against built, largest logit difference", _furthest(served.built, served.saved), "<=", SAME, SAVED
        ),
    ]
    if (most := original.recipe.predict.max_flips) is not None:
        share = len(compared.flips) / max(1, compared.rows)
        checks.append(check("share of answers changed", share, "<=", most, parity.LIMIT))
    if exact:
        checks.append(check("flipped rows", len(compared.flips), "==", 0, EXACT))
        checks.append(check("largest logit difference", compared.max_abs, "<=", SAME, EXACT))
    checks.append(_beside(served, *answers))
    return Gate("export", tuple(checks))


LABELS = Note("The same labels stand for the same outputs.", "相同的输出对应相同的标签。")
READING = Note(
    "Window, prefix, normalisation and splitting into words are those that were evaluated.",
    "窗口、前缀、规范化和分词方式与评估时相同。",
)
TOKENS = Note("Each row is cut into the same pieces and windows.", "每条数据切分出的词元和窗口相同。")
SAVED = Note(
    "What was saved, opened anew in full precision, computes what was built.",
    "保存的模型以全精度重新打开后，计算结果与保存前相同。",
)
EXACT = Note("All that was done changes no answer.", "所做的一切都不改变答案。")


def _budget(rows: int) -> Note:
    return Note(
        f"On {plural(rows, 'row')} the whole interval of the loss must lie within the budget.",
        f"在 {rows} 条数据上，损失的整个置信区间都须在预算之内。",
    )


def _furthest(one: Iterable[np.ndarray], other: Iterable[np.ndarray]) -> float:
    return max((_apart(a, b) for a, b in zip(one, other, strict=True)), default=0.0)


def _apart(one: np.ndarray, other: np.ndarray) -> float:
    """The largest difference; infinite where one has another number of them."""
    return float(np.abs(one - other).max()) if one.shape == other.shape else math.inf


def _flips(before: Judged, after: Judged) -> list[dict[str, Any]]:
    found = []
    for item, one, other in zip(before.items, before.predictions, after.predictions, strict=True):
        if one.value != other.value:
            text = item.example.inputs.get("text")
            gold, was, now = (plain(value, text) for value in (item.example.label, one.value, other.value))
            found.append({"id": item.example.id, "gold": gold, "before": was, "after": now})
    return found


def _per_class(recipe: Recipe, labels: Sequence[str], before: Judged, after: Judged) -> dict[str, dict[str, float]]:
    """Label → how its F1 changed, with the paired interval; {} where answers are no labels of a row."""
    known = [row for row, label in enumerate(before.gold) if label is not None]
    if not recipe.task.scored or recipe.task.retrieves:
        return {}
    columns = [
        measures.encode_labels([values[row] for row in known], labels)
        for values in (
            before.gold,
            [said.value for said in before.predictions],
            [said.value for said in after.predictions],
        )
    ]
    gold, was, now = columns
    settings = {"resamples": recipe.evaluate.resamples, "seed": recipe.seed}
    values = statistics.resample_label_f1(gold, (was, now), len(labels), **settings)
    changes = values[:, 1] - values[:, 0]
    found = {}
    for index, label in enumerate(labels):
        change = statistics.summarise(changes[:, index], "f1", recipe.evaluate.confidence)
        found[label] = {"value": change.value, "low": change.low, "high": change.high}
    return found


def _renamed(original: Bundle, changed: Bundle) -> int:
    """Outputs that the bundle, or the configuration of its model, names otherwise than the original."""
    names = [_names(original), _names(changed)]
    own = sum(a != b for a, b in zip(*names, strict=False)) + abs(len(names[0]) - len(names[1]))
    return own + sum(a != b for a, b in zip(original.labels, changed.labels, strict=False))


def _names(bundle: Bundle) -> list[str]:
    named = read_json(bundle.model_folder / "config.json")["id2label"]
    return [named[str(index)] for index in range(len(named))]


def _reads_otherwise(served: Served) -> int:
    """Settings of window and tokenizer that differ."""
    one, other = served.reads, Processor.load(served.bundle.model_folder)
    own = sum(getattr(one, name) != getattr(other, name) for name in READ)
    parts = [json.loads(processor.tokenizer.to_str()) for processor in (one, other)]
    return own + sum(parts[0].get(name) != parts[1].get(name) for name in ("normalizer", "pre_tokenizer"))


def _retokenized(served: Served, examples: Sequence[Example]) -> int:
    """Rows whose windows hold other pieces than they should."""
    processors = served.reads, Processor.load(served.bundle.model_folder)
    one, other = (_pieces(served.bundle, processor, examples) for processor in processors)
    return sum(a != b for a, b in zip(one, other, strict=True))


def _pieces(bundle: Bundle, processor: Processor, examples: Sequence[Example]) -> list[list[list[str]]]:
    names: dict[int, str] = {}
    found: list[list[list[str]]] = [[] for _ in examples]
    for window in bundle.task.encode(list(unlabelled(examples)), processor, bundle.labels):
        ids = window.features["input_ids"].tolist()
        names.update({index: processor.tokenizer.id_to_token(index) for index in ids if index not in names})
        found[window.example].append([names[index] for index in ids])
    return found


def _beside(served: Served, before: Judged, after: Judged) -> Check:
    """Whether rows by themselves get the answers that they get among others: padding must not be looked at."""
    pairs = _both_ways(after, served.alone)
    if served.steady:
        far = _furthest([one for one, *_ in pairs], [other for *_, other, _ in pairs])
        why = Note("An answer does not depend on the rows beside it.", "答案不取决于同批的其他数据。")
        return check("alone against together, largest logit difference", far, "<=", SAME, why)
    flips, own = (
        sum(value != other for _, value, _, other in found)
        for found in (pairs, _both_ways(before, served.original_alone))
    )
    why = Note(
        f"Where numbers are rounded together, answers may depend on the rows beside them: of the original {own} do, and few more "
        "may here.",
        f"数值一起取整时，答案可能取决于同批的其他数据：原模型有 {own} 条如此，这里只可略多。",
    )
    return check("rows that alone get another answer", flips, "<=", own + math.ceil(BESIDE * len(pairs)), why)


def _both_ways(
    judged: Judged, alone: Mapping[str, tuple[np.ndarray, Any]]
) -> list[tuple[np.ndarray, Any, np.ndarray, Any]]:
    """Logits and answer of each row that was answered alone, and the same among others."""
    together = {row.example.id: (row.logits, said.value) for row, said in zip(judged.items, judged.predictions, strict=True)}  # fmt: skip
    return [(*found, *together[name]) for name, found in alone.items()]


def loss_told(compared: Compared) -> str:
    """The loss as a sentence has it: "0.0024 (-0.0012 to 0.0060)"."""
    loss = compared.loss
    return f"{loss.value:.4f} ({loss.low:.4f} to {loss.high:.4f})"


def as_answers(
    pairs: Sequence[tuple[Inferred, Prediction]], rows: Sequence[Example]
) -> dict[str, tuple[np.ndarray, Any]]:
    """Logits and answers by row id."""
    return {row.id: (item.logits, said.value) for row, (item, said) in zip(rows, pairs, strict=True)}
