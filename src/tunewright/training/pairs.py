"""Queries with the documents that a step holds them against: what a joint objective trains on, in place of windows alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tunewright.training.encoded import EncodedSplit

RIGHT, WRONG, IGNORED = 1, 0, -100  # what a document is to a query; ignored: right as well
NONE = -1  # in place of a document


@dataclass(frozen=True)
class Pairs:
    """The encoded queries, and the encoded documents by their number; `Job` takes it for an EncodedSplit.

    queries: windows whose "labels" are the number of the document that answers, below 0 where there is none; a long query's
    windows are queries by themselves. documents: windows of each, in order. hard: (examples, n) documents that each is held
    against in any case, NONE where there are fewer. right: example → all documents that answer, where there are several.
    """

    queries: EncodedSplit
    documents: EncodedSplit
    hard: np.ndarray
    right: Mapping[int, np.ndarray]

    @cached_property
    def units(self) -> np.ndarray:
        """The windows of `queries` that are trained on."""
        return np.flatnonzero(np.asarray(self.queries.values["labels"]) >= 0)

    @cached_property
    def lengths(self) -> np.ndarray:
        """Tokens of every query with its document and hard negatives."""
        sizes = np.append(np.bincount(self.documents.examples, self.documents.lengths), 0)  # NONE has no tokens
        own, hard = self._own(self.units), self._hard(self.units)
        return (self.queries.lengths[self.units] + sizes[own] + sizes[hard].sum(axis=1)).astype(np.int32)

    @cached_property
    def examples(self) -> np.ndarray:
        """The example of every query."""
        return self.queries.examples[self.units]

    @cached_property
    def _starts(self) -> np.ndarray:
        return np.searchsorted(self.documents.examples, np.arange(self.documents.examples[-1] + 2))

    def __len__(self) -> int:
        return len(self.units)

    def ids(self, indices: np.ndarray) -> list[int]:
        """See EncodedSplit.ids."""
        return self.queries.ids(self.units[indices])

    def batch(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """These queries' windows, then those of their documents and hard negatives, each document once.

        "text" (windows,) says whose each window is, queries before documents; "weight" (windows,) how much it counts there,
        "labels" (queries, documents) what a document is to a query.
        """
        windows = self.units[indices]
        own, hard = self._own(windows), self._hard(windows)
        documents = np.setdiff1d(np.concatenate([own, hard.ravel()]), [NONE])
        parts = [np.arange(self._starts[one], self._starts[one + 1]) for one in documents]
        both = self.queries.batch(windows), self.documents.batch(np.concatenate(parts))
        found = _one_below_the_other(*both, self.queries.pad_id)
        text = [np.arange(len(windows)), np.repeat(np.arange(len(documents)) + len(windows), [len(p) for p in parts])]
        found["text"] = np.concatenate(text)
        found["weight"] = found["attention_mask"].sum(axis=1).astype(np.float32)
        found["labels"] = self._labels(windows, own, documents)
        return found

    def _labels(self, windows: np.ndarray, own: np.ndarray, documents: np.ndarray) -> np.ndarray:
        labels = np.full((len(windows), len(documents)), WRONG, dtype=np.int64)
        for row, example in enumerate(self.queries.examples[windows]):
            if (right := self.right.get(int(example))) is not None:
                labels[row, np.isin(documents, right)] = IGNORED
        labels[np.arange(len(windows)), np.searchsorted(documents, own)] = RIGHT
        return labels

    def _own(self, windows: np.ndarray) -> np.ndarray:
        return np.asarray(self.queries.values["labels"])[windows]

    def _hard(self, windows: np.ndarray) -> np.ndarray:
        return self.hard[self.queries.examples[windows]]


def _one_below_the_other(
    first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray], pad_id: int
) -> dict[str, np.ndarray]:
    """What runs along the tokens of both, padded to the longest."""
    found = {}
    for name, values in second.items():
        if values.ndim == 2:
            longest = max(first[name].shape[1], values.shape[1])
            pad = pad_id if name == "input_ids" else 0
            wide = [
                np.pad(one, ((0, 0), (0, longest - one.shape[1])), constant_values=pad) for one in (first[name], values)
            ]
            found[name] = np.concatenate(wide)
    return found
