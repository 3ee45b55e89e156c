"""Take out the units of feed-forward parts that the loss depends on least: smaller maps, the same shape in all layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from tunewright.core.contracts import Compressible, CompressionPass, Evidence

MULTIPLE = 16  # units of a layer: what kernels compute at once


@dataclass(frozen=True)
class PruneFfn(CompressionPass):
    """How much the loss depends on a unit is its first-order Taylor term on training rows (Molchanov et al. 2019)."""

    share: Annotated[float, Field(gt=0, lt=1)] = 0.25  # of each layer's units that go

    @classmethod
    def variants(cls) -> tuple[CompressionPass, ...]:
        """See CompressionPass.variants."""
        return tuple(cls(share=share) for share in (0.25, 0.5, 0.75))

    def lacks(self, given: Compressible) -> str:
        """See CompressionPass.lacks."""
        from tunewright.models.smaller import inner_maps

        return "" if inner_maps(given.model.backbone) else "its layers have no plain pair of feed-forward maps"

    def apply(self, given: Compressible, evidence: Evidence) -> Compressible:
        """See CompressionPass.apply."""
        import torch

        from tunewright.models.smaller import column_importance, inner_maps, keep_inner

        maps = [down for _, down in inner_maps(given.model.backbone)]
        importance = column_importance(maps, given.model, lambda: evidence.losses(given))
        width = maps[0].in_features
        least = min(MULTIPLE, width - 1)
        staying = max(least, int((1 - self.share) * width) // MULTIPLE * MULTIPLE)
        kept = [torch.sort(torch.topk(values, staying).indices).values for values in importance]
        keep_inner(given.model.backbone, kept)
        return given
