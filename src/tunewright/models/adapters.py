"""Methods that insert small trained parts through `peft`: how these are inserted, taken out and saved."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from tunewright.core.contracts import Method
from tunewright.core.errors import RecipeError

if TYPE_CHECKING:
    from tunewright.models.model import Model

Role = Literal["query", "key", "value", "attention_output", "up", "down"]
ROLES: tuple[Role, ...] = get_args(Role)  # of the linear maps, as surgery.linear_maps names them


@dataclass(frozen=True)
class Inserted(Method):
    """The backbone's own weights stay as they are; what is inserted and the head train, and travel together."""

    @abstractmethod
    def config(self, model: Model) -> Any:
        """The `peft` configuration of what is inserted. Raises RecipeError where the backbone has no place for it."""

    def apply(self, model: Model) -> Model:
        """See Method.apply, and `config` for what it raises."""
        from peft import get_peft_model

        config = self.config(model)
        model.requires_grad_(False)
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
        head = {name: value.contiguous() for name, value in model.head.state_dict().items()}
        save_file(head, folder / "head.safetensors")
        return True


def maps_of(model: Model, roles: Sequence[Role], method: str) -> list[str]:
    """The full names of the backbone's linear maps of these roles, each once though a fused map has several.

    Raises RecipeError with the method's name when there is none.
    """
    from tunewright.models import surgery

    maps = surgery.linear_maps(model.backbone)
    names = list(dict.fromkeys(name for role in roles for name in maps.get(role, [])))
    if not names:
        raise RecipeError(f"The backbone has no linear map of the roles {', '.join(roles)} for {method}.")
    return names
