"""A linear map and, behind it, a small network past which its result goes unchanged (Houlsby et al. 2019, figure 2)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from tunewright.models.surgery import map_shape


class Bottleneck(nn.Module):
    """`rows → map(rows) + up(gelu(down(map(rows))))`; `up` starts at zero, so that nothing changes before the first step."""

    def __init__(self, base_layer: nn.Module, size: int) -> None:
        super().__init__()
        width = map_shape(base_layer)[1]
        weight = base_layer.weight
        self.base_layer = base_layer
        self.down = nn.Linear(width, size, device=weight.device, dtype=weight.dtype)
        self.up = nn.Linear(size, width, device=weight.device, dtype=weight.dtype)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, rows: Tensor) -> Tensor:
        """(…, inputs) → (…, width)."""
        return self.behind(self.base_layer(rows))

    def behind(self, rows: Tensor) -> Tensor:
        """What comes behind the map (…, width)."""
        return rows + self.up(functional.gelu(self.down(rows)))
