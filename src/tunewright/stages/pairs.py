"""Rows to train a re-ranker from: a run's own queries, each with documents that answer it and such that do not."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tunewright.core import catalog
from tunewright.core.bundle import Bundle
from tunewright.core.errors import BundleError, UsageError
from tunewright.core.files import writing_folder
from tunewright.core.names import NO, YES
from tunewright.core.progress import Progress, Silent
from tunewright.core.types import Example, label_names
from tunewright.data.dataset import DESCRIPTION, Dataset
from tunewright.data.documents import further_documents
from tunewright.predict import sink
from tunewright.predict.infer import stepping
from tunewright.predict.predictor import Predictor
from tunewright.stages import index

SPLITS = ("train", "validation")  # what rows are made of: never of test, which is to judge the re-ranking


def write(
    predictor: Predictor, folder: Path | str, *, wrong: int, progress: Progress | None = None
) -> dict[str, dict[str, int]]:
    """Write train.jsonl and validation.jsonl with text_a (the query), text_b (a document) and label into a new `folder`.

    A document that answers has the label 1. Of wrong ones (0) a query has all that rows reject, and as many as make them
    `wrong` of those that `predictor` finds near it; those as near as the right one are taken for right as well.
    Documents that test rows alone hold are left out. Returns split → {"queries", "right", "rejected", "found"}.

    Raises BundleError where the predictor does not search, UsageError where it does not lie in its run, or `folder` is
    there already.
    """
    progress, folder = progress or Silent(), Path(folder)
    dataset = _dataset(predictor.bundle)
    if folder.exists():
        raise UsageError(f"{folder} exists already and stays as it is. Choose another --out.")
    counts = {}
    with writing_folder(folder) as made:
        maker = _Maker(predictor, dataset, wrong)
        for name in SPLITS:
            counted: Counter[str] = Counter(dict.fromkeys(("queries", "right", "rejected", "found"), 0))
            with open(made / f"{name}.jsonl", "w", encoding="utf-8") as file:
                put = sink.writer(file, ".jsonl", ())
                for row in maker.rows(dataset.splits[name].examples(), counted, progress):
                    put(row)
            counts[name] = dict(counted)
    return counts


def _dataset(bundle: Bundle) -> Dataset:
    """The rows that the bundle's run was made of, in their splits."""
    if not bundle.task.retrieves:
        raise BundleError(
            f"{bundle.folder} is for {catalog.name_of(bundle.task)}: it has no queries and documents. Name a run that searches "
            "(matching)."
        )
    folder = bundle.folder.absolute().parent / "data"
    dataset = Dataset.open(folder) if (folder / DESCRIPTION).exists() else None
    if dataset is None or dataset.labels != bundle.labels:
        raise UsageError(
            f"{bundle.folder} does not lie in the run that made it, and only that knows which rows are for training. Name "
            "the run."
        )
    return dataset


class _Maker:
    """Makes rows of a split's examples."""

    def __init__(self, predictor: Predictor, dataset: Dataset, wrong: int) -> None:
        self._predictor, self._documents, self._wrong = predictor, dataset.labels, wrong
        self._number = {text: place for place, text in enumerate(dataset.labels)}
        seen = set(further_documents(predictor.bundle.task))
        for name in SPLITS:
            seen.update(document for example in dataset.splits[name] for document in label_names(example.label))
        self._unseen = np.array([document not in seen for document in dataset.labels])

    def rows(self, examples: Sequence[Example], counted: Counter[str], progress: Progress) -> Iterator[dict[str, Any]]:
        """The rows of a split, query by query; how many of each kind are added up in `counted`."""
        said_no = index.said_no(examples, self._number)
        answered = {index.query_of(one): one for one in examples if isinstance(one.label, tuple)}
        counted["queries"] = len(answered.keys() | said_no.keys())
        with progress.task("Looking for wrong documents", total=len(answered)) as step:
            queries = (dataclasses.replace(one, label=None) for one in answered.values())
            for query, item in zip(answered, stepping(self._predictor.infer(queries), step), strict=True):
                right = [self._number[document] for document in answered[query].label]  # type: ignore[union-attr]
                rejected = [one for one in dict.fromkeys(said_no.pop(query, ())) if one not in right]
                yield from self._of(query, right, YES[0], "right", counted)
                yield from self._of(query, rejected, NO[0], "rejected", counted)
                found = self._found(item.logits, right, rejected)
                yield from self._of(query, found, NO[0], "found", counted)
        for query, rejected in said_no.items():
            yield from self._of(query, list(dict.fromkeys(rejected)), NO[0], "rejected", counted)

    def _found(self, logits: np.ndarray, right: Sequence[int], rejected: Sequence[int]) -> list[int]:
        likeness = np.where(self._unseen, -np.inf, logits)
        return index.wrong_ones(likeness, right, rejected, max(self._wrong, len(rejected)))[len(rejected) :]

    def _of(
        self, query: str, documents: Sequence[int], label: str, kind: str, counted: Counter[str]
    ) -> Iterator[dict[str, Any]]:
        counted[kind] += len(documents)
        for one in documents:
            yield {"text_a": query, "text_b": self._documents[one], "label": label}
