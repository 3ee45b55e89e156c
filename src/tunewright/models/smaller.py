"""Take parts out of a network, so that its weights are really fewer: rows of a table, layers, columns of maps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from tunewright.models import surgery
from tunewright.models.reshaped import factors

TOKEN_IDS = ("pad_token_id", "bos_token_id", "eos_token_id", "sep_token_id", "cls_token_id", "mask_token_id")
# What configurations of different families call these numbers.
LAYERS = ("num_hidden_layers", "n_layers", "num_layers")
INNER = ("intermediate_size", "hidden_dim", "ffn_dim")


def keep_words(backbone: nn.Module, kept: np.ndarray) -> None:
    """Of the table of words keep the rows `kept` (rising), in their order; the configuration follows."""
    table = surgery.word_embeddings(backbone)
    new = {int(old): index for index, old in enumerate(kept)}
    padding = table.padding_idx
    smaller = nn.Embedding(len(kept), table.embedding_dim, padding_idx=None if padding is None else new[padding])
    with torch.no_grad():
        smaller.weight.copy_(table.weight[torch.from_numpy(kept)])
    backbone.set_input_embeddings(smaller)
    config = backbone.config if isinstance(backbone.config, dict) else vars(backbone.config)
    config["vocab_size"] = len(kept)
    config.update({name: new.get(config[name]) for name in TOKEN_IDS if isinstance(config.get(name), int)})


def depth_name(backbone: nn.Module) -> str | None:
    """The key of the configuration that says how many layers there are; None where it is none that is known."""
    return _named(backbone, LAYERS)


def drop_layer(backbone: nn.Module, index: int) -> nn.Module:
    """Take a layer out, and give it; `put_layer` puts it back."""
    holder = _holder(backbone)
    layer = holder[index]
    del holder[index]
    _count(backbone, holder)
    return layer


def put_layer(backbone: nn.Module, index: int, layer: nn.Module) -> None:
    """Undo `drop_layer`."""
    holder = _holder(backbone)
    holder.insert(index, layer)
    _count(backbone, holder)


def _holder(backbone: nn.Module) -> nn.ModuleList:
    first = surgery.layers(backbone)[0]
    return next(found for found in backbone.modules() if isinstance(found, nn.ModuleList) and first in list(found))


def _count(backbone: nn.Module, layers: nn.ModuleList) -> None:
    setattr(backbone.config, depth_name(backbone), len(layers))  # type: ignore[arg-type]


def inner_maps(backbone: nn.Module) -> list[tuple[nn.Linear, nn.Linear]]:
    """Each layer's feed-forward maps (up, down); [] where layers have others, as a gate, or the configuration no width."""
    roles = surgery.linear_maps(backbone)
    pairs = [
        tuple(map(backbone.get_submodule, names))
        for names in zip(roles.get("up", ()), roles.get("down", ()), strict=False)
    ]
    plain = all(type(one) is nn.Linear for pair in pairs for one in pair)
    whole = len(roles.get("up", ())) == len(roles.get("down", ())) == len(surgery.layers(backbone))
    width = _named(backbone, INNER)
    fits = width and all(up.out_features == down.in_features == getattr(backbone.config, width) for up, down in pairs)
    return pairs if plain and whole and fits else []  # type: ignore[return-value]


@torch.no_grad()
def keep_inner(backbone: nn.Module, kept: Sequence[Tensor]) -> None:
    """Of each layer's feed-forward part keep these units (rising), as many in all layers; the configuration follows."""
    for (up, down), units in zip(inner_maps(backbone), kept, strict=True):
        up.weight, down.weight = nn.Parameter(up.weight[units].clone()), nn.Parameter(down.weight[:, units].clone())
        up.bias = None if up.bias is None else nn.Parameter(up.bias[units].clone())
        up.out_features = down.in_features = len(units)
    setattr(backbone.config, _named(backbone, INNER), len(kept[0]))  # type: ignore[arg-type]


def column_importance(
    maps: Sequence[nn.Linear], network: nn.Module, losses: Callable[[], Iterator[Tensor]], together: int = 1
) -> list[Tensor]:
    """For each map, how much the loss would change, to first order, without each of its inputs: (inputs / together,) each.

    together: inputs that go or stay as one, as those of a head. The gradient by a gate on input j is the sum over outputs i of weight[i, j] times its gradient; of each batch its
    absolute value counts (Michel et al. 2019, equation 2; Molchanov et al. 2019).
    """
    found = [torch.zeros(one.in_features // together) for one in maps]
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    network.requires_grad_(False)
    for one in maps:
        one.weight.requires_grad_(True)
    for loss in losses():
        loss.backward()
        for total, one in zip(found, maps, strict=True):
            gates = (one.weight.detach() * one.weight.grad).sum(dim=0).float().cpu()
            total += gates.reshape(-1, together).sum(dim=1).abs()
            one.weight.grad = None
    network.requires_grad_(False)
    for parameter in trained:
        parameter.requires_grad_(True)
    return found


def _named(backbone: nn.Module, names: Sequence[str]) -> str | None:
    return next((name for name in names if isinstance(getattr(backbone.config, name, None), int)), None)


@torch.no_grad()
def keep_heads(backbone: nn.Module, kept: Sequence[Tensor]) -> None:
    """Of each layer's attention keep these heads (rising); the layers need not have as many."""
    roles, size = surgery.linear_maps(backbone), head_size(backbone)
    names = zip(*(roles[role] for role in ("query", "key", "value", "attention_output")), strict=True)
    for layer, heads in zip(names, kept, strict=True):
        places = (heads[:, None] * size + torch.arange(size)).flatten()
        *reading, writing = map(backbone.get_submodule, layer)
        for one in reading:
            one.weight = nn.Parameter(one.weight[places].clone())
            one.bias = None if one.bias is None else nn.Parameter(one.bias[places].clone())
            one.out_features = len(places)
        writing.weight = nn.Parameter(writing.weight[:, places].clone())
        writing.in_features = len(places)


def head_size(backbone: nn.Module) -> int:
    """How many numbers of a hidden state one head of attention has."""
    return surgery.hidden_size(backbone) // backbone.config.num_attention_heads


class Watched(nn.Module):
    """A linear map that adds up what it gives: how many rows, their sum, and the sum of their squares (outputs, outputs)."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base = base
        self.out_features = base.out_features
        self.rows = 0
        self.total = torch.zeros(base.out_features, dtype=torch.float64)
        self.squares = torch.zeros(base.out_features, base.out_features)

    def forward(self, hidden: Tensor) -> Tensor:
        """See nn.Linear."""
        given = self.base(hidden)
        rows = given.detach().reshape(-1, self.out_features).float().cpu()
        self.rows += len(rows)
        self.total += rows.sum(dim=0).double()
        self.squares += rows.T @ rows
        return given

    @torch.no_grad()
    def factored(self, rank: int) -> nn.Sequential:
        """The map through the `rank` directions in which its outputs differ most (their principal components).

        Of all maps of that rank it is the nearest in the squared distance of outputs on the rows it has seen (Chen et al.
        2021, DRONE; here the mean apart).
        """
        mean = self.total / self.rows
        covariance = self.squares.double() / self.rows - torch.outer(mean, mean)
        directions = torch.linalg.eigh(covariance).eigenvectors[:, -rank:].float()  # (outputs, rank), by rising share
        mean, weight = mean.float(), self.base.weight.float()
        bias = torch.zeros(self.out_features) if self.base.bias is None else self.base.bias.float()
        made = factors(self.base.in_features, rank, self.out_features)
        made[0].weight.copy_(directions.T @ weight)
        made[1].weight.copy_(directions)
        made[1].bias.copy_(mean + directions @ (directions.T @ (bias - mean)))
        return made
