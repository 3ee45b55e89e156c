"""A backbone with a head on it: what is trained, evaluated and saved."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from tunewright.core.contracts import Head
from tunewright.models.backbone import load_backbone
from tunewright.models.batches import INPUTS
from tunewright.models.beside import FEATURE
from tunewright.models.packed import PackedEncoder, packed
from tunewright.models.surgery import hidden_size


class Model(nn.Module):
    """`forward(features) -> logits`, with `backbone` and `head` open to methods, passes and explainers."""

    def __init__(self, backbone: nn.Module, head: nn.Module, head_kind: Head, labels: Sequence[str]) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.head_kind = head_kind
        self.labels = tuple(labels)
        self.pretrained = frozenset(name for name, _ in backbone.named_parameters())  # before a method inserts others
        self.penalty: Callable[[], Tensor] | None = None  # a method's own term of the loss, if it has one
        self._held: frozenset[str] = frozenset()
        self._packed: PackedEncoder | None = None
        self._pools = False
        self._tells = False

    def pack(self) -> None:
        """Compute the backbone without padding from now on, where it allows that and runs on a CPU: there it is faster."""
        on_cpu = next(self.parameters()).device.type == "cpu"
        self._packed = packed(self.backbone) if on_cpu else None

    def unpack(self) -> None:
        """Compute the backbone as it is from now on, module by module."""
        self._packed = None

    def renew(self) -> None:
        """Forget what was made of the weights: PEFT, when it merges, changes them without telling torch."""
        if self._packed is not None:
            self.pack()

    def hidden(self, features: Mapping[str, Tensor]) -> Tensor:
        """The backbone's last hidden states (batch, tokens, hidden)."""
        if self._packed is not None and not (self.training and self._packed.drops):
            return self._packed(features)
        return self.backbone(**{name: features[name] for name in INPUTS if name in features}).last_hidden_state

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """Logits; the head computes in fp32 whatever the backbone's precision.

        Where features hold the columns beside the text, their part is in them.
        """
        if self._pools:
            return self.pooled(features)
        hidden = self.hidden(features)
        with torch.autocast(hidden.device.type, enabled=False):
            mask = _mask(features, hidden)
            logits = self.head(hidden.float(), mask)
            logits = logits + self.head.beside(features[FEATURE]) if FEATURE in features else logits
            return torch.cat([logits, self.head.features(hidden.float(), mask)], dim=-1) if self._tells else logits

    @contextmanager
    def pooling(self) -> Iterator[None]:
        """Inside, `forward` gives what the head's linear map is applied to, in place of logits."""
        self._pools = True
        try:
            yield
        finally:
            self._pools = False

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Inside, `forward` gives the logits and behind them, on the last axis, what the head's map is applied to."""
        self._tells = True
        try:
            yield
        finally:
            self._tells = False

    def pooled(self, features: Mapping[str, Tensor]) -> Tensor:
        """What the head's linear map is applied to: features for probes and neighbours."""
        hidden = self.hidden(features)
        with torch.autocast(hidden.device.type, enabled=False):
            return self.head.features(hidden.float(), _mask(features, hidden))

    def start_head(self, weight: Tensor, bias: Tensor) -> None:
        """Set the head's linear map: weight (labels, hidden), or (labels, hidden + columns beside), bias (labels,)."""
        hidden = self.head.output.in_features
        with torch.no_grad():
            self.head.output.weight.copy_(weight[:, :hidden])
            self.head.output.bias.copy_(bias)
            if self.beside is not None:
                self.head.beside.weight.copy_(weight[:, hidden:])

    def on(self, backbone: nn.Module) -> Model:
        """A head of this kind and these labels on another backbone, random but for the map of the columns beside the text."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            head = self.head_kind.build(hidden_size(backbone), len(self.labels))
        made = Model(backbone, head, self.head_kind, self.labels)
        if self.beside is not None:
            made.head.beside = copy.deepcopy(self.head.beside)
        return made

    @property
    def beside(self) -> Tensor | None:
        """The map of the columns beside the text (labels, width), which is part of the head; None where there is none."""
        return self.head.beside.weight if hasattr(self.head, "beside") else None

    def trained_parameters(self) -> dict[str, nn.Parameter]:
        """Name → parameter, of those that train, in order; those that are held still for now among them."""
        return {n: value for n, value in self.named_parameters() if value.requires_grad or n in self._held}

    def hold(self, names: Collection[str]) -> None:
        """Hold these trained parameters still until told otherwise, at no cost; all other trained ones train."""
        for name, parameter in self.trained_parameters().items():
            parameter.requires_grad_(name not in names)
        self._held = frozenset(names)

    def changing(self) -> dict[str, Tensor]:
        """Name → tensor of all that may change while training: trained parameters, and buffers that are saved."""
        kept = self.state_dict(keep_vars=True)
        buffers = {name: value for name, value in self.named_buffers() if name in kept}
        return {**self.trained_parameters(), **buffers}


def build_model(
    folder: Path,
    head: Head,
    labels: Sequence[str],
    *,
    dropout: float = 0.0,
    attention: str = "eager",
    beside: int = 0,
    **trust: bool,
) -> Model:
    """Open the backbone in `folder` and put a fresh head for `labels` on it; `trust`: see load_backbone.

    beside: how many numbers there are of columns beside the text, whose map begins at zero.
    """
    backbone = load_backbone(folder, dropout=dropout, attention=attention, **trust)
    if getattr(backbone, "pooler", None) is not None:
        backbone.pooler = None  # heads here pool by themselves; its weights would never train
    built = head.build(hidden_size(backbone), len(labels))
    if beside:
        built.beside = nn.Linear(beside, len(labels), bias=False)
        nn.init.zeros_(built.beside.weight)
    return Model(backbone, built, head, labels)


def _mask(features: Mapping[str, Tensor], hidden: Tensor) -> Tensor:
    mask = features.get("attention_mask")
    return hidden.new_ones(hidden.shape[:2]) if mask is None else mask
