"""Several models that differ by chance alone, as one: a soup of their weights, or a vote of their outputs.

A soup (Wortsman et al. 2022, recipe 1: greedy) is one ordinary model. It begins with the best member; each of the others,
from the best down, is mixed in where validation does not fall by it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tunewright.core.progress import Progress
from tunewright.data.dataset import Dataset
from tunewright.stages.assemble import Plan
from tunewright.stages.fit import Trained, Validation, chosen_by
from tunewright.training import checkpoint
from tunewright.training.loop import standing

MEMBERS = "members"  # folder of a run: a folder for each member's checkpoints and metrics

Single = Callable[[Path, int], Trained]  # (folder, seed) → one trained model


def train_together(plan: Plan, dataset: Dataset, folder: Path, single: Single, progress: Progress) -> Trained:
    """Train the members that `train.ensemble` asks for, one after the other, and make one of them; without it, train one.

    Each member goes on where it was when the run was interrupted, since `single` does. The seed of the first is the
    recipe's: it is the model that the run would have been without the others.
    """
    ensemble, seed = plan.recipe.train.ensemble, plan.recipe.seed
    if ensemble is None:
        return single(folder, seed)
    seeds = [seed, *map(int, np.random.SeedSequence(seed).generate_state(ensemble.size - 1))]
    members = []
    for number, own in enumerate(seeds, 1):
        place = folder / MEMBERS / f"{number:02}"
        place.mkdir(parents=True, exist_ok=True)
        progress.say(f"Member {number} of {ensemble.size}")
        member = single(place, own)
        if ensemble.kind == "soup" and members:  # its weights are on disk: one network in memory is enough
            members[-1] = dataclasses.replace(members[-1], models=())
        members.append(member)
    made = (_soup if ensemble.kind == "soup" else _vote)(members, dataset, progress)
    about = {"kind": ensemble.kind, "metric": chosen_by(plan), "value": made.values[chosen_by(plan)]}
    told = [
        {"seed": own, **_told(member), "kept": member.folder in made.kept}
        for own, member in zip(seeds, members, strict=True)
    ]
    return made.trained(members, {**about, "members": told})


@dataclasses.dataclass(frozen=True)
class _Made:
    """What was made of members: the models that answer, their numbers on validation, and whose weights are in them."""

    models: tuple[Any, ...]
    values: dict[str, float]
    kept: Sequence[Path]

    def trained(self, members: Sequence[Trained], about: dict[str, Any]) -> Trained:
        """The ensemble as one training: it took all members' time, and is told by the first that was kept."""
        shown = next(member for member in members if member.folder == self.kept[0])
        seconds = sum(member.fitted.seconds for member in members)
        fitted = dataclasses.replace(shown.fitted, seconds=seconds, peak_memory_mb=members[-1].fitted.peak_memory_mb)
        return dataclasses.replace(shown, models=self.models, fitted=fitted, values=self.values, ensemble=about)


def _told(member: Trained) -> dict[str, Any]:
    value = member.values[chosen_by(member.plan)]
    return {"value": value, "best_step": member.fitted.best_step, "seconds": member.fitted.seconds}


def _vote(members: Sequence[Trained], dataset: Dataset, progress: Progress) -> _Made:
    best = _from_the_best(members)[0]
    models = tuple(member.models[0] for member in members)
    values = Validation(best.plan, dataset, models, best.plan.recipe.train.device)()
    _say(best, values, f"the vote of {len(members)}", progress)
    return _Made(models, values, [member.folder for member in [best, *members]])


def _soup(members: Sequence[Trained], dataset: Dataset, progress: Progress) -> _Made:
    model, plan = members[-1].models[0], members[-1].plan
    judge, metric = Validation(plan, dataset, (model,), plan.recipe.train.device), chosen_by(plan)
    best, *others = _from_the_best(members)
    kept, mean, values = [best.folder], _weights(best), dict(best.values)
    for member in others:
        mixed = {name: own.lerp(mean[name], len(kept) / (len(kept) + 1)) for name, own in _weights(member).items()}
        checkpoint.put_weights(model, mixed)
        found = judge()
        if standing(found, metric)[0] >= standing(values, metric)[0]:
            kept, mean, values = [*kept, member.folder], mixed, found
    checkpoint.put_weights(model, mean)
    _say(best, values, f"the soup of {len(kept)} of {len(members)}", progress)
    return _Made((model,), values, kept)


def _from_the_best(members: Sequence[Trained]) -> list[Trained]:
    return sorted(members, key=lambda member: standing(member.values, chosen_by(member.plan)), reverse=True)


def _weights(member: Trained) -> dict[str, Any]:
    return checkpoint.read_weights(member.folder / "checkpoints" / "best")


def _say(best: Trained, values: dict[str, float], what: str, progress: Progress) -> None:
    metric = chosen_by(best.plan)
    progress.say(f"Validation {metric}: {values[metric]:.4f} by {what}, {best.values[metric]:.4f} by the best member.")
