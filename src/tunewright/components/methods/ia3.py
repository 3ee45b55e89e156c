"""Train one factor for each output of keys and values and each input of the narrowing map ((IA)³, Liu et al. 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from tunewright.models.adapters import Inserted, maps_of

if TYPE_CHECKING:
    from tunewright.models.model import Model


@dataclass(frozen=True)
class IA3(Inserted):
    """The fewest trained weights of all methods that change the backbone: for very few rows, or very many adapters."""

    rate: ClassVar[float] = 30.0  # factors start at one, and each moves a whole row or column

    def config(self, model: Model) -> Any:
        """See Inserted.config."""
        from peft import IA3Config

        scaled, narrowing = maps_of(model, ("key", "value"), "ia3"), maps_of(model, ("down",), "ia3")
        return IA3Config(target_modules=[*scaled, *narrowing], feedforward_modules=narrowing)
