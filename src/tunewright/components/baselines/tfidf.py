"""Weigh words and character n-grams by TF-IDF, and fit logistic regression: no pretrained model."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from tunewright.core.contracts import Baseline, Given, Task
from tunewright.core.linear import predictions
from tunewright.core.types import Example, Prediction

HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
# A word, a Chinese character (Chinese is written without spaces), or a sign such as "!" or an emoji.
WORD = rf"[{HAN}]|[^\W{HAN}]+|[^\w\s]"
PATH = (1.0, 3.0, 10.0, 30.0, 100.0)  # values of C, tried on validation
MANY_ROWS = 1000  # from here on, what occurs in one row only is left out: it teaches nothing, and is most n-grams
MOST_WEIGHTS = 8_000_000  # features times labels: the fit holds about twenty such arrays, 640 MB


@dataclass(frozen=True)
class TfIdf(Baseline):
    """Strong on long texts and on topics; chooses its penalty on validation. English and Chinese alike."""

    words: Annotated[int, Field(ge=1)] = 2  # longest run of words that is a feature; of characters, in Chinese
    characters: Annotated[int, Field(ge=2)] = (
        4  # longest character n-gram within a word; they catch endings, misspellings and Chinese words
    )
    features: Annotated[int, Field(ge=1)] = (
        50_000  # at most so many of each kind, the most frequent; more took longer and was no better
    )

    def predict(self, given: Given) -> list[Prediction]:
        """See Baseline.predict."""
        weigh, seen = self._fitted(_texts(given.train), len(given.labels))
        held_out, unseen = (_transform(weigh, part, seen.shape[1]) for part in (given.validation, given.test))
        parts = zip((seen, held_out, unseen), (given.train, given.validation, given.test), strict=True)
        return predictions(given, *(_with_columns(matrix, given.task, part) for matrix, part in parts), PATH)

    def _fitted(self, texts: list[str], labels: int) -> tuple[Any, Any]:
        """A fitted vectorizer, and the texts' features (CSR)."""
        if len(texts) >= MANY_ROWS:
            with contextlib.suppress(ValueError):  # raised when no feature occurs twice
                weigh = self._vectorizer(labels, least_rows=2)
                return weigh, weigh.fit_transform(texts).tocsr()
        weigh = self._vectorizer(labels, least_rows=1)
        return weigh, weigh.fit_transform(texts).tocsr()

    def _vectorizer(self, labels: int, least_rows: int) -> Any:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.pipeline import FeatureUnion

        most = max(1, min(self.features, MOST_WEIGHTS // (2 * max(labels, 1))))
        shared = {"sublinear_tf": True, "max_features": most, "min_df": least_rows, "dtype": np.float32}
        words = TfidfVectorizer(token_pattern=WORD, ngram_range=(1, self.words), **shared)
        characters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, self.characters), **shared)
        return FeatureUnion([("words", words), ("characters", characters)])


def _transform(weigh: Any, examples: Sequence[Example], width: int) -> Any:
    from scipy.sparse import csr_matrix

    return weigh.transform(_texts(examples)).tocsr() if examples else csr_matrix((0, width), dtype=np.float32)


def _with_columns(features: Any, task: Task, examples: Sequence[Example]) -> Any:
    """The features with those of the columns that the task reads beside the text: the tuned model has them too."""
    if not task.beside.columns or not examples:
        return features
    from scipy.sparse import hstack

    beside = [task.beside.vector(example.columns) for example in examples]
    return hstack([features, np.stack(beside)], format="csr", dtype=np.float32)


def _texts(examples: Sequence[Example]) -> list[str]:
    return [" ".join(map(str, example.inputs.values())) for example in examples]
