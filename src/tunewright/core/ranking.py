"""Documents that are searched: the map that is their index, the best of them as an answer, and measures of rankings. numpy only.

A document's logit is SHARPNESS times the cosine of its features and the query's, so a linear map without bias is the whole
index, and searching is one matrix product: exact, in memory of documents × width × 4 bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tunewright.core.contracts import Measures
from tunewright.core.linear import SHARPNESS
from tunewright.core.types import Example, Label, Policy, Prediction

BEST = 10  # documents that an answer holds with their scores, and down to which a ranking is measured
SEARCH = "search"  # among the parts of an answer whose documents were put into another order: what the search said

# The gain of the right document at each place from the first, per measure; behind BEST nothing counts.
_PLACES = np.arange(1, BEST + 1)
_GAINS: dict[str, np.ndarray] = {
    "recall_at_1": (_PLACES <= 1).astype(float),
    "recall_at_5": (_PLACES <= 5).astype(float),
    "recall_at_10": np.ones(BEST),
    "mrr": 1 / _PLACES,
}
_DISCOUNTS = 1 / np.log2(_PLACES + 1)


def as_examples(documents: Sequence[str], role: str) -> list[Example]:
    """Documents as examples that a task which retrieves encodes as such; `role` is its target."""
    return [Example(f"document#{number}", {role: text}) for number, text in enumerate(documents)]


def index(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The map that is the index of documents: weight (documents, hidden) and bias (documents,), float32.

    features: (documents, hidden). Queries are of length √hidden, as layer normalisation leaves them.
    """
    weight = SHARPNESS * unit(features) / np.sqrt(features.shape[1])
    return weight.astype(np.float32), np.zeros(len(features), dtype=np.float32)


def unit(features: np.ndarray) -> np.ndarray:
    """The same directions at length 1; what has none stays at zero."""
    return features / np.maximum(np.linalg.norm(features, axis=-1, keepdims=True), 1e-12)


def best(
    logits: np.ndarray, documents: Sequence[str], policy: Policy, truncated: int = 0, most: int = BEST
) -> Prediction:
    """The nearest document as an answer; `scores` are those of the `most` nearest, in order.

    logits: (documents,). A score is the document's share of the softmax over all, not calibrated.
    """
    logits = np.asarray(logits, dtype=np.float64)
    count = min(most, len(logits))
    first = np.argpartition(-logits, count - 1)[:count]
    first = first[np.lexsort((first, -logits[first]))]
    shifted = np.exp(logits - logits[first[0]])
    shares = shifted[first] / shifted.sum()
    scores = {documents[place]: float(share) for place, share in zip(first, shares, strict=True)}
    return _first(scores, policy, truncated)


def reordered(searched: Prediction, judged: Sequence[float], policy: Policy) -> Prediction:
    """The answer of a search with its documents in the order of what a second model says of each, the BEST of them.

    judged: a number a document of `searched.scores`, in their order; where it is the same, they stay as the search has
    them. The policy is the second model's, as the scores now are. What the search said stands under SEARCH in `parts`.
    """
    order = np.argsort(-np.asarray(judged, dtype=np.float64), kind="stable")[:BEST]
    documents = list(searched.scores)
    scores = {documents[place]: float(judged[place]) for place in order}
    return replace(_first(scores, policy, searched.truncated_tokens), parts={SEARCH: searched})


def _first(scores: dict[str, float], policy: Policy, truncated: int) -> Prediction:
    """The first of these documents as the answer."""
    value, score = next(iter(scores.items()))
    decision = policy.decision(score)
    return Prediction(value, score, scores, decision, truncated)


class RankingMeasures(Measures):
    """Where the right documents stand among the BEST: recall at 1, 5 and 10, the mean reciprocal rank, and nDCG.

    A gold label is a tuple of documents, each of them right. `recall_at_k` is the share of queries with a right one among the
    first k, `mrr` the mean of 1 / rank of the first right one, and `ndcg` counts every right one (Järvelin and Kekäläinen
    2002); all but the first two recalls are cut at 10.
    """

    def metrics(
        self, gold: Sequence[Label], predictions: Sequence[Prediction], labels: Sequence[str]
    ) -> dict[str, Any]:
        """See Measures.metrics."""
        pairs = [(true, said) for true, said in zip(gold, predictions, strict=True) if true is not None]
        values = {name: _values(name, pairs) for name in (*_GAINS, "ndcg")}
        return {"n": len(pairs), **{name: float(np.mean(own)) if pairs else 0.0 for name, own in values.items()}}

    def right(self, gold: Label, value: Any) -> bool:
        """See Measures.right: any of the right documents."""
        return value in gold

    def quality(self, gold: Label, prediction: Prediction) -> float:
        """See Measures.quality: the reciprocal rank."""
        return float(_values("mrr", [(gold, prediction)])[0])

    def weighed(
        self, metric: str, gold: Sequence[Label], predictions: Sequence[Prediction], labels: Sequence[str]
    ) -> Callable[[np.ndarray], np.ndarray] | None:
        """See Measures.weighed: each is a mean over rows."""
        if metric not in (*_GAINS, "ndcg"):
            return None
        values = _values(metric, list(zip(gold, predictions, strict=True)))
        return lambda weights: weights @ values / np.maximum(weights.sum(axis=1), 1e-12)


def _values(metric: str, pairs: Sequence[tuple[Label, Prediction]]) -> np.ndarray:
    """(rows,) what each row has of a measure that is a mean over rows."""
    hits = np.zeros((len(pairs), BEST), dtype=bool)
    for row, (gold, said) in enumerate(pairs):
        ranked = list(said.scores)[:BEST]
        hits[row, : len(ranked)] = [document in gold for document in ranked]
    if metric == "ndcg":
        most = np.array([min(len(gold), BEST) for gold, _ in pairs], dtype=int)
        ideal = np.concatenate([[0.0], np.cumsum(_DISCOUNTS)])[most]
        return hits @ _DISCOUNTS / np.maximum(ideal, 1e-12)
    first = np.argmax(hits, axis=1)
    return np.where(hits.any(axis=1), _GAINS[metric][first], 0.0)
