"""Documents that are searched: the index made anew as the model learns, and the wrong ones that training holds queries against."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tunewright.core import ranking
from tunewright.core.errors import RecipeError
from tunewright.core.files import writing
from tunewright.core.progress import Progress, Silent
from tunewright.core.types import Example, Rejected, Window
from tunewright.data.dataset import Dataset
from tunewright.data.ledger import Ledger
from tunewright.models.model import Model
from tunewright.models.processor import TooLong
from tunewright.stages.assemble import Plan
from tunewright.stages.embed import Embedder
from tunewright.training.encoded import EncodedSplit, open_encoded, write_encoded
from tunewright.training.pairs import NONE, Pairs

NEAR = (
    0.95  # of the right document's likeness: what is nearer is taken for right as well (de Souza Moreira et al. 2024)
)
ROWS = 256  # queries that are held against all documents at a time
STEPS = 1_000_000  # of a run so long that every method that changes on the way stands at its beginning


@dataclass
class Index:
    """The documents, and the model whose head finds them."""

    plan: Plan
    documents: Sequence[str]
    model: Model
    device: str

    def renew(self) -> None:
        """Set the head's map to the documents' features under the model as it stands."""
        import torch

        embedder = Embedder(self.plan, self.device, Silent(), self.model)
        embedder.precision = self.plan.recipe.train.precision
        features = embedder(ranking.as_examples(self.documents, self.plan.recipe.task.target))
        self.model.start_head(*(torch.from_numpy(part).to(self.device) for part in ranking.index(features)))


def refuse_untrained(plan: Plan, model: Model) -> None:
    """Raise RecipeError for a method that trains, or begins with, the head alone: it is the documents' features."""
    plan.recipe.train.method.at(model, 0, STEPS)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise RecipeError(
            "train.method: the one chosen trains the head alone, at first or throughout, and here the head is the documents' "
            "features: nothing would be learned. Choose full, freeze or lora."
        )


def pairs(
    plan: Plan, dataset: Dataset, queries: EncodedSplit, folder: Path, embedder: Embedder, progress: Progress
) -> Pairs:
    """What training goes over: the encoded `queries` with their documents, encoded beside them, and the run's hard negatives.

    Those are found once, by the untouched backbone, and kept in the run's `folder`.
    """
    documents = open_encoded(queries.folder.with_name("documents"))
    rows = dataset.splits["train"].examples()
    number = {text: place for place, text in enumerate(dataset.labels)}
    right = {
        row: np.array([number[one] for one in example.label])
        for row, example in enumerate(rows)
        if isinstance(example.label, tuple)
    }
    place = folder / "hard.npy"
    if not place.exists():
        hard = np.full((len(rows), plan.objective.mined), NONE)
        if plan.objective.mined:
            _mine(rows, right, said_no(rows, number), dataset.labels, embedder, hard)
            embedder.release()
        with writing(place) as made, open(made, "wb") as file:
            np.save(file, hard)
    several = {row: own for row, own in right.items() if len(own) > 1}
    return Pairs(queries, documents, np.load(place), several)


def write_documents(plan: Plan, documents: Sequence[str], folder: Path, ledger: Ledger, progress: Progress) -> None:
    """Encode all documents to disk, once; their tokens go into the ledger. Raises RecipeError for one that is too long."""
    counts = {"seen": 0, "used": 0, "truncated": 0, "windows": 0, "split_rows": 0}

    def windows() -> Iterator[Window]:
        task = plan.recipe.task
        with progress.task("Tokenizing documents", total=len(documents)) as step:
            try:
                found = task.encode(ranking.as_examples(documents, task.target), plan.processor, ())
            except TooLong as error:
                raise RecipeError(f"Document {documents[error.index]!r:.80}: {error}") from None
            for number, own in itertools.groupby(found, key=lambda window: window.example):
                parts = list(own)
                lost, fresh = sum(p.truncated for p in parts), sum(p.tokens - p.shared for p in parts)
                if lost:
                    ledger.truncate("documents", f"document#{number}", lost)
                added = {"seen": fresh + lost, "used": fresh, "truncated": lost, "windows": len(parts)}
                for name, count in {**added, "split_rows": int(len(parts) > 1)}.items():
                    counts[name] += count
                yield from parts
                step(1)
        ledger.tokens("documents", **counts)

    write_encoded(windows(), folder, plan.processor.pad_id)


def said_no(rows: Sequence[Example], number: Mapping[str, int]) -> dict[str, list[int]]:
    """Query → the documents of which its rows say that they do not answer."""
    found: dict[str, list[int]] = {}
    for example in rows:
        if isinstance(example.label, Rejected):
            found.setdefault(query_of(example), []).append(number[example.label.document])
    return found


def query_of(example: Example) -> str:
    """An example's query as one text."""
    return "\n".join(map(str, example.inputs.values()))


def _mine(
    rows: Sequence[Example],
    right: Mapping[int, np.ndarray],
    said_no: Mapping[str, Sequence[int]],
    documents: Sequence[str],
    embedder: Embedder,
    hard: np.ndarray,
) -> None:
    """Fill `hard` for the rows that have an answer: first what is known to be wrong, then what is nearest and not too near."""
    task = embedder.plan.recipe.task
    index = ranking.unit(embedder(ranking.as_examples(documents, task.target)))
    places = np.array(list(right))
    for start in range(0, len(places), ROWS):
        chunk = places[start : start + ROWS]
        near = ranking.unit(embedder([rows[row] for row in chunk])) @ index.T
        for row, own in zip(chunk, near, strict=True):
            chosen = wrong_ones(own, right[row], said_no.get(query_of(rows[row]), ()), hard.shape[1])
            hard[row, : len(chosen)] = chosen


def wrong_ones(likeness: np.ndarray, right: Sequence[int], known: Sequence[int], count: int) -> list[int]:
    """Up to `count` documents that do not answer: first those `known` not to, then the nearest that are not too near.

    likeness: (documents,) of the query, which is overwritten. right: the documents that answer, its own first.
    """
    known = list(dict.fromkeys(known))
    likeness[likeness > NEAR * likeness[right[0]]] = -np.inf
    likeness[right] = likeness[known] = -np.inf
    nearest = np.argpartition(-likeness, min(count, len(likeness) - 1))[:count]
    nearest = nearest[np.argsort(-likeness[nearest], kind="stable")]
    return [*known, *(int(one) for one in nearest if np.isfinite(likeness[one]))][:count]
