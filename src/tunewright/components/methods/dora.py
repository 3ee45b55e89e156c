"""Train low-rank updates of the weights' directions, and their sizes apart (DoRA, Liu et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from tunewright.models.adapters import ROLES, Inserted, Role, maps_of

if TYPE_CHECKING:
    from tunewright.models.model import Model


@dataclass(frozen=True)
class DoRA(Inserted):
    """Often nearer to full fine-tuning than `lora` at the same rank, and slower: each step measures the weights' sizes."""

    rank: Annotated[int, Field(ge=1)] = 8  # more rank, more capacity and memory
    alpha: Annotated[float, Field(gt=0)] = 16.0  # the update is scaled by alpha / rank
    targets: Annotated[tuple[Role, ...], Field(min_length=1)] = ROLES  # the linear maps that are updated

    rate: ClassVar[float] = 8.0  # as lora's

    def config(self, model: Model) -> Any:
        """See Inserted.config."""
        from peft import LoraConfig

        names = maps_of(model, self.targets, "dora")
        return LoraConfig(r=self.rank, lora_alpha=self.alpha, target_modules=names, bias="none", use_dora=True)
