"""Look for the steps that reach a target at the least loss: each is tried and measured, and the best are gone on from."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tunewright.core import catalog
from tunewright.core.contracts import Compressible, CompressionPass
from tunewright.core.errors import MachineError
from tunewright.stages.compression.bench import Bench
from tunewright.stages.compression.step import Costs, State, Tried
from tunewright.stages.compression.target import Target

LITTLE = 1e-3  # of the deciding metric: a smaller loss does not make a step cheaper when steps are compared

Passes = tuple[CompressionPass, ...]


@dataclass
class Hunt:
    """`found`: the state that reaches the targets at the least loss, None where none does; `tried`: everything.

    A round tries every step on each state that it goes on from; the next one goes on from the state that is nearest to the
    targets, and from the one that came nearer at the least loss. It ends with the first round that reaches them, when no step
    brings anything nearer, or after `most` trials.
    """

    bench: Bench
    steps: Sequence[Passes]
    targets: Sequence[Target]
    most: int
    tried: list[Tried] = field(default_factory=list)
    found: State | None = None
    nearest: Tried | None = None
    _began: float = field(default_factory=time.monotonic)
    _held: list[State] = field(default_factory=list)  # states whose bundles are on the disk

    def run(self) -> State | None:
        """Look until one of the ends above."""
        states = [self._exactly()]
        while states and not self._over:
            states = self._round(states)
            if self.found is not None:
                break
        if self.found is not None:
            kept = {id(one) for one in self.found.path}
            self.tried = [dataclasses.replace(one, kept=id(one) in kept) for one in self.tried]
        return self.found

    @property
    def _over(self) -> bool:
        """Whether nothing more may, or need, be tried."""
        return len(self.tried) >= self.most or (self.found is not None and _loss(self.found) <= 0)

    def _exactly(self) -> State:
        """The start, behind the steps that change no answer: they cost nothing."""
        state = self.bench.start
        for passes in self.steps:
            if all(one.exact for one in passes) and not self._over:
                after = self._try(state, passes)
                state = after if after is not None and after.path[-1].kept else state
        self._hold([state])
        return state

    def _round(self, states: Sequence[State]) -> list[State]:
        """Try what can follow these states; gives those that the next round goes on from."""
        best: dict[str, tuple[float, State]] = {}
        for state in states:
            for passes in self._following(state):
                if self._over:
                    break
                after = self._try(state, passes)
                for name, score in self._scores(state, after).items() if after is not None else ():
                    if name not in best or score > best[name][0]:
                        best[name] = score, after
                self._hold([*states, *(one for _, one in best.values())])
        ahead = [one for _, one in best.values()]
        self._hold(ahead)
        return [one for place, one in enumerate(ahead) if not any(one is other for other in ahead[:place])]

    def _scores(self, before: State, after: State) -> dict[str, float]:
        """How near a state is to the targets, and how much nearer than before for what it loses; {} where it is no nearer."""
        tried = after.path[-1]
        short = self._short(tried.costs)
        gain = self._short(before.tried.costs if before.tried else self._original(tried)) - short
        if not tried.kept or gain <= 0:
            return {}
        return {"nearest": -short, "cheapest": gain / max(LITTLE, _loss(after) - _loss(before))}

    def _original(self, tried: Tried) -> Costs:
        return Costs(tried.original, self.bench.size_mb)

    def _short(self, costs: Costs) -> float:
        """By how much all targets together are missed."""
        return sum(target.short(costs) for target in self.targets)

    def _hold(self, states: Sequence[State]) -> None:
        """Take away what was written of all other states."""
        keep = [*states, *([self.found] if self.found else [])]
        for state in self._held:
            if not any(state is one for one in keep):
                self.bench.forget(state)
        self._held = [state for state in self._held if any(state is one for one in keep)]

    def _try(self, state: State, passes: Passes) -> State | None:
        """The state behind a step; None where this network or machine cannot do it."""
        self._tell()
        try:
            after = self.bench.tried(state, passes)
        except MachineError as error:
            self.bench.progress.say(f"Left out: {error}")
            return None
        tried = after.path[-1]
        self.tried.append(tried)
        self._held.append(after)
        near = "; ".join(target.told(tried.costs) for target in self.targets)
        self.bench.progress.say(f"{tried.told}; {near}{'' if tried.kept else f': over the budget ({tried.why})'}.")
        if tried.kept and (self.nearest is None or self._short(tried.costs) < self._short(self.nearest.costs)):
            self.nearest = tried
        reached = tried.kept and not self._short(tried.costs)
        if reached and (self.found is None or _loss(after) < _loss(self.found)):
            self.found = after
        return after

    def _following(self, state: State) -> Iterator[Passes]:
        """The steps that can be tried behind a state: a pass of each kind once, and a network of its own only at first."""
        for passes in self.steps:
            used = any(name.split("+")[0] == catalog.name_of(passes[0]) for name in state.names)
            late = (passes[0].replaces and not state.exact) or (state.final and passes[0].changes_network)
            if not (used or late or all(one.exact for one in passes) or _lacking(passes, state.made)):
                yield passes

    def _tell(self) -> None:
        done = len(self.tried)
        left = (time.monotonic() - self._began) / done * (self.most - done) if done else 0.0
        told = f", {math.ceil(left / 60)} min left at most" if done else ""
        self.bench.progress.say(f"Trial {done + 1} of at most {self.most}{told}")


def steps_worth_trying(given: Compressible) -> list[Passes]:
    """Every pass that serves this network in the settings that it names, behind those that cost something the pass that mends."""
    passes = [one for name in catalog.names("passes") for one in catalog.find("passes", name).variants()]  # type: ignore[attr-defined]
    menders = [catalog.create("passes", name) for name in catalog.names("passes") if catalog.find("passes", name).mends]  # type: ignore[attr-defined]
    found = []
    for one in passes:
        alone = one.exact or one.replaces or one.final or not one.changes_network
        step = (one,) if alone else (one, *menders)
        if not _lacking(step, given):
            found.append(step)
    return sorted(found, key=lambda step: len(step) + step[0].replaces)  # what takes the least time first


def _lacking(passes: Passes, given: Compressible) -> bool:
    return any(one.lacks(given) for one in passes)


def _loss(state: State) -> float:
    return state.tried.loss if state.tried else 0.0
