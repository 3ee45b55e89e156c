"""Compare two bundles on the same labelled rows: the paired difference, and every row whose answer changed."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewright.core import catalog
from tunewright.core.bundle import Bundle
from tunewright.core.contracts import Measures
from tunewright.core.errors import BundleError, listing
from tunewright.core.progress import Progress, Silent
from tunewright.core.statistics import Interval
from tunewright.core.types import Prediction
from tunewright.predict.predictor import Predictor
from tunewright.predict.render import answer as plain
from tunewright.stages import verdict
from tunewright.stages.evaluate import Judged, answer, labelled, sealed_uses, trained_on
from tunewright.stages.verdict import Verdict


@dataclass(frozen=True)
class Comparison:
    """Bundle `b` held against bundle `a`.

    verdict: whether b is "better", "no_gain" or "worse"; difference: metric(b) - metric(a) with its paired interval;
    metrics: {"a": …, "b": …}, all of the task's; flips: rows whose answers differ, each "fixed" (only b is right),
    "broken" (only a was) or "changed" (neither); dropped: kind of problem → rows that could not be judged;
    test_uses: how often this sealed test split has been judged on, None when it is none.
    """

    verdict: str
    n: int
    difference: Interval
    confidence: float
    apart: int  # rows that tell the two apart
    metrics: Mapping[str, Mapping[str, Any]]
    flips: Sequence[Mapping[str, Any]]
    dropped: Mapping[str, int]
    test_uses: int | None

    @property
    def counts(self) -> dict[str, int]:
        """Kind of flip → rows."""
        found = Counter(flip["kind"] for flip in self.flips)
        return {kind: found[kind] for kind in ("fixed", "broken", "changed")}

    def to_dict(self) -> dict[str, Any]:
        """As `compare --json` prints it."""
        return {**dataclasses.asdict(self), "counts": self.counts}


def compare(
    a: Bundle,
    b: Bundle,
    source: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Hold `b` against `a` on the labelled rows of `source`; the metric and its confidence are those of b's recipe.

    Raises BundleError when the two do different tasks, or when each has labels that the other lacks; DataError or
    LabelError when the rows cannot be used.
    """
    progress = progress or Silent()
    _refuse_unlike(a, b)
    for name, bundle in (("A", a), ("B", b)):
        if warning := trained_on(bundle, source, name):
            progress.say(warning)
    labels = tuple(dict.fromkeys([*a.labels, *b.labels]))
    trained = b.recipe.data.columns
    with labelled(source, b.task, labels, columns=columns, trained=trained, progress=progress) as dataset:
        rows = dataset.splits["test"]
        first = answer(Predictor(a), rows, progress, title="Answers of A")
        second = answer(Predictor(b), rows, progress, title="Answers of B")
        found = _verdict(b, first, second, labels)
        return Comparison(
            verdict=found.verdict,
            n=found.rows,
            difference=found.differences["a"],
            confidence=found.confidence,
            apart=found.apart["a"],
            metrics={
                name: b.task.measures.metrics(judged.gold, judged.predictions, labels)
                for name, judged in (("a", first), ("b", second))
            },
            flips=_flips(b.task.measures, first, second.predictions),
            dropped=dataset.ledger["rows"]["test"].get("reasons", {}),
            test_uses=sealed_uses(b, rows.fingerprint),
        )


def _refuse_unlike(a: Bundle, b: Bundle) -> None:
    """A bundle with labels added is compared with the one before it; others than these have nothing to compare."""
    if (type(a.task), a.task.objective) != (type(b.task), b.task.objective):
        what, of = "tasks", [_task(bundle) for bundle in (a, b)]
    elif not (set(a.labels) <= set(b.labels) or set(b.labels) <= set(a.labels)):
        what, of = "labels", [listing(bundle.labels) for bundle in (a, b)]
    else:
        return
    raise BundleError(
        f"The two bundles answer with different {what} (A: {of[0]}; B: {of[1]}): only bundles of the same {what} can be "
        "compared."
    )


def _task(bundle: Bundle) -> str:
    several = bundle.task.multi_label
    return catalog.name_of(bundle.task) + (", several labels a text" if several else "")


def _verdict(b: Bundle, first: Judged, second: Judged, labels: Sequence[str]) -> Verdict:
    return verdict.between(b.recipe, second.gold, second.predictions, ("a", first.predictions), labels)


def _flips(measures: Measures, first: Judged, predictions: Sequence[Prediction]) -> list[dict[str, Any]]:
    flips = []
    for item, a, b in zip(first.items, first.predictions, predictions, strict=True):
        if a.value != b.value:
            example = item.example
            right = [measures.right(example.label, said.value) for said in (a, b)]
            kind = "fixed" if right[1] else "broken" if right[0] else "changed"
            flips.append(
                {
                    "id": example.id,
                    "text": " ⏎ ".join(str(value) for value in example.inputs.values()),
                    "gold": plain(example.label, example.inputs.get("text")),
                    "a": plain(a.value, example.inputs.get("text")),
                    "b": plain(b.value, example.inputs.get("text")),
                    "a_score": a.score,
                    "b_score": b.score,
                    "kind": kind,
                }
            )
    return flips
