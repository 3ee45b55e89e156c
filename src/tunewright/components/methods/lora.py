"""Train only low-rank updates of chosen weight matrices (LoRA, Hu et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from tunewright.models.adapters import ROLES, Inserted, Role, maps_of

if TYPE_CHECKING:
    from tunewright.models.model import Model


@dataclass(frozen=True)
class LoRA(Inserted):
    """Through `peft`; the head trains too and travels with the adapter."""

    rank: Annotated[int, Field(ge=1)] = 8  # more rank, more capacity and memory; 8 suits most classification
    alpha: Annotated[float, Field(gt=0)] = 16.0  # the update is scaled by alpha / rank
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0  # of the update's input
    targets: Annotated[tuple[Role, ...], Field(min_length=1)] = (
        ROLES  # all linear maps: better than query and value alone at equal size (Dettmers et al. 2023)
    )

    rate: ClassVar[float] = 8.0  # few weights move, and start at zero

    def config(self, model: Model) -> Any:
        """See Inserted.config."""
        from peft import LoraConfig

        names = maps_of(model, self.targets, "lora")
        return LoraConfig(
            r=self.rank, lora_alpha=self.alpha, lora_dropout=self.dropout, target_modules=names, bias="none"
        )
