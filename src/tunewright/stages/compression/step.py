"""A step of compression and what it came to: what was tried, and the state in which it leaves the network."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunewright.core import catalog
from tunewright.core.bundle import Bundle
from tunewright.core.contracts import Compressible, CompressionPass
from tunewright.core.gate import Gate
from tunewright.core.types import Example
from tunewright.stages.compression.certificate import Compared, loss_told
from tunewright.stages.compression.speed import Speed


@dataclass(frozen=True)
class Rows:
    """Rows that passes learn from, and labelled ones that judge; what they are, for the report."""

    train: Sequence[Example]
    validation: Sequence[Example]
    described: Mapping[str, Any]


@dataclass(frozen=True)
class Costs:
    """What answering costs: how fast it is, MiB on the disk, and how many times the original's rows a second, in bulk."""

    speed: Speed
    size_mb: float
    speedup: float = 1.0


@dataclass(frozen=True)
class Tried:
    """A step, and what it came to. kept: whether it stays; its numbers are those of all that was kept up to it.

    name: of its pass, or of several joined by "+"; settings: pass → what it was set to; behind: the steps before it.
    """

    name: str
    settings: Mapping[str, Mapping[str, Any]]
    behind: tuple[str, ...]
    kept: bool
    runtime: str
    compared: Compared
    gate: Gate
    speed: Speed
    original: Speed  # timed beside it
    size_mb: float

    @property
    def speedup(self) -> float:
        """How many times the original's rows a second, in bulk."""
        return self.speed.in_bulk / self.original.in_bulk

    @property
    def costs(self) -> Costs:
        """What answering costs behind it."""
        return Costs(self.speed, self.size_mb, self.speedup)

    @property
    def loss(self) -> float:
        """Of the deciding metric, as measured."""
        return self.compared.loss.value

    @property
    def shown(self) -> str:
        """Its name, with what it was set to where that is not what it is unless said otherwise."""
        return shown(self.name, self.settings)

    @property
    def whole(self) -> str:
        """It and the steps before it."""
        return " · ".join((*self.behind, self.name))

    @property
    def told(self) -> str:
        """Its numbers in a sentence's words."""
        return (
            f"{self.compared.metric} {self.compared.value:.4f}, loss {loss_told(self.compared)}, "
            f"{len(self.compared.flips)} of {self.compared.rows} answers changed, {self.speedup:.2f} times as fast in bulk, "
            f"{self.size_mb:.1f} MiB"
        )

    @property
    def why(self) -> str:
        """What its certificate failed by."""
        return "; ".join(
            f"{made.name} could not be measured"
            if made.value is None
            else f"{made.name} is {made.value:.4g}, limit {made.limit:g}"
            for made in self.gate.failed
        )

    def to_dict(self) -> dict[str, Any]:
        """As report.json holds it."""
        return {
            "pass": self.name,
            "settings": dict(self.settings),
            "behind": list(self.behind),
            "kept": self.kept,
            "runtime": self.runtime,
            "metric": self.compared.metric,
            "value": self.compared.value,
            "loss": self.compared.loss.to_dict(),
            "flips": len(self.compared.flips),
            "max_abs": self.compared.max_abs,
            "speed": dataclasses.asdict(self.speed),
            "original_speed": dataclasses.asdict(self.original),
            "speedup": self.speedup,
            "size_mb": self.size_mb,
            "failed": [f"{made.name}: {made.value}" for made in self.gate.failed],
        }


@dataclass(frozen=True)
class State:
    """A network as some steps have made it.

    exact: whether all of them promise the same answers; changed: whether any changed the network; rereads: whether any cuts
    texts otherwise; final: whether the network may not change any more; bundle: what was written of it, None before the first step; path: its steps with what they came to.
    """

    made: Compressible
    names: tuple[str, ...] = ()
    exact: bool = True
    changed: bool = False
    rereads: bool = False
    final: bool = False
    bundle: Bundle | None = None
    path: tuple[Tried, ...] = ()

    @property
    def tried(self) -> Tried | None:
        """Its last step."""
        return self.path[-1] if self.path else None

    def after(self, passes: Sequence[CompressionPass], name: str, made: Compressible) -> State:
        """The state that a step leads to, before it is written."""
        return State(
            made,
            (*self.names, name),
            exact=self.exact and all(one.exact for one in passes),
            changed=self.changed or any(one.changes_network for one in passes),
            rereads=self.rereads or any(one.rereads for one in passes),
            final=self.final or any(one.final for one in passes),
            path=self.path,
        )


def step_name(passes: Sequence[CompressionPass]) -> str:
    """The names of passes that are judged together."""
    return "+".join(map(catalog.name_of, passes))


def shown(name: str, settings: Mapping[str, Mapping[str, Any]]) -> str:
    """A step's name with what differs from its passes' defaults: "int8 (static=True, full=0.1)"."""
    parts = [
        f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}"
        for one, values in settings.items()
        for key, value in values.items()
        if value != dataclasses.asdict(catalog.create("passes", one))[key]
    ]
    return f"{name} ({', '.join(parts)})" if parts else name
