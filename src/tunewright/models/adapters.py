"""Methods that insert small trained parts through `peft`: how these are inserted, taken out and saved."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field

from tunewright.core.contracts import Method
from tunewright.core.errors import RecipeError

if TYPE_CHECKING:
    from torch import nn

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
        config = self.config(model)
        model.requires_grad_(False)
        model.backbone = with_peft(model.backbone, config)
        model.head.requires_grad_(True)
        return model

    def merge(self, model: Model) -> Model:
        """See Method.merge."""
        model.backbone = model.backbone.merge_and_unload()
        model.renew()
        return model

    def save_adapter(self, model: Model, folder: Path) -> bool:
        """See Method.save_adapter."""
        model.backbone.save_pretrained(folder, safe_serialization=True)
        save_head(model, folder)
        return True


@dataclass(frozen=True)
class Prepending(Method):
    """Learned vectors stand before every text; the backbone stays as it is, and so they cannot be merged into it."""

    tokens: Annotated[int, Field(ge=1)] = 10  # how many; each makes the window shorter and every step longer

    mergeable: ClassVar[bool] = False
    starts_plain: ClassVar[bool] = False

    @property
    def room(self) -> int:
        """See Method.room."""
        return self.tokens

    @abstractmethod
    def config(self, model: Model) -> Any:
        """The `peft` configuration, sizes left out. Raises RecipeError where the backbone cannot read such vectors."""

    def apply(self, model: Model) -> Model:
        """See Method.apply, and `config` for what it raises."""
        from tunewright.models import surgery
        from tunewright.models.prepended import Prepended

        config = self.config(model)
        config.task_type, config.num_virtual_tokens = "FEATURE_EXTRACTION", self.tokens
        config.num_layers, config.token_dim = len(surgery.layers(model.backbone)), surgery.hidden_size(model.backbone)
        config.num_attention_heads = getattr(model.backbone.config, "num_attention_heads", 1)
        model.requires_grad_(False)
        model.backbone = Prepended(with_peft(model.backbone, config))
        model.head.requires_grad_(True)
        return model

    def save_adapter(self, model: Model, folder: Path) -> bool:
        """See Method.save_adapter."""
        model.backbone.inner.save_pretrained(folder, safe_serialization=True)
        save_head(model, folder)
        return True


def with_peft(backbone: nn.Module, config: Any) -> nn.Module:
    """The backbone with what a `peft` configuration inserts."""
    from peft import get_peft_model

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers by a name that will go
        return get_peft_model(backbone, config)


def save_head(model: Model, folder: Path) -> None:
    """Write the head beside a saved adapter, as head.safetensors: neither answers without the other."""
    from safetensors.torch import save_file

    save_file(
        {name: value.contiguous() for name, value in model.head.state_dict().items()}, folder / "head.safetensors"
    )


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
