"""Put weights back to the pretrained ones at random in each pass, as dropout does to zero (Mixout, Lee et al. 2020)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from tunewright.core.contracts import Compute, Objective, Pass, Regulariser
from tunewright.core.errors import RecipeError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tunewright.models.model import Model


@dataclass(frozen=True)
class Mixout(Regulariser):
    """The matrices of the backbone's layers that train; head, embeddings, biases and norms are left alone."""

    probability: Annotated[float, Field(gt=0, lt=1)] = (
        0.7  # that a weight is put back; the rest is scaled so that the mean stays. The paper takes 0.7 to 0.9
    )

    def attach(self, model: Model, objective: Objective) -> Callable[[Compute, Mapping[str, Tensor]], Pass]:
        """See Regulariser.attach. Raises RecipeError where the method trains no such matrix."""
        from tunewright.models import surgery

        names = {name for role in surgery.linear_maps(model.backbone).values() for name in role}
        maps = [model.backbone.get_submodule(name) for name in sorted(names) if f"{name}.weight" in model.pretrained]
        pretrained = [(map_, map_.weight.detach().clone()) for map_ in maps if map_.weight.requires_grad]
        if not pretrained:
            raise RecipeError(
                "train.regularisers: mixout puts the matrices of the backbone's layers back to the pretrained ones, and "
                "train.method trains none of them. Leave out mixout, or set train.method to full or freeze."
            )

        def wrap(compute: Compute, batch: Mapping[str, Tensor]) -> Pass:
            with _mixed(pretrained, self.probability):
                return compute()

        return wrap


@contextmanager
def _mixed(pretrained: list[tuple[nn.Module, Tensor]], probability: float) -> Iterator[None]:
    """Inside, each map's weight is w₀ + dropout(w − w₀): equation 3 of the paper, with its gradient for w."""
    from torch.nn.functional import dropout

    own = [map_.weight for map_, _ in pretrained]
    try:
        for (map_, start), weight in zip(pretrained, own, strict=True):
            map_._parameters["weight"] = start + dropout(weight - start, probability)
        yield
    finally:
        for (map_, _), weight in zip(pretrained, own, strict=True):
            map_._parameters["weight"] = weight
