"""Which weights of a network are stored in a smaller form, and what keeps them as that form has them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from tunewright.models import stored, surgery


def forms(backbone: nn.Module) -> dict[str, str]:
    """Name of a weight → the form of models/stored.py that it is saved in; the others are saved as they are."""
    return getattr(backbone, "stored_forms", {})


def store(backbone: nn.Module, name: str, form: str) -> None:
    """Have the weight of this name saved in a form."""
    backbone.stored_forms = {**forms(backbone), name: form}


def weights(backbone: nn.Module, words: bool) -> dict[str, nn.Parameter]:
    """Full name → weight of the linear maps inside the layers, and with `words` of the table of words."""
    names = {f"{name}.weight" for found in surgery.linear_maps(backbone).values() for name in found}
    table = surgery.word_embeddings(backbone).weight
    return {name: value for name, value in backbone.named_parameters() if name in names or (words and value is table)}


def packed(backbone: nn.Module, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A network's tensors as they are saved: parts in place of those that are stored in a smaller form."""
    found = dict(tensors)
    for name, form in forms(backbone).items():
        parts = stored.packed(found.pop(name).detach().float().cpu().numpy(), form)
        found |= {f"{name}:{kind}": torch.from_numpy(part) for kind, part in parts.items()}
    return found


@contextmanager
def zeros_kept(model: nn.Module, backbone: nn.Module) -> Iterator[None]:
    """Inside, training leaves zero what is zero now, of the weights that are stored sparse."""
    parameters = dict(backbone.named_parameters())
    sparse = [parameters[name] for name, form in forms(backbone).items() if form == "sparse"]
    masks = [value != 0 for value in sparse]

    @torch.no_grad()
    def clear(*_: object) -> None:
        for value, mask in zip(sparse, masks, strict=True):
            value.mul_(mask.to(value.device))

    handle = model.register_forward_pre_hook(clear) if sparse else None
    try:
        yield
    finally:
        if handle is not None:
            handle.remove()
        clear()
