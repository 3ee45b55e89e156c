"""Ask the same answer for a text and a changed copy of it, in every step (UDA, Xie et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from tunewright.core.contracts import SemiSupervision

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Uda(SemiSupervision):
    """The divergence of the copy's answer from the text's, which is sharpened, where that is sure (section 2.2, "confidence-based
    masking" and "sharpening predictions"). Several labels a row: each is a yes or no of its own, and all must be sure."""

    rows: Annotated[int, Field(ge=1, le=4096)] = 32  # without labels in each step; each is computed twice
    augmenter: Annotated[str, Field(min_length=1)] = (
        "swap_delete_insert"  # what changes the copies, a name of augmenters, with its defaults; this one needs nothing
    )
    weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0  # in the loss, as the paper
    temperature: Annotated[float, Field(gt=0, le=1)] = 0.4  # below 1 sharpens the text's answer; the paper's
    confidence: Annotated[float, Field(ge=0, lt=1)] = 0.8  # least score of an answer that counts; the paper's

    @property
    def copies(self) -> tuple[int, str]:
        """See SemiSupervision.copies."""
        return self.rows, self.augmenter

    def consistency(self, said: Tensor, changed: Tensor, multi_label: bool) -> Tensor:
        """See SemiSupervision.consistency."""
        import torch
        from torch.nn import functional

        said, changed = said.float(), changed.float()
        if multi_label:
            said, changed = (torch.stack([logits, torch.zeros_like(logits)], dim=-1) for logits in (said, changed))
        sure = said.softmax(dim=-1).amax(dim=-1)
        target = (said / self.temperature).log_softmax(dim=-1)
        apart = functional.kl_div(changed.log_softmax(dim=-1), target, log_target=True, reduction="none").sum(dim=-1)
        if multi_label:
            sure, apart = sure.amin(dim=-1), apart.mean(dim=-1)
        return self.weight * torch.where(sure >= self.confidence, apart, 0.0)
