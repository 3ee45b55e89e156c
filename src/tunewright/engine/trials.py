"""Carry out a search's trials: each trains by the one loop; what they have in common is computed once."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tunewright.core import recipe_file
from tunewright.core.errors import TrainingError
from tunewright.core.progress import Silent
from tunewright.core.recipe import Recipe, replace, to_mapping
from tunewright.core.space import FIGURES, TIMES, Choices, Parameter
from tunewright.data.dataset import Dataset
from tunewright.models.model import Model
from tunewright.stages import assemble, gain
from tunewright.stages.assemble import Plan
from tunewright.stages.embed import Embedder
from tunewright.stages.fit import Trained, Validation, automatic_rate, train_model

Told = Callable[[float, float], bool]  # (epoch, value of the deciding metric) → whether to stop here


class Pruned(Exception):
    """A trial was stopped since others were better at the same point."""


@dataclass(frozen=True)
class Measured:
    """What a trial came to.

    value: of the deciding metric at its best evaluation; parameters: key → what it trained with; epochs: how long it
    trained; resampled: see stages/gain.py.
    """

    value: float
    parameters: Mapping[str, Any]
    epochs: float
    resampled: np.ndarray | None


@dataclass
class Workshop:
    """Trains recipes that differ in `parameters` alone on `dataset`, which has train and validation and no more.

    folder: where encodings are kept, and a trial's checkpoints while it trains; decided: what was measured for the
    trials of one kind, kept by the caller for when the search goes on: kind → precision and why.
    """

    recipe: Recipe
    dataset: Dataset
    folder: Path
    parameters: Sequence[Parameter]
    decided: dict[str, Any] = field(default_factory=dict)
    on_decided: Callable[[], None] = lambda: None
    _embedders: dict[str, Embedder] = field(default_factory=dict)
    _widths: dict[str, int] = field(default_factory=dict)

    def with_values(self, values: Mapping[str, Any]) -> tuple[Recipe, dict[str, Any]]:
        """The recipe with values as the space says them, and as a recipe says them: a factor of `auto` is a number then."""
        plain = dict(values)
        if self._is_factor(TIMES) and TIMES in values:
            automatic = self.automatic(recipe_file.with_values(self.recipe, {**plain, TIMES: "auto"}))
            plain[TIMES] = float(f"{values[TIMES] * automatic:.{FIGURES}g}")
        return recipe_file.with_values(self.recipe, plain), plain

    def own_values(self) -> dict[str, Any]:
        """The recipe's own values as the space says them, of those parameters whose space holds them."""
        found = {}
        for parameter in self.parameters:
            value = recipe_file.value_at(self.recipe, parameter.key)
            if isinstance(parameter, Choices):
                alike = [
                    v
                    for v in parameter.values
                    if recipe_file.value_at(self._with(parameter, v), parameter.key) == value
                ]
                found |= {parameter.key: alike[0]} if alike else {}
                continue
            if parameter.key == TIMES:
                automatic = self.automatic(self.recipe)
                value = automatic if value == "auto" else value
                value = value / automatic if parameter.times else value
            found |= {parameter.key: value} if parameter.holds(value) else {}
        return found

    def automatic(self, recipe: Recipe) -> float:
        """The learning rate that `auto` means for a recipe."""
        from tunewright.models.surgery import hidden_size

        plan = assemble.plan(recipe, self.dataset)
        name = plan.recipe.model.backbone
        if name not in self._widths:
            self._widths[name] = hidden_size(self.network(plan).backbone)
        return automatic_rate(plan, self._widths[name])

    def network(self, plan: Plan) -> Model:
        """The planned network as it was pretrained."""
        return assemble.open_model(plan, self.dataset.labels)

    def train(self, recipe: Recipe, told: Told) -> Measured:
        """Train one recipe. Raises Pruned when `told` says so, and whatever training raises."""
        from tunewright.core.memory import kept_blocks
        from tunewright.training.precision import choose_device, choose_threads, threads

        plan = assemble.plan(recipe, self.dataset)
        metric, kind = plan.recipe.evaluate.metric, _kind(plan)
        device = choose_device(recipe.train.device)
        workplace = self.folder / "trial"
        shutil.rmtree(workplace, ignore_errors=True)
        workplace.mkdir(parents=True)

        def listen(epoch: float, values: Mapping[str, float]) -> None:
            if told(epoch, values[metric]) and epoch < plan.recipe.train.epochs:  # at the end there is nothing to save
                raise Pruned

        try:
            with threads(choose_threads(recipe.train.threads)), kept_blocks():
                trained = train_model(
                    plan,
                    self.dataset,
                    workplace,
                    embedder=self._embedder(plan, kind, device),
                    device=device,
                    resume=False,
                    decided=self.decided.get(kind, {}) if recipe.train.precision == "auto" else {},
                    progress=Silent(),
                    on_plan=lambda plan: self._decide(kind, plan),
                    told=listen,
                    encoded=self.folder / "shared" / kind,
                )
                return self._measured(trained, metric, device)
        finally:
            shutil.rmtree(workplace, ignore_errors=True)

    def _measured(self, trained: Trained, metric: str, device: str) -> Measured:
        value = trained.fitted.best[metric]
        if not np.isfinite(value):
            raise TrainingError(f"{metric} on validation is not a number.")
        recipe = trained.plan.recipe
        gold, predictions = Validation(trained.plan, self.dataset, trained.models, device).answers()
        measures = recipe.task.measures
        return Measured(
            value=value,
            parameters={one.key: recipe_file.value_at(recipe, one.key) for one in self.parameters},
            epochs=trained.fitted.history[-1]["epoch"],
            resampled=gain.resampled(measures, metric, gold, predictions, self.dataset.labels, recipe.seed),
        )

    def _with(self, parameter: Parameter, value: Any) -> Recipe:
        return recipe_file.with_values(self.recipe, {parameter.key: value})

    def _is_factor(self, key: str) -> bool:
        return any(one.key == key and getattr(one, "times", False) for one in self.parameters)

    def _embedder(self, plan: Plan, kind: str, device: str) -> Embedder:
        if kind not in self._embedders:
            self._embedders[kind] = Embedder(plan, device, Silent())
        return self._embedders[kind]

    def _decide(self, kind: str, plan: Plan) -> None:
        """Keep what the first trial of a kind measured: another measurement could come out otherwise."""
        if kind not in self.decided:
            why = asdict(plan.whys["train.precision"])
            self.decided[kind] = {"train.precision": [plan.recipe.train.precision, why]}
            self.on_decided()


def _kind(plan: Plan) -> str:
    """A word for all trials that see the same windows and features: they share encodings and features."""
    recipe, trained = plan.recipe, plan.recipe.train
    model = replace(recipe, **{"model.dropout": 0.0, "model.word_embeddings": "auto"}).model  # which change neither
    data = {name: to_mapping(getattr(recipe.data, name)) for name in ("max_tokens", "overflow", "stride", "augment")}
    sees = [asdict(model), to_mapping(recipe.task), data, to_mapping(trained.unlabelled)]
    computes = [trained.precision, trained.engine, trained.device, trained.threads]
    return hashlib.sha256(json.dumps([sees, computes], sort_keys=True).encode()).hexdigest()[:12]
