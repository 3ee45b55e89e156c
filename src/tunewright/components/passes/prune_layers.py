"""Take out the layers that are missed least on validation rows, one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from tunewright.core.contracts import Compressible, CompressionPass, Evidence


@dataclass(frozen=True)
class PruneLayers(CompressionPass):
    """Greedily: of the layers that are left each is left out in turn, and the one goes without which answers are best
    (after Sajjad et al. 2023, who find the top ones expendable; here that is measured).

    Without training after it, as by `distill`, more than a few layers cost a lot.
    """

    share: Annotated[float, Field(gt=0, lt=1)] = 0.25  # of the layers that go; at least one stays, and one goes

    @classmethod
    def variants(cls) -> tuple[CompressionPass, ...]:
        """See CompressionPass.variants."""
        return tuple(cls(share=share) for share in (0.25, 0.5, 0.75))

    def lacks(self, given: Compressible) -> str:
        """See CompressionPass.lacks."""
        from tunewright.models import smaller, surgery

        if len(surgery.layers(given.model.backbone)) < 2:
            return "it has no layers to spare"
        return "" if smaller.depth_name(given.model.backbone) else "its configuration does not count its layers"

    def apply(self, given: Compressible, evidence: Evidence) -> Compressible:
        """See CompressionPass.apply."""
        from tunewright.models import surgery
        from tunewright.models.smaller import drop_layer, put_layer

        backbone = given.model.backbone
        depth = len(surgery.layers(backbone))
        going = min(depth - 1, max(1, round(self.share * depth)))
        with evidence.progress.task("Leaving out layers", total=sum(depth - gone for gone in range(going))) as step:
            for gone in range(going):
                values = []
                for index in range(depth - gone):
                    layer = drop_layer(backbone, index)
                    values.append(evidence.value(given))
                    put_layer(backbone, index, layer)
                    step(1)
                drop_layer(backbone, values.index(max(values)))
        return given
