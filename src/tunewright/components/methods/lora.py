"""Train only low-rank updates of chosen weight matrices (LoRA, Hu et al. 2021)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, get_args

from pydantic import Field

from tunewright.core.contracts import Method
from tunewright.core.errors import RecipeError

if TYPE_CHECKING:
    from tunewright.models.model import Model

Role = Literal["query", "key", "value", "attention_output", "up", "down"]
ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True)
class LoRA(Method):
    """Through `peft`; the head trains too and travels with the adapter."""

    rank: Annotated[int, Field(ge=1)] = 8  # more rank, more capacity and memory; 8 suits most classification
    alpha: Annotated[float, Field(gt=0)] = 16.0  # the update is scaled by alpha / rank
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0  # of the update's input
    targets: Annotated[tuple[Role, ...], Field(min_length=1)] = (
        ROLES  # all linear maps: better than query and value alone at equal size (Dettmers et al. 2023)
    )

    rate: ClassVar[float] = 8.0  # few weights move, and start at zero

    def apply(self, model: Model) -> Model:
        """See Method.apply. Raises RecipeError when the backbone has no linear map of these roles."""
        from peft import LoraConfig, get_peft_model

        from tunewright.models import surgery

        maps = surgery.linear_maps(model.backbone)
        # Fused maps stand under several roles.
        names = list(dict.fromkeys(name for role in self.targets for name in maps.get(role, [])))
        if not names:
            raise RecipeError(f"The backbone has no linear map of the roles {', '.join(self.targets)} for lora.")
        model.requires_grad_(False)
        config = LoraConfig(
            r=self.rank, lora_alpha=self.alpha, lora_dropout=self.dropout, target_modules=names, bias="none"
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers by a name that will go
            model.backbone = get_peft_model(model.backbone, config)
        model.head.requires_grad_(True)
        return model

    def merge(self, model: Model) -> Model:
        """See Method.merge."""
        model.backbone = model.backbone.merge_and_unload()
        return model

    def save_adapter(self, model: Model, folder: Path) -> bool:
        """See Method.save_adapter; the head lies beside the adapter as head.safetensors."""
        from safetensors.torch import save_file

        model.backbone.save_pretrained(folder, safe_serialization=True)
        save_file(
            {name: value.contiguous() for name, value in model.head.state_dict().items()}, folder / "head.safetensors"
        )
        return True
