"""Is a search better for having its documents put into another order? Both answers, on the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tunewright.core.ranking import SEARCH
from tunewright.core.statistics import Interval
from tunewright.predict.predictor import Predictor
from tunewright.stages import verdict
from tunewright.stages.evaluate import Judged


@dataclass(frozen=True)
class Gain:
    """One measure of the search alone, and what re-ranking adds to it, with the paired interval."""

    search: float
    difference: Interval
    verdict: str  # better, no_gain or worse


@dataclass(frozen=True)
class Reranking:
    """What re-ranking does. about: by what; metric: the one that decides; gains: every measure of rankings → its Gain;
    changed: rows whose answer is another one."""

    about: dict[str, Any]
    metric: str
    gains: dict[str, Gain]
    changed: int

    @property
    def verdict(self) -> str:
        """Whether re-ranking is "better", "no_gain" or "worse", by the metric that decides."""
        return self.gains[self.metric].verdict

    def to_dict(self) -> dict[str, Any]:
        """As `evaluate --json` prints it."""
        gains = {
            name: {"search": gain.search, "difference": gain.difference.to_dict()} for name, gain in self.gains.items()
        }
        return {**self.about, "verdict": self.verdict, "changed": self.changed, "gains": gains}


def measure(predictor: Predictor, judged: Judged, metrics: Sequence[str]) -> Reranking:
    """Hold re-ranked answers against those that the search gave by itself on the way, by each of `metrics`."""
    recipe, found = predictor.bundle.recipe, {}
    searched = [prediction.parts[SEARCH] for prediction in judged.predictions]
    for metric in dict.fromkeys([recipe.evaluate.metric, *metrics]):
        made = verdict.between(recipe, judged.gold, judged.predictions, (SEARCH, searched), predictor.labels, metric)
        found[metric] = Gain(made.intervals[SEARCH].value, made.differences[SEARCH], made.verdict)
    changed = sum(a.value != b.value for a, b in zip(searched, judged.predictions, strict=True))
    return Reranking(predictor.reranker.about(), recipe.evaluate.metric, found, changed)  # type: ignore[union-attr]
