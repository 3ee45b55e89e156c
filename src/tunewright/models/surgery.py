"""Reach a backbone's parts by what they do: layers in order, embeddings, linear maps by role. No case per family."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from torch import Tensor, nn

from tunewright.core.errors import ModelError

ROLES = ("query", "key", "value", "attention_output", "up", "down")
ATTENTION = re.compile(r"attn|attention", re.IGNORECASE)
# Names of attention's maps over the families, and the roles each plays; fused ones play three.
ATTENTION_MAPS = (
    (re.compile(r"^(q|query|q_proj|q_lin|query_proj|to_q)$"), ("query",)),
    (re.compile(r"^(k|key|k_proj|k_lin|key_proj|to_k)$"), ("key",)),
    (re.compile(r"^(v|value|v_proj|v_lin|value_proj|to_v)$"), ("value",)),
    (re.compile(r"^(Wqkv|qkv|qkv_proj|c_attn|query_key_value|in_proj)$"), ("query", "key", "value")),
    (re.compile(r"^(dense|out_lin|o_proj|out_proj|c_proj|Wo|o|proj|to_out)$"), ("attention_output",)),
)


def layers(backbone: nn.Module) -> list[nn.Module]:
    """The repeated layers in order, lowest first; [] for a network without, such as static embeddings.

    They are the longest list of like modules that does not lie inside another such list.
    """
    _, found = _layer_list(backbone)
    return list(found)


def word_embeddings(backbone: nn.Module) -> nn.Embedding:
    """The table of the vocabulary's vectors."""
    return backbone.get_input_embeddings()


def hidden_size(backbone: nn.Module) -> int:
    """Width of the last hidden states. Raises ModelError when the configuration does not say."""
    config = backbone.config
    size = config.get("hidden_size") if isinstance(config, dict) else getattr(config, "hidden_size", None)
    if not isinstance(size, int):
        raise ModelError(f"The configuration of {type(backbone).__name__} states no hidden_size.")
    return size


class LowRankUpdate(NamedTuple):
    """A linear map that gives map(x) + scale · (x · downᵀ) · upᵀ."""

    map: nn.Module
    down: Tensor  # (rank, inputs)
    up: Tensor  # (outputs, rank)
    scale: float


def low_rank_update(module: nn.Module) -> LowRankUpdate | None:
    """What a map with LoRA's or AdaLoRA's update in it, as `peft` inserts it, computes; None where it is anything else.

    Anything else is also more than one update, one that is merged or switched off, of a variant, or with dropout or a bias.
    """
    maps = [getattr(module, name, None) for name in ("lora_A", "lora_B")]
    sizes = getattr(module, "lora_E", None)
    if None in maps or module.disable_adapters or module.merged or len(module.active_adapters) != 1:
        return None
    [name] = module.active_adapters
    if name not in maps[0] or name in module.lora_variant or not isinstance(module.lora_dropout[name], nn.Identity):
        return None
    down, up = (map_[name] for map_ in maps)
    if sizes is not None:  # AdaLoRA's directions and their sizes (Zhang et al. 2023, equation 3)
        share = float(module.scaling[name]) / (float(module.ranknum[name]) + 1e-5)  # as peft has it
        return LowRankUpdate(module.base_layer, down * sizes[name], up, share)
    if not all(type(m) is nn.Linear and m.bias is None for m in (down, up)):
        return None
    return LowRankUpdate(module.base_layer, down.weight, up.weight, float(module.scaling[name]))


def linear_maps(backbone: nn.Module) -> dict[str, list[str]]:
    """Role → full names of the linear maps inside the layers that play it, in order.

    Roles: query, key, value, attention_output; up and down: the feed-forward maps that widen and narrow (a gate counts
    as up). A fused map (query, key and value in one) stands under each of its roles. Roles without a map are absent.
    """
    prefix, found = _layer_list(backbone)
    roles: dict[str, list[str]] = {}
    for index, layer in enumerate(found):
        for name, module in layer.named_modules():
            if (shape := map_shape(module)) is not None:
                for role in _roles(name, *shape):
                    roles.setdefault(role, []).append(f"{prefix}.{index}.{name}")
    return {role: roles[role] for role in ROLES if role in roles}


def layer_of(parameter_name: str) -> int | None:
    """Index of the layer a parameter or module belongs to, read off its name; None outside the layers (embeddings).

    "encoder.layer.3.attention.self.query.weight" → 3: the first number in a name is the layer's, in every family.
    """
    return next((int(part) for part in parameter_name.split(".") if part.isdigit()), None)


def below_top(parameter_name: str, depth: int) -> int:
    """How far a model's parameter lies below its head in a network of `depth` layers: 0 the head, 1 the top layer.

    What lies outside the layers (embeddings) counts as below all of them.
    """
    if not parameter_name.startswith("backbone."):
        return 0
    layer = layer_of(parameter_name)
    return depth - layer if layer is not None else depth + 1


def replace(backbone: nn.Module, name: str, module: nn.Module) -> None:
    """Put `module` where the module of this full name stands."""
    parent, _, own = name.rpartition(".")
    setattr(backbone.get_submodule(parent), own, module)


def _layer_list(backbone: nn.Module) -> tuple[str, list[nn.Module]]:
    outer: dict[str, nn.ModuleList] = {}
    for name, module in backbone.named_modules():
        inside = any(name.startswith(f"{other}.") for other in outer)
        if isinstance(module, nn.ModuleList) and len(module) and not inside and _alike(module):
            outer[name] = module
    if not outer:
        return "", []
    name = max(outer, key=lambda key: len(outer[key]))
    return name, list(outer[name])


def _alike(modules: nn.ModuleList) -> bool:
    first = type(modules[0])
    has_map = any(map_shape(module) is not None for module in modules[0].modules())
    return has_map and all(type(module) is first for module in modules)


def map_shape(module: Any) -> tuple[int, int] | None:
    """(inputs, outputs) of a linear map, or None for another module."""
    if isinstance(module, nn.Linear):
        return module.in_features, module.out_features
    if type(module).__name__ == "Conv1D" and hasattr(module, "nf"):  # GPT-2's linear map, stored transposed
        return module.weight.shape[0], module.weight.shape[1]
    return None


def _roles(name: str, inputs: int, outputs: int) -> tuple[str, ...]:
    *path, last = name.split(".")
    if any(ATTENTION.search(part) for part in path):
        return next((roles for pattern, roles in ATTENTION_MAPS if pattern.match(last)), ())
    if inputs == outputs:
        return ()
    return ("up",) if outputs > inputs else ("down",)
