"""Store weights in four bits, a scale for every few of them: an eighth of the file, as fast as before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tunewright.core.contracts import Compressible, CompressionPass, Evidence


@dataclass(frozen=True)
class Int4Weights(CompressionPass):
    """Rounded to nearest in groups of neighbouring inputs (Dettmers and Zettlemoyer 2023 find that size to matter most), and
    computed with in full precision once opened. What trains after it would leave the grid, so it stands last.
    """

    plain: ClassVar[bool] = False
    final: ClassVar[bool] = True
    words: bool = True  # whether the table of words is rounded too: the largest part of small models

    def apply(self, given: Compressible, evidence: Evidence) -> Compressible:
        """See CompressionPass.apply."""
        import torch

        from tunewright.models import lighter, stored

        backbone = given.model.backbone
        for name, value in lighter.weights(backbone, self.words).items():
            rounded = torch.from_numpy(stored.rounded(value.detach().float().cpu().numpy()))
            with torch.no_grad():
                value.copy_(rounded)
            lighter.store(backbone, name, "int4")
        return given
