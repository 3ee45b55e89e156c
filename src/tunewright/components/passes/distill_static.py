"""Teach a model without layers: a vector for every piece, their mean, and a map. Tens of times as fast, less accurate."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from tunewright.core.contracts import Compressible, CompressionPass, Evidence, Imitation
from tunewright.core.types import Example

NONE = -1  # no piece's number
CHUNK = 1024  # rows, or pieces, whose hidden states are in memory at a time


@dataclass(frozen=True)
class DistillStatic(CompressionPass):
    """A piece's vector begins as the mean of the hidden states it has in training rows, or alone where it occurs in none
    (Tulkens and van Dongen 2024, Model2Vec), in their principal directions, and less the more frequent it is (Arora et al.
    2017). Then all of it learns the original's answers. How long a vector is, is how much its piece counts.
    """

    replaces: ClassVar[bool] = True
    plain: ClassVar[bool] = False
    width: Annotated[int, Field(ge=8)] = 256  # numbers of a vector, at most as many as a hidden state has
    epochs: Annotated[float, Field(gt=0)] = 20.0  # over the training rows; the best by validation is kept
    temperature: Annotated[float, Field(gt=0)] = 2.0  # over 1 shows what the original holds for second best
    rate: Annotated[float, Field(gt=0)] = 100.0  # learning rate, relative to full fine-tuning: a piece is seen rarely

    @classmethod
    def variants(cls) -> tuple[CompressionPass, ...]:
        """See CompressionPass.variants."""
        return cls(), cls(width=64)

    def lacks(self, given: Compressible) -> str:
        """See CompressionPass.lacks."""
        from tunewright.models import surgery

        if not given.model.head_kind.pools:
            return "it answers for every token, and that takes more than the token alone"
        return "" if surgery.layers(given.model.backbone) else "it has no layers already"

    def apply(self, given: Compressible, evidence: Evidence) -> Compressible:
        """See CompressionPass.apply."""
        import torch

        from tunewright.models.reduced import directions, less_frequent
        from tunewright.models.static import static_encoder

        means, counts = _means(given, evidence)
        special = [given.processor.pad_id, *np.setdiff1d(given.processor.around(NONE).input_ids, [NONE])]
        counts[special] = 0
        vectors = less_frequent(directions(means, counts, self.width), counts)
        vectors[special] = 0.0  # what stands in every text tells nothing
        backbone = static_encoder(torch.from_numpy(vectors), given.processor.pad_id)
        made = replace(given, model=given.model.on(backbone), precision="fp32")
        return evidence.imitate(evidence.fit_head(made), Imitation(self.epochs, self.temperature, 0.0, self.rate))


def _means(given: Compressible, evidence: Evidence) -> tuple[np.ndarray, np.ndarray]:
    """Each piece's mean hidden state (pieces, hidden), and how often it occurs in training rows (pieces,)."""
    from tunewright.models import surgery

    pieces = surgery.word_embeddings(given.model.backbone).num_embeddings
    totals = np.zeros((pieces, surgery.hidden_size(given.model.backbone)), dtype=np.float32)
    counts = np.zeros(pieces, dtype=np.int64)

    rows = evidence.train
    with evidence.progress.task("Vectors of pieces in their texts", total=len(rows)) as step:
        for start in range(0, len(rows), CHUNK):
            part = [Example(row.id, row.inputs, columns=row.columns) for row in rows[start : start + CHUNK]]
            windows = [one.features for one in evidence.task.encode(part, given.processor, evidence.labels)]
            for window, states in zip(windows, evidence.hidden(given, windows), strict=True):
                np.add.at(totals, window["input_ids"], states)
                np.add.at(counts, window["input_ids"], 1)
            step(len(part))
    others = np.flatnonzero(counts == 0)
    with evidence.progress.task("Vectors of pieces alone", total=len(others)) as step:
        for start in range(0, len(others), CHUNK):
            part = others[start : start + CHUNK]
            alone = [given.processor.around(int(piece)).features for piece in part]
            for piece, window, states in zip(part, alone, evidence.hidden(given, alone), strict=True):
                totals[piece] = states[window["input_ids"] == piece][0]
            step(len(part))
    return totals / np.maximum(counts, 1)[:, None], counts
