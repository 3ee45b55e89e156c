"""Find the document that answers a query, among all there are: retrieval by one encoder for both (a bi-encoder)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tunewright.core import ranking
from tunewright.core.contracts import Measures, Task
from tunewright.core.errors import LabelError
from tunewright.core.measures import encode_labels
from tunewright.core.names import NO, YES, is_empty, one
from tunewright.core.types import Example, Label, Policy, Prediction, Rejected, Window
from tunewright.core.windows import weighted_mean, window
from tunewright.data.cell import plain

if TYPE_CHECKING:
    from tunewright.models.processor import Processor

NO_DOCUMENT = -100  # the "labels" of a row whose document is no answer


@dataclass(frozen=True)
class Matching(Task):
    """Queries to documents. Every document of the rows is searched: the saved model holds their features.

    A row is a query and a document that answers it, or a list of such documents. A query may stand in several rows.
    """

    match: bool = False  # whether a column `match` says of each row if its document answers (1, yes) or not (0, no); those that do not are what training holds the query against, and nothing is judged on them
    corpus: str | None = (
        None  # a file of further documents to search: one a line (.txt), or in a table's column `document`
    )

    inputs: ClassVar[tuple[str, ...]] = ("query",)
    target: ClassVar[str] = "document"
    head: ClassVar[str] = "pooled"
    objective: ClassVar[str] = "info_nce"
    measures: ClassVar[Measures] = ranking.RankingMeasures()
    metric: ClassVar[str] = "mrr"
    baselines: ClassVar[tuple[str, ...]] = ("tfidf_cosine", "untuned")
    retrieves: ClassVar[bool] = True
    sources: ClassVar[tuple[str, ...]] = ("corpus",)

    @property
    def targets(self) -> tuple[str, ...]:
        """See Task.targets."""
        return ("document", "match") if self.match else ("document",)

    @property
    def answers(self) -> tuple[str, ...]:
        """See Task.answers."""
        return (self.target,)

    @property
    def further(self) -> str | None:
        """See Task.further."""
        return self.corpus

    def read(self, cells: Mapping[str, Any]) -> tuple[dict[str, Any], Label]:
        """See Task.read. A label is a tuple of documents, each of them right, or one that is Rejected."""
        inputs, value = {"query": cells.get("query")}, plain(cells.get("document"))
        documents = value if isinstance(value, (list, tuple)) else [value]
        documents = tuple(dict.fromkeys(one(part) for part in documents if not is_empty(part)))
        matches = _matches(plain(cells.get("match"))) if self.match else True
        if not documents or matches is None:
            return inputs, None
        if matches:
            return inputs, documents
        if len(documents) > 1:
            raise LabelError(
                f"The row has {len(documents)} documents and says that they do not match: give each a row."
            )
        return inputs, Rejected(documents[0])

    def encode(self, examples: Sequence[Example], processor: Processor, labels: Sequence[str]) -> list[Window]:
        """See Task.encode. "labels" is () int64, the first of the documents that answer, or -100 where the one is Rejected."""
        if examples and self.target in examples[0].inputs:
            encoded = processor.documents.encode([str(example.inputs[self.target]) for example in examples])
        else:
            encoded = processor.encode([str(example.inputs["query"]) for example in examples])
        gold = self._gold(examples, labels)
        return [window(index, part, gold.get(index)) for index, parts in enumerate(encoded) for part in parts]

    def _gold(self, examples: Sequence[Example], labels: Sequence[str]) -> dict[int, np.ndarray]:
        """Place of each labelled example → its "labels"."""
        known = [place for place, example in enumerate(examples) if isinstance(example.label, tuple)]
        names, where = [examples[place].label[0] for place in known], [examples[place].id for place in known]
        found = dict(zip(known, encode_labels(names, labels, where), strict=True)) if known else {}
        rejected = {place: NO_DOCUMENT for place, one in enumerate(examples) if isinstance(one.label, Rejected)}
        return {place: np.asarray(value, dtype=np.int64) for place, value in {**found, **rejected}.items()}

    def join(self, windows: Sequence[Window], outputs: Sequence[np.ndarray]) -> np.ndarray:
        """See Task.join: the mean of the windows' logits, weighted by their tokens. Returns (documents,)."""
        return weighted_mean(windows, outputs)

    def decode(
        self, logits: np.ndarray, windows: Sequence[Window], labels: Sequence[str], policy: Policy
    ) -> Prediction:
        """See Task.decode: the nearest document; `scores` hold the ten nearest."""
        return ranking.best(logits, labels, policy, sum(part.truncated for part in windows))


def _matches(value: Any) -> bool | None:
    """What a cell of the column `match` says; None where it is empty."""
    if is_empty(value):
        return None
    word = one(value).lower()
    if word not in YES + NO:
        raise LabelError(f"The column of matches holds {value!r:.40}: 1 or 0, yes or no is expected.")
    return word in YES


def sample(folder: Any) -> list[dict[str, Any]]:
    """Rows for the conformance suite (tunewright/testing/conformance.py)."""
    return [
        {"query": "a good film", "document": "films that are good"},
        {"query": "这家店很好，喜欢", "document": "好店推荐"},
        {"query": "😀 ok!", "document": "ok"},
        {"query": "x", "document": ["the letter x", "y"]},
        {"query": "  slow  ", "document": "how to be faster"},
        {"query": "bad " * 60, "document": "what is bad"},
        {"query": "坏 bad 好 good", "document": "好 good"},
        {"query": "e\u0301\u200d\ufe0f", "document": 308},
    ]
