"""Put the documents that a search finds into a better order: a second bundle reads the query together with each of them.

A search holds one vector of a query against one of each document, so it is quick and knows nothing of how their words fit
together. A network that reads both at once (a cross-encoder, Nogueira and Cho 2019) does, at the price of a pass a document.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewright.core import catalog, ranking
from tunewright.core.bundle import Bundle, open_bundle
from tunewright.core.contracts import Task
from tunewright.core.errors import BundleError, UsageError, listing, nearest
from tunewright.core.names import NO, YES
from tunewright.core.types import Example, Policy, Prediction
from tunewright.predict.predictor import Predictor

if TYPE_CHECKING:
    from tunewright.predict.infer import Inferred


@dataclass(frozen=True)
class Reranker:
    """What judges a query with each of its nearest documents. label: whose probability counts; None: its number does.

    depth: documents that are judged. BEST by default: each costs a pass of the network, and an answer holds no more.
    """

    judge: Predictor
    label: str | None
    depth: int = ranking.BEST

    @property
    def policy(self) -> Policy:
        """From which probability on an answer is given: the one that was fitted for the judge's own answers."""
        return self.judge.bundle.policy

    def about(self) -> dict[str, Any]:
        """As `--json` holds it."""
        return {"by": self.judge.bundle.folder, "label": self.label, "depth": self.depth}

    def answers(self, found: Sequence[Inferred], search: Bundle) -> list[Prediction]:
        """Predictions of what the bundle `search` has inferred, with its documents in the judge's order."""
        searched = [
            ranking.best(
                item.logits, search.labels, search.policy, sum(part.truncated for part in item.windows), self.depth
            )
            for item in found
        ]
        judged = self._judged(self._pairs(found, searched))
        return [ranking.reordered(one, list(islice(judged, len(one.scores))), self.policy) for one in searched]

    def _pairs(self, found: Sequence[Inferred], searched: Sequence[Prediction]) -> Iterator[Example]:
        """Each query with each of its documents."""
        roles = self.judge.bundle.task.inputs
        for item, said in zip(found, searched, strict=True):
            (query,) = item.example.inputs.values()
            for document in said.scores:
                yield Example(item.example.id, dict(zip(roles, (str(query), document), strict=True)))

    def _judged(self, pairs: Iterator[Example]) -> Iterator[float]:
        for _, said in self.judge.predictions(pairs):
            yield float(said.value) if self.label is None else said.scores[self.label]


def open_reranker(search: Bundle, by: Predictor | Path | str, label: str | None, depth: int) -> Reranker:
    """What re-ranks the answers of `search`; see Predictor.reranked."""
    if not search.task.retrieves:
        raise BundleError(
            f"{search.folder} is for {catalog.name_of(search.task)}: it finds no documents that could be put into "
            "another order. Only the answers of a bundle that searches (matching) are re-ranked."
        )
    if depth < ranking.BEST:
        raise UsageError(
            f"{depth} documents cannot be re-ranked: an answer holds the {ranking.BEST} best. Judge {ranking.BEST} or more."
        )
    judge = by.bundle if isinstance(by, Predictor) else open_bundle(by)
    _refuse_no_judge(judge)
    label = _label(judge, label)
    return Reranker(by if isinstance(by, Predictor) else Predictor(judge), label, depth)


def _refuse_no_judge(judge: Bundle) -> None:
    task = judge.task
    if _judges_pairs(task):
        return
    what = f"{judge.folder} cannot re-rank: it is for {catalog.name_of(task)}"
    if task.retrieves:
        what += ", which searches by itself"
    raise BundleError(
        f"{what}. Name a bundle that reads a query and a document at once and gives them a label or a number "
        "(sentence_pair); `tunewright pairs` makes rows to train one from."
    )


def _judges_pairs(task: Task) -> bool:
    """Whether an answer is one label, or a number, of two texts that are both needed."""
    return len(task.needed) == len(task.inputs) == 2 and task.probe and not task.multi_label


def _label(judge: Bundle, given: str | None) -> str | None:
    """The label that says of a document that it answers; None where the judge gives numbers."""
    if not judge.task.classes:
        if given is not None:
            raise UsageError(f"{judge.folder} gives numbers and no labels: leave out the label {given!r}.")
        return None
    if given is None:
        return _yes(judge)
    if given not in judge.labels:
        raise UsageError(
            f"{judge.folder} has no label {given!r}.{nearest(given, judge.labels)} Its labels: {listing(judge.labels)}."
        )
    return given


def _yes(judge: Bundle) -> str:
    """The one of two labels that is a yes where the other one is a no. Anything else may mean something else."""
    yes, no = ([label for label in judge.labels if label.lower() in words] for words in (YES, NO))
    if len(judge.labels) != 2 or len(yes) != 1 or len(no) != 1:
        raise UsageError(
            f"Which label of {judge.folder} says that a document answers? It is not clear from their names: "
            f"{listing(judge.labels)}. Name it, as --rerank-label {judge.labels[0]!r} (in Python label={judge.labels[0]!r})."
        )
    return yes[0]
