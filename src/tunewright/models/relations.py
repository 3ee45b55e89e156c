"""Learn how another network's last layer attends, and its hidden states of every token (Wang et al. 2021, MiniLMv2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tunewright.models.batches import INPUTS
from tunewright.models.model import Model
from tunewright.models.surgery import linear_maps

ROLES = ("query", "key", "value")
STATES = "states"


def lacks(backbone: nn.Module) -> str:
    """Why a network's attention cannot be looked at, in a few words; "" if it can."""
    maps = linear_maps(backbone)
    missing = [role for role in ROLES if role not in maps]
    return f"its layers have no maps of {missing[0]}" if missing else ""


@contextmanager
def imitating(pupil: Model, teacher: Model, pieces: Tensor, *, attention: float, states: float) -> Iterator[None]:
    """Inside, the pupil's loss has a further term: how far its last layer's relations between tokens, and its last hidden
    states, are from the teacher's on the same tokens, by these weights. Both compute without packing.

    pieces: (pupil's vocabulary,) the id that the teacher has for each of the pupil's pieces.
    """
    teacher.eval()
    with ExitStack() as stack:
        mine, theirs = (stack.enter_context(_watched(model.backbone)) for model in (pupil, teacher))
        pupil.unpack()

        def term() -> Tensor:
            features = {**mine.features, "input_ids": pieces[mine.features["input_ids"]]}
            with torch.no_grad():
                teacher.backbone(**features)
            mask = mine.features["attention_mask"].bool()
            with torch.autocast(mask.device.type, enabled=False):
                loss = states * _states_apart(mine.found[STATES], theirs.found[STATES], mask) if states else 0.0
                if attention:
                    heads = teacher.backbone.config.num_attention_heads
                    apart = [_relations_apart(mine.found[role], theirs.found[role], mask, heads) for role in ROLES]
                    loss = loss + attention * sum(apart)
                return loss  # type: ignore[return-value]

        before, pupil.penalty = pupil.penalty, term
        try:
            yield
        finally:
            pupil.penalty = before


@dataclass
class _Seen:
    """What a network's newest forward pass was given, and what it made of it."""

    features: Mapping[str, Tensor] = field(default_factory=dict)
    found: dict[str, Tensor] = field(default_factory=dict)


@contextmanager
def _watched(backbone: nn.Module) -> Iterator[_Seen]:
    """Look at forward passes: the last layer's queries, keys and values (batch, tokens, width), and the last hidden states."""
    seen, maps = _Seen(), linear_maps(backbone)
    last = {role: names[-1] for role, names in maps.items() if role in ROLES}

    def given(_: nn.Module, __: Any, features: Mapping[str, Tensor]) -> None:
        seen.features = {name: value for name, value in features.items() if name in INPUTS}

    def answered(_: nn.Module, __: Any, output: Any) -> None:
        seen.found[STATES] = output.last_hidden_state

    handles = [
        backbone.register_forward_pre_hook(given, with_kwargs=True),
        backbone.register_forward_hook(answered),
    ]
    for name in set(last.values()):
        roles = [role for role in ROLES if last.get(role) == name]
        handles.append(backbone.get_submodule(name).register_forward_hook(_keeping(seen, roles)))
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _keeping(seen: _Seen, roles: Sequence[str]) -> Any:
    def keep(_: nn.Module, __: Any, output: Tensor) -> None:
        seen.found.update(zip(roles, output.chunk(len(roles), dim=-1), strict=True))

    return keep


def _states_apart(mine: Tensor, theirs: Tensor, mask: Tensor) -> Tensor:
    """The mean squared difference over real tokens."""
    return (mine.float() - theirs.float()).square().mean(dim=-1)[mask].mean()


def _relations_apart(mine: Tensor, theirs: Tensor, mask: Tensor, heads: int) -> Tensor:
    """Kullback-Leibler divergence of the pupil's relations from the teacher's, mean over heads and real tokens."""
    heads = heads if mine.shape[-1] % heads == theirs.shape[-1] % heads == 0 else 1
    got, wanted = (_relations(one.float(), mask, heads) for one in (mine, theirs))
    apart = functional.kl_div(got, wanted, reduction="none", log_target=True)
    return apart.sum(dim=-1).mean(dim=1)[mask].mean()  # padding has no share in either


def _relations(vectors: Tensor, mask: Tensor, heads: int) -> Tensor:
    """How much each token has in common with each, as logarithms of shares (batch, heads, tokens, tokens)."""
    batch, tokens, width = vectors.shape
    split = vectors.reshape(batch, tokens, heads, width // heads).transpose(1, 2)
    products = split @ split.transpose(-1, -2) / (width // heads) ** 0.5
    return products.masked_fill(~mask[:, None, None, :], -1e9).log_softmax(dim=-1)
