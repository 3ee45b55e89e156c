"""Adafactor (Shazeer and Stern 2018): keeps row and column sums in place of a second moment per weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from tunewright.core.contracts import Optimizer

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Adafactor(Optimizer):
    """About half of AdamW's memory; the learning rate is relative to each matrix's own size."""

    beta2_decay: Annotated[float, Field(lt=0)] = -0.8  # how fast the memory of squares grows
    clip_update: Annotated[float, Field(ge=1)] = 1.0  # largest root mean square of an update, relative to its usual 1

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """See Optimizer.build."""
        import torch

        return torch.optim.Adafactor(groups, beta2_decay=self.beta2_decay, d=self.clip_update)
