"""Set single weights to zero, those that matter least, and store the others alone: a smaller file, as fast as before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from tunewright.core.contracts import Compressible, CompressionPass, Evidence

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class PruneWeights(CompressionPass):
    """In each map the same share (Han et al. 2015), of which distill behind it leaves zero what is zero.

    Runtimes compute with zeros as with any number. Of a file, half of the weights and a bit for each are a little over half.
    """

    plain: ClassVar[bool] = False
    share: Annotated[float, Field(gt=0, lt=1)] = (
        0.5  # of each map's weights that go; under 0.04 the file does not shrink
    )
    by: Literal["magnitude", "gradient"] = (
        "magnitude"  # gradient: by weight times gradient on training rows, to first order (Molchanov et al. 2019)
    )
    words: bool = True  # whether the table of words loses as many too; its magnitudes alone count

    @classmethod
    def variants(cls) -> tuple[CompressionPass, ...]:
        """See CompressionPass.variants."""
        return cls(), cls(share=0.75)

    def apply(self, given: Compressible, evidence: Evidence) -> Compressible:
        """See CompressionPass.apply."""
        import torch

        from tunewright.models import lighter, surgery

        backbone = given.model.backbone
        table = surgery.word_embeddings(backbone).weight
        chosen = lighter.weights(backbone, self.words)
        maps = [value for value in chosen.values() if value is not table]
        importance = _by_gradient(given, evidence, maps) if self.by == "gradient" else {}
        with torch.no_grad():
            for name, value in chosen.items():
                counts = importance.get(id(value), value.abs()).flatten()
                going = torch.argsort(counts, stable=True)[: int(self.share * counts.numel())]
                value.view(-1)[going] = 0.0
                lighter.store(backbone, name, "sparse")
        return given


def _by_gradient(given: Compressible, evidence: Evidence, maps: Sequence[torch.Tensor]) -> dict[int, torch.Tensor]:
    """Weight (by its id) → how much the loss depends on each number of it, summed over batches of training rows."""
    import torch

    found = {id(one): torch.zeros_like(one, device="cpu") for one in maps}
    given.model.requires_grad_(False)
    for one in maps:
        one.requires_grad_(True)
    for loss in evidence.losses(given):
        loss.backward()
        for one in maps:
            found[id(one)] += (one.detach() * one.grad).abs().float().cpu()
            one.grad = None
    given.model.requires_grad_(True)
    return found
