"""Take out the heads of attention that the loss depends on least; layers need not keep as many as one another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from tunewright.core.contracts import Compressible, CompressionPass, Evidence


@dataclass(frozen=True)
class PruneHeads(CompressionPass):
    """By the first-order term of each head on training rows, scaled within its layer (Michel et al. 2019).

    The configurations of `transformers` know no heads narrower than width / heads, so only Tunewright opens the result.
    """

    plain: ClassVar[bool] = False
    share: Annotated[float, Field(gt=0, lt=1)] = 0.25  # of all heads that go; each layer keeps one at least

    @classmethod
    def variants(cls) -> tuple[CompressionPass, ...]:
        """See CompressionPass.variants."""
        return tuple(cls(share=share) for share in (0.25, 0.5))

    def lacks(self, given: Compressible) -> str:
        """See CompressionPass.lacks."""
        from tunewright.models.packed import packed

        if packed(given.model.backbone) is None:
            return "its attention is not built as BERT's"
        return "" if given.model.backbone.config.num_attention_heads > 1 else "it has one head alone"

    def apply(self, given: Compressible, evidence: Evidence) -> Compressible:
        """See CompressionPass.apply."""
        import torch

        from tunewright.models import surgery
        from tunewright.models.smaller import column_importance, head_size, keep_heads

        backbone = given.model.backbone
        maps = [backbone.get_submodule(name) for name in surgery.linear_maps(backbone)["attention_output"]]
        found = column_importance(maps, given.model, lambda: evidence.losses(given), together=head_size(backbone))
        scaled = [values / values.norm().clamp(min=1e-30) for values in found]
        for values in scaled:
            values[values.argmax()] = torch.inf
        staying = max(len(maps), round((1 - self.share) * sum(map(len, scaled))))
        least = torch.sort(torch.cat(scaled), descending=True).values[staying - 1]
        keep_heads(backbone, [torch.nonzero(values >= least).flatten() for values in scaled])
        return given
