"""Replace feed-forward maps by two narrow ones each, through the directions in which their outputs differ most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from tunewright.core.contracts import Compressible, CompressionPass, Evidence


@dataclass(frozen=True)
class LowRank(CompressionPass):
    """The directions are principal components of the outputs on training rows, not of the weights: what texts do not use
    costs nothing (Chen et al. 2021, DRONE). The result has maps that `transformers` does not know; Tunewright opens it."""

    plain: ClassVar[bool] = False
    share: Annotated[float, Field(gt=0, lt=1)] = 0.25  # of these maps' weights that go

    @classmethod
    def variants(cls) -> tuple[CompressionPass, ...]:
        """See CompressionPass.variants."""
        return tuple(cls(share=share) for share in (0.25, 0.5))

    def lacks(self, given: Compressible) -> str:
        """See CompressionPass.lacks."""
        from tunewright.models.smaller import inner_maps

        return "" if inner_maps(given.model.backbone) else "its layers have no plain pair of feed-forward maps"

    def apply(self, given: Compressible, evidence: Evidence) -> Compressible:
        """See CompressionPass.apply."""
        from tunewright.models import surgery
        from tunewright.models.smaller import Watched

        backbone = given.model.backbone
        roles = surgery.linear_maps(backbone)
        watched = {name: Watched(backbone.get_submodule(name)) for role in ("up", "down") for name in roles[role]}
        for name, one in watched.items():
            surgery.replace(backbone, name, one)
        for _ in evidence.losses(given):
            pass
        for name, one in watched.items():
            inputs, outputs = one.base.in_features, one.base.out_features
            rank = max(1, int((1 - self.share) * inputs * outputs / (inputs + outputs)))
            surgery.replace(backbone, name, one.factored(rank))
        return given
