"""Linear maps of other sizes than the configuration says, or made of two: note them, and make room for them on opening."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import nn

from tunewright.models import surgery


def factors(inputs: int, rank: int, outputs: int, bias: bool = True) -> nn.Sequential:
    """A linear map through a narrow place."""
    return nn.Sequential(nn.Linear(inputs, rank, bias=False), nn.Linear(rank, outputs, bias=bias))


def sizes(backbone: nn.Module) -> dict[str, list[int]]:
    """Name → (inputs, outputs), or (inputs, rank, outputs), of each linear map that is not as the configuration makes it."""
    if not hasattr(backbone, "save_pretrained"):
        return {}
    with torch.device("meta"):
        plain = type(backbone)(copy.deepcopy(backbone.config))
    found = {}
    own = dict(backbone.named_modules())
    for name, module in plain.named_modules():
        one = own.get(name)
        if not isinstance(module, nn.Linear) or one is None:
            continue
        if isinstance(one, nn.Linear) and one.weight.shape != module.weight.shape:
            found[name] = [one.in_features, one.out_features]
        elif isinstance(one, nn.Sequential) and [type(part) for part in one] == [nn.Linear, nn.Linear]:
            found[name] = [one[0].in_features, one[0].out_features, one[1].out_features]
    return found


def reshape(backbone: nn.Module, wanted: Mapping[str, Sequence[int]]) -> None:
    """Make the maps as `sizes` noted them; their weights are put in next."""
    for name, numbers in wanted.items():
        bias = backbone.get_submodule(name).bias is not None
        made = factors(*numbers, bias=bias) if len(numbers) == 3 else nn.Linear(*numbers, bias=bias)
        surgery.replace(backbone, name, made)
