"""Train low-rank updates whose ranks move to the matrices that need them (AdaLoRA, Zhang et al. 2023)."""

from __future__ import annotations

import functools
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from tunewright.core.errors import RecipeError
from tunewright.models.adapters import ROLES, Inserted, Role, maps_of

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tunewright.models.model import Model

ADAPTER = "default"  # peft's name of the only one


@dataclass(frozen=True)
class AdaLoRA(Inserted):
    """Every matrix begins with `start_rank`; on the way the least important ranks of all are given up, to `rank` on average."""

    rank: Annotated[int, Field(ge=1)] = 8  # on average over the matrices, in the end; as lora's
    start_rank: Annotated[int, Field(ge=2)] = 12  # half as many again: there must be something to choose from
    alpha: Annotated[float, Field(gt=0)] = 24.0  # the update is scaled by alpha / start_rank: by 2, as lora's
    warm_up: Annotated[float, Field(ge=0, lt=1)] = 0.1  # share of the run before the first rank is given up
    settle: Annotated[float, Field(ge=0, lt=1)] = 0.3  # share of the run, at its end, in which the ranks stay
    orthogonality: Annotated[float, Field(ge=0)] = (
        0.1  # weight in the loss of how far the directions are from orthogonal
    )
    targets: Annotated[tuple[Role, ...], Field(min_length=1)] = ROLES  # the linear maps that are updated

    blends: ClassVar[bool] = False  # each run gives up other ranks
    rate: ClassVar[float] = (
        20.0  # small parts times small sizes move slowly; against 8, validation of trec6: 89.3 and 88.0
    )

    def config(self, model: Model) -> Any:
        """See Inserted.config. Raises RecipeError also for settings that leave nothing to choose, or no time to."""
        from peft import AdaLoraConfig

        if self.start_rank <= self.rank:
            raise RecipeError(
                f"train.method.start_rank is {self.start_rank}, and must be larger than rank ({self.rank}): adalora gives "
                "up what lies between. Make it larger, or take lora."
            )
        if self.warm_up + self.settle >= 1:
            raise RecipeError(
                f"train.method: warm_up ({self.warm_up}) and settle ({self.settle}) are shares of the run, and adalora "
                "needs time between them. Make them less than 1 together."
            )
        names = maps_of(model, self.targets, "adalora")
        # Of how long the run is, `at` tells peft.
        return AdaLoraConfig(
            target_r=self.rank, init_r=self.start_rank, lora_alpha=self.alpha, target_modules=names, total_step=1
        )

    def apply(self, model: Model) -> Model:
        """See Method.apply, and `config` for what it raises."""
        model = super().apply(model)
        inner = model.backbone.base_model
        parts = {name: value.detach() for name, value in inner.model.named_parameters() if "lora_" in name}
        allocator = inner.rankallocator
        allocator.ipt = dict.fromkeys(parts)
        inner.sensitivity = allocator.exp_avg_ipt = _kept({name: value * 0 for name, value in parts.items()})
        inner.uncertainty = allocator.exp_avg_unc = _kept({name: value * 0 for name, value in parts.items()})
        singular = {name: value for name, value in parts.items() if "lora_E" in name}
        inner.ranks = _kept({name: value.new_ones(len(value)).bool() for name, value in singular.items()})
        if self.orthogonality:
            model.penalty = functools.partial(_from_orthogonal, inner.model, self.orthogonality)
        return model

    def at(self, model: Model, step: int, steps: int) -> None:
        """See Method.at: give up ranks by what the step's gradients say, and keep what is given up at zero."""
        inner = model.backbone.base_model
        config = inner.peft_config[ADAPTER]
        config.total_step, config.tinit, config.tfinal = steps, int(self.warm_up * steps), int(self.settle * steps)
        config.rank_pattern = _pattern(model)
        if any(inner.model.get_parameter(name).grad is not None for name in config.rank_pattern):
            inner.update_and_allocate(step)
            for name, kept in config.rank_pattern.items():
                inner.ranks[name] = inner.ranks[name].new_tensor(kept)
        else:
            inner.rankallocator.mask_using_rank_pattern(inner.model, config.rank_pattern)

    def save_adapter(self, model: Model, folder: Path) -> bool:
        """See Method.save_adapter; ranks that were given up are left out."""
        model.backbone.peft_config[ADAPTER].rank_pattern = _pattern(model)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # peft wonders at matrices of which no rank is left
            return super().save_adapter(model, folder)


def _pattern(model: Model) -> dict[str, list[bool]]:
    """Name of a matrix' singular values → whether each is kept, as peft's allocator writes it."""
    return {name: kept.tolist() for name, kept in model.backbone.base_model.ranks.items()}


def _from_orthogonal(backbone: nn.Module, weight: float) -> Tensor:
    """weight times the mean over the matrices M (rank, size) of the Frobenius norm of M Mᵀ − 1 (equation 4, as peft has it)."""
    import torch

    parts = dict(backbone.named_parameters())
    matrices = [
        value.T if "lora_B" in name else value for name, value in parts.items() if "lora_A" in name or "lora_B" in name
    ]
    total = matrices[0].new_zeros(())
    for size in {m.shape for m in matrices}:  # those of one shape at once
        same = torch.stack([m for m in matrices if m.shape == size])
        total = total + (same @ same.mT - torch.eye(size[0], device=same.device)).norm(dim=(1, 2)).sum()
    return weight * total / len(matrices)


def _kept(tensors: dict[str, Tensor]) -> Any:
    """A mapping of names to tensors for peft's allocator that is a module's buffers, so that checkpoints hold it."""
    from torch import nn

    class Kept(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for index, tensor in enumerate(
                tensors.values()
            ):  # a buffer's name has no dots; what has "lora_", peft saves
                self.register_buffer(str(index), tensor)

        def __getitem__(self, name: str) -> Tensor:
            return self._buffers[str(places[name])]

        def __setitem__(self, name: str, value: Tensor) -> None:
            self[name].copy_(value)

        def items(self) -> list[tuple[str, Tensor]]:
            return [(name, self[name]) for name in places]

    places = {name: index for index, name in enumerate(tensors)}
    return Kept()
