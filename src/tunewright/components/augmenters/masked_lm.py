"""Let a masked language model fill in words that were covered, so that they fit what stands around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import Field

from tunewright.core.contracts import Augmenter
from tunewright.core.edits import Edit, Edits, Passage


@dataclass(frozen=True)
class MaskedLM(Augmenter):
    """Contextual augmentation as Kumar et al. 2020 (section 3.1) have it, with a model that was not tuned to the labels:
    what it fills in fits the text, and may change its label."""

    share: Annotated[float, Field(gt=0, le=1)] = 0.15  # of the words, one at least: what such models learned to fill in
    model: str = (
        ""  # folder or hub id of a model with its head for masked words (of BERT's kind); there is no packaged one
    )
    top: Annotated[int, Field(ge=1)] = 10  # likeliest words that are drawn from, each by its probability

    sources: ClassVar[tuple[str, ...]] = ("model",)

    def open(self) -> Edits:
        """See Augmenter.open."""
        from tunewright.models.language_models import FillIn

        model = FillIn(self.model, self.top, "data.augment: masked_lm.model")
        return lambda passages: self._edits(model, passages)

    def _edits(self, model: Any, passages: Sequence[Passage]) -> list[list[Edit]]:
        covered = [
            passage.some(places, self.share)
            for passage, places in zip(passages, model.places([passage.text for passage in passages]), strict=True)
        ]
        draws = [passage.draw for passage in passages]
        filled = model.fill([passage.text for passage in passages], covered, draws)
        return [
            [Edit(*place, word) for place, word in zip(places, made, strict=True) if word]
            for places, made in zip(covered, filled, strict=True)
        ]
