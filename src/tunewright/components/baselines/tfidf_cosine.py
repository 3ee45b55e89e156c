"""Search by the words and character n-grams that query and document share, rare ones counting more: no network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from tunewright.core import ranking
from tunewright.core.contracts import Baseline, Given, Task
from tunewright.core.linear import SHARPNESS
from tunewright.core.types import Policy, Prediction

ROWS = 256  # queries at a time: their scores for all documents are in memory


@dataclass(frozen=True)
class TfIdfCosine(Baseline):
    """TF-IDF over character n-grams, across words: they serve English and Chinese, endings and misspellings alike."""

    shortest: Annotated[int, Field(ge=1, le=8)] = 1  # characters of the shortest n-gram; single ones matter in Chinese
    longest: Annotated[int, Field(ge=1, le=8)] = 4  # characters of the longest

    def __post_init__(self) -> None:
        """Refuse a range without n-grams."""
        if self.shortest > self.longest:
            raise ValueError(f"shortest ({self.shortest}) is more than longest ({self.longest}).")

    def suits(self, task: Task) -> bool:
        """See Baseline.suits: documents that are searched."""
        return task.retrieves

    def predict(self, given: Given) -> list[Prediction]:
        """See Baseline.predict. How rare an n-gram is is counted in the documents."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        ngrams = (self.shortest, self.longest)
        weigh = TfidfVectorizer(analyzer="char", ngram_range=ngrams, sublinear_tf=True, dtype=np.float32)
        documents = weigh.fit_transform(given.labels).T.tocsr()
        queries = weigh.transform([" ".join(map(str, example.inputs.values())) for example in given.test])
        return [
            ranking.best(SHARPNESS * row, given.labels, Policy())
            for start in range(0, queries.shape[0], ROWS)
            for row in (queries[start : start + ROWS] @ documents).toarray()
        ]
