"""Compute in bfloat16: by the fastest runtime of this machine that does and keeps within the budget."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from tunewright.core.contracts import Compressible, CompressionPass, Evidence


@dataclass(frozen=True)
class Bf16(CompressionPass):
    """Weights and tokenizer stay as they are; what computes them changes."""

    changes_network: ClassVar[bool] = False

    def apply(self, given: Compressible, evidence: Evidence) -> Compressible:
        """See CompressionPass.apply."""
        return replace(given, precision="bf16", full=None)
