"""Train small bottleneck networks behind each layer's parts (adapters, Houlsby et al. 2019; Pfeiffer et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from tunewright.core.contracts import Method
from tunewright.models.adapters import Role, maps_of, save_head

if TYPE_CHECKING:
    from torch import Tensor

    from tunewright.models.model import Model

PLACES: dict[str, tuple[Role, ...]] = {"houlsby": ("attention_output", "down"), "pfeiffer": ("down",)}


@dataclass(frozen=True)
class Adapter(Method):
    """Nothing is folded in: the network keeps them, and is a little slower. `lora` leaves no trace."""

    size: Annotated[int, Field(ge=1)] = 32  # width of the bottleneck: more, more capacity and memory
    places: Literal["houlsby", "pfeiffer"] = (
        "houlsby"  # houlsby: behind attention and feed-forward part; pfeiffer: behind the feed-forward part alone
    )

    mergeable: ClassVar[bool] = False
    rate: ClassVar[float] = 20.0  # few weights move, and start at zero; against 8, validation of trec6: 90.0 and 89.3

    def apply(self, model: Model) -> Model:
        """See Method.apply. Raises RecipeError for a backbone without layers."""
        from tunewright.models import surgery
        from tunewright.models.bottleneck import Bottleneck

        model.requires_grad_(False)
        for name in maps_of(model, PLACES[self.places], "adapter"):
            surgery.replace(model.backbone, name, Bottleneck(model.backbone.get_submodule(name), self.size))
        model.head.requires_grad_(True)
        return model

    def save_adapter(self, model: Model, folder: Path) -> bool:
        """See Method.save_adapter. PEFT has no form for these: names are the network's own."""
        from safetensors.torch import save_file

        from tunewright.core import catalog
        from tunewright.core.files import write_json

        inserted = {n: v for n, v in model.trained_parameters().items() if not n.startswith("head.")}
        save_file({name: _alone(value) for name, value in inserted.items()}, folder / "adapter_model.safetensors")
        write_json(folder / "adapter_config.json", {"tunewright": catalog.describe(self)})
        save_head(model, folder)
        return True


def _alone(value: Tensor) -> Tensor:
    return value.detach().cpu().contiguous()
