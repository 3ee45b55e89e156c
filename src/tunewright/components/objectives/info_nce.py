"""Draw each query to its document and away from the others of the step (InfoNCE, van den Oord et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from tunewright.core.contracts import Objective

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class InfoNCE(Objective):
    """Softmax cross-entropy of a query's document among all documents of the step, by cosine (Henderson et al. 2017).

    The larger train.batch_size, the more of them there are. A document that is right for a query is no negative of it.
    """

    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = (
        0.05  # less makes near documents count more; 0.01 to 0.1 is usual
    )
    hard_negatives: Annotated[int, Field(ge=0, le=100)] = (
        1  # wrong documents that each query is held against beside those of the step: what its rows say is no answer, then what the untuned backbone finds near; each costs a text's computing
    )
    symmetric: bool = False  # let documents look for their queries too

    joint: ClassVar[bool] = True

    @property
    def mined(self) -> int:
        """See Objective.mined."""
        return self.hard_negatives

    def loss(self, logits: Tensor, labels: Tensor, class_weights: Tensor | None) -> Tensor:
        """See Objective.loss. Raises ValueError for labels of any other form."""
        from torch.nn.functional import normalize

        if labels.ndim != 2 or len(logits) != sum(labels.shape) or class_weights is not None:
            raise ValueError("info_nce takes queries and documents, and no labels")
        features = normalize(logits, dim=1)
        scores = features[: len(labels)] @ features[len(labels) :].T / self.temperature
        losses = _found(scores, labels)
        return (losses + _found(scores.T, labels.T, labels == 1)) / 2 if self.symmetric else losses


def _found(scores: Tensor, labels: Tensor, own: Tensor | None = None) -> Tensor:
    """−log of the share of what shall be found. scores, labels: (seekers, found).

    own: (queries, documents) where documents seek: each query's document looks for that query, the others that it answers
    left out. Returns (queries,) in either case.
    """
    if own is None:
        shares = scores.masked_fill(labels < 0, float("-inf")).log_softmax(dim=1)
        return -shares.masked_fill(labels != 1, 0.0).sum(dim=1)
    place = own.int().argmax(dim=1)
    rows, right = scores[place], labels[place] != 0
    itself = own.new_zeros(rows.shape).fill_diagonal_(True)
    shares = rows.masked_fill(right & ~itself, float("-inf")).log_softmax(dim=1)
    return -shares.diagonal()
