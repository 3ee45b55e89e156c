"""An encoder of BERT's kind computed on the real tokens alone: no padding, fused maps, weights in the working precision.

It computes what the backbone of `transformers` does with the very same parameters, several of its steps at once
(models/fused.py). Whether it may stand in for a backbone is tried, not assumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from tunewright.models import fused, surgery
from tunewright.models.bottleneck import Bottleneck

# A layer's parts by their role, as every family that keeps BERT's form names them.
PARTS = {
    "query": attrgetter("attention.self.query"),
    "key": attrgetter("attention.self.key"),
    "value": attrgetter("attention.self.value"),
    "attention_output": attrgetter("attention.output.dense"),
    "attention_norm": attrgetter("attention.output.LayerNorm"),
    "up": attrgetter("intermediate.dense"),
    "activation": attrgetter("intermediate.intermediate_act_fn"),
    "down": attrgetter("output.dense"),
    "norm": attrgetter("output.LayerNorm"),
}
# Dropout between these parts; a backbone that has some is computed in the ordinary way while it trains.
DROPOUTS = ("embeddings.dropout", "attention.self.dropout", "attention.output.dropout", "output.dropout")
STEPS = [0]  # optimizer steps taken in this process: fused optimizers change weights without raising their version
# Numbers of rows are multiples of this: the library keeps a compiled bf16 product, some MiB and 12 ms, for every number.
ROUND = 64
ALIKE = 1e-3  # what the hidden states of both ways may differ by, in float32


def _count(*_: Any) -> None:
    STEPS[0] += 1


register_optimizer_step_post_hook(_count)


def packed(backbone: nn.Module) -> PackedEncoder | None:
    """The backbone's packed form, or None where it has none. Tried on random tokens, padding among them."""
    layers = surgery.layers(backbone)
    if not layers or not all(_is_bert_like(layer) for layer in layers):
        return None
    try:
        encoder = PackedEncoder(backbone)
        return encoder if _agree(encoder, backbone) else None
    except (RuntimeError, AttributeError, TypeError, IndexError):  # looks like BERT, and is built in another way
        return None


class PackedEncoder:
    """`encoder(features) -> (batch, tokens, hidden)`, zero at padding; the backbone's own modules and parameters."""

    def __init__(self, backbone: nn.Module) -> None:
        self.embeddings = backbone.embeddings
        self.projection = getattr(backbone, "embeddings_project", None)
        self.layers = surgery.layers(backbone)
        self.head_size = surgery.hidden_size(backbone) // backbone.config.num_attention_heads
        self.drops = any(
            name.endswith(DROPOUTS) and module.p > 0
            for name, module in backbone.named_modules()
            if isinstance(module, nn.Dropout)
        )
        self._cast: dict[tuple[int, str], tuple[Any, Tensor, Tensor]] = {}

    def __call__(self, features: Mapping[str, Tensor]) -> Tensor:
        ids = features["input_ids"]
        mask = features.get("attention_mask")
        mask = torch.ones_like(ids) if mask is None else mask
        places = mask.flatten().nonzero().squeeze(1)
        offsets = nn.functional.pad(mask.sum(dim=1), (1, 0)).cumsum(0)
        rows = self._embedded(features, places, ids.shape[1])
        if torch.is_autocast_enabled(ids.device.type):
            rows = rows.to(torch.get_autocast_dtype(ids.device.type))
        if (spare := -len(places) % ROUND) and len(places) > 8 * ROUND:
            rows = nn.functional.pad(rows, (0, 0, 0, spare))  # as one more text
            offsets = nn.functional.pad(offsets, (0, 1), value=len(rows))
        for index, layer in enumerate(self.layers):
            rows = self._layer(index, layer, rows, offsets)
        rows = rows[: len(places)]
        whole = rows.new_zeros(ids.numel(), rows.shape[1]).index_copy(0, places, rows)
        return whole.view(*ids.shape, -1)

    def _embedded(self, features: Mapping[str, Tensor], places: Tensor, longest: int) -> Tensor:
        chosen = {name: features[name].flatten()[places][None] for name in ("input_ids", "token_type_ids") if name in features}  # fmt: skip
        padding = (
            self.embeddings.position_embeddings.padding_idx
        )  # families that have one count positions from behind it
        positions = (places % longest + (0 if padding is None else padding + 1))[None]
        rows = self.embeddings(**chosen, position_ids=positions)
        return (rows if self.projection is None else self.projection(rows))[0]

    def _layer(self, index: int, layer: nn.Module, rows: Tensor, offsets: Tensor) -> Tensor:
        part = {name: find(layer) for name, find in PARTS.items()}
        queries_keys_values = self._linear((index, "query"), rows, *(part[name] for name in ("query", "key", "value")))
        heads = queries_keys_values.shape[1] // (3 * self.head_size)  # layers that were pruned have fewer
        mixed = fused.attention(queries_keys_values, offsets, heads)
        mixed = self._linear((index, "attention_output"), mixed, part["attention_output"])
        rows = fused.add_norm(mixed, rows, part["attention_norm"])
        wide = part["activation"](self._linear((index, "up"), rows, part["up"]))
        return fused.add_norm(self._linear((index, "down"), wide, part["down"]), rows, part["norm"])

    def _linear(self, key: tuple[int, str], rows: Tensor, *maps: nn.Module) -> Tensor:
        """The maps' results side by side: of plain ones at once, with the low-rank updates that a method has added.

        A map that a method has replaced in another way is left to its own forward pass.
        """
        if isinstance(maps[0], Bottleneck):  # behind maps that stand alone
            return maps[0].behind(self._linear(key, rows, maps[0].base_layer)).to(rows.dtype)
        updates = [surgery.low_rank_update(m) for m in maps]
        plain = [m if update is None else update.map for m, update in zip(maps, updates, strict=True)]
        if not all(map(_is_plain, plain)):
            return torch.cat([m(rows).to(rows.dtype) for m in maps], dim=1)
        parameters = [*(m.weight for m in plain), *(m.bias for m in plain)]
        weight, bias = self._working(key, parameters, rows.dtype)
        whole = fused.linear(rows, weight, bias, parameters)
        if not any(updates):
            return whole
        added = [
            rows.new_zeros(len(rows), m.out_features) if update is None else fused.low_rank(rows, *update[1:])
            for m, update in zip(plain, updates, strict=True)
        ]
        return whole + (torch.cat(added, dim=1) if len(added) > 1 else added[0])

    def _working(self, key: tuple[int, str], parameters: list[Tensor], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Weights one below the other, and biases, in `dtype`; made anew when a parameter may have changed."""
        if not all(p.is_leaf for p in parameters):  # computed for this pass; the next one's may lie at the same address
            return _both(parameters, dtype)
        steps = STEPS[0] if any(p.requires_grad for p in parameters) else 0
        state = (dtype, steps, *((p.data_ptr(), p._version) for p in parameters))
        known = self._cast.get(key)
        if known is None or known[0] != state:
            known = self._cast[key] = (state, *_both(parameters, dtype))
        return known[1], known[2]


def _both(parameters: list[Tensor], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    half = len(parameters) // 2
    with torch.inference_mode(False), torch.no_grad():  # what is made while judging serves training too
        return _joined(parameters[:half], dtype), _joined(parameters[half:], dtype)


def _joined(parameters: list[Tensor], dtype: torch.dtype) -> Tensor:
    """One below the other, in `dtype`; a single one that has it already is not copied."""
    return (parameters[0].detach() if len(parameters) == 1 else torch.cat(parameters)).to(dtype)


def _is_bert_like(layer: nn.Module) -> bool:
    try:
        return all(find(layer) is not None for find in PARTS.values())
    except AttributeError:
        return False


def _is_plain(module: nn.Module) -> bool:
    return type(module) is nn.Linear and module.bias is not None


@torch.no_grad()
def _agree(encoder: PackedEncoder, backbone: nn.Module) -> bool:
    random = torch.Generator().manual_seed(0)
    words = surgery.word_embeddings(backbone)
    ids = torch.randint(min(4, words.num_embeddings - 1), min(1000, words.num_embeddings), (2, 8), generator=random)
    mask = torch.tensor([[1] * 8, [1] * 5 + [0] * 3])
    features = {"input_ids": ids.to(words.weight.device), "attention_mask": mask.to(words.weight.device)}
    training = backbone.training
    backbone.eval()
    with torch.autocast(words.weight.device.type, enabled=False):
        ours, theirs = encoder(features), backbone(**features).last_hidden_state
    backbone.train(training)
    real = features["attention_mask"].bool()
    return ours.shape == theirs.shape and torch.allclose(ours[real], theirs[real], rtol=ALIKE, atol=ALIKE)
