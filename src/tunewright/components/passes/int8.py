"""Compute in 8-bit integers: by the fastest runtime of this machine that does and keeps within the budget."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from pydantic import Field

from tunewright.core import catalog
from tunewright.core.contracts import Compressible, CompressionPass, Evidence

SHARES = (0.0, 0.1, 0.25, 0.5)  # of the work in full precision, one after the other, where rounding costs too much
INSTEAD = "bf16"  # and then


@dataclass(frozen=True)
class Int8(CompressionPass):
    """Weights and tokenizer stay as they are; what computes them changes. Weights have a scale for each output.

    Where it costs too much it steps back: to static scales, with more and more of the work in full precision, then to bf16.
    """

    changes_network: ClassVar[bool] = False
    static: bool = False  # whether scales of activations have to be measured beforehand, on training rows
    full: Annotated[float, Field(ge=0, lt=1)] = (
        0.0  # share of the work, where rounding hurts most, in fp32; static scales
    )
    step_back: bool = True  # whether something milder is tried where it costs too much

    @classmethod
    def variants(cls) -> tuple[CompressionPass, ...]:
        """See CompressionPass.variants."""
        return cls(full=0.25), cls()

    def milder(self) -> CompressionPass | None:
        """See CompressionPass.milder."""
        if not self.step_back:
            return None
        share = next((share for share in SHARES if share > self.full or not self._careful), None)
        if share is None:
            return catalog.create("passes", INSTEAD)  # type: ignore[return-value]
        return replace(self, static=True, full=share)

    def apply(self, given: Compressible, evidence: Evidence) -> Compressible:
        """See CompressionPass.apply."""
        return replace(given, precision="int8", full=self.full if self._careful else None)

    @property
    def _careful(self) -> bool:
        return self.static or self.full > 0
