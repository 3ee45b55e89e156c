"""A changed network as a sealed bundle, with the runtime that answers from it."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewright.core import catalog
from tunewright.core.bundle import Bundle, open_bundle, seal
from tunewright.core.contracts import Compressible, Runtime
from tunewright.core.errors import MachineError
from tunewright.core.files import read_json, write_json, write_text
from tunewright.core.progress import Progress
from tunewright.core.recipe import Recipe, replace
from tunewright.core.recipe_file import to_yaml
from tunewright.core.types import Example, Policy
from tunewright.models import beside, members
from tunewright.models.batches import Features
from tunewright.models.processor import Processor
from tunewright.predict.infer import Inferred, infer
from tunewright.predict.predictor import EXACT
from tunewright.stages import judge, runtimes, save
from tunewright.stages.compression.evidence import some, unlabelled
from tunewright.stages.compression.step import State

CARD = "README.md"
COPIED = ("decision.json", CARD)  # files of a bundle that a compressed one takes over


@dataclass(frozen=True)
class Rewriter:
    """own: the runtime that answers from the original; forced: from what is made, None: the original's, or what a pass asks for."""

    bundle: Bundle
    own: Runtime
    forced: Runtime | None
    rows: Sequence[Example]  # labelled ones, by which a runtime is chosen and the policy fitted
    learned: Sequence[Example]  # others, on which a runtime may measure
    max_loss: float
    progress: Progress

    def write(self, state: State, folder: Path) -> Bundle:
        """A sealed bundle of the state's network in the new `folder`. Raises MachineError where nothing here runs it."""
        folder.mkdir()
        recipe = self.bundle.recipe
        for file in COPIED:
            if (self.bundle.folder / file).exists():
                shutil.copyfile(self.bundle.folder / file, folder / file)
        if state.changed:
            write_model(state.made, recipe, folder)
        else:
            for part in ("model", "encoder"):
                if (self.bundle.folder / part).is_dir():
                    shutil.copytree(self.bundle.folder / part, folder / part)
        usual = runtimes.usual(self.learned, self.bundle.task, state.made.processor, self.bundle.labels)
        runtime, about = self._runtime(state.made, folder, usual)
        members.prepare(runtime, folder, usual)
        recipe = replace(recipe, **{"predict.runtime": runtime, **_read_by(state.made)})
        write_text(folder / "recipe.yaml", to_yaml(recipe))
        write_json(folder / "runtime.json", {"chosen": catalog.describe(runtime), **about})
        self.seal(folder, self._policy(folder, recipe, runtime), state.names, recipe)
        return open_bundle(folder)

    def seal(self, folder: Path, policy: Policy, names: Sequence[str], recipe: Recipe) -> None:
        """Write the manifest of the bundle in `folder`, which steps of these names made."""
        seal(
            folder,
            task=self.bundle.task,
            labels=self.bundle.labels,
            policy=policy,
            backbone=recipe.model.backbone,
            compressed={"from": self.bundle.about["digest"], "passes": list(names)},
        )

    def answered(self, folder: Path, runtime: Runtime, rows: Sequence[Example]) -> list[Inferred]:
        """The rows, with their labels, as what lies in a bundle's `folder` answers them; it need not be sealed yet."""
        run, processor = members.opened(runtime, folder), Processor.load(folder / "model")
        items = infer(unlabelled(rows), self.bundle.task, processor, self.bundle.labels, run)
        return [dataclasses.replace(item, example=row) for row, item in zip(rows, items, strict=True)]

    def _runtime(self, made: Compressible, folder: Path, usual: Sequence[Features]) -> tuple[Runtime, dict[str, Any]]:
        """The original's runtime, or the best of those that compute in the precision that was asked for."""
        own = self.forced or self.own
        if self.forced and (missing := own.lacks(folder)):
            raise MachineError(f"{catalog.name_of(own)} cannot run here ({missing}).")
        if made.precision is None:
            if not (missing := own.lacks(folder)):
                return own, {"rows": 0, "trials": []}
            self.progress.say(f"{called(own)} cannot run the smaller model ({missing}); another is looked for.")
        wanted = made.precision or own.precision
        among = [one for one in runtimes.everyone() if one.precision == wanted]
        if made.full is not None:
            among = [sparing for one in among if (sparing := one.sparing(made.full)) is not None]
        exact = self.answered(folder, exactly(), some(self.rows, runtimes.TRIED))
        recipe, policy, labels = self.bundle.recipe, self.bundle.policy, self.bundle.labels
        trials = runtimes.tried(folder, recipe, among, exact, policy, labels, self.progress, usual)
        able = [trial for trial in trials if not trial.lacks]
        if not able:
            told = "; ".join(f"{called(trial.runtime)}: {trial.lacks}" for trial in trials)
            raise MachineError(f"nothing here computes it in {wanted} ({told}).")
        within = [trial for trial in able if trial.loss <= self.max_loss]
        best = min(within, key=lambda trial: trial.cost) if within else min(able, key=lambda trial: trial.loss)
        return best.runtime, {"rows": len(exact), "trials": [trial.to_dict() for trial in trials]}

    def _policy(self, folder: Path, recipe: Recipe, runtime: Runtime) -> Policy:
        """The original's policy; where it was fitted to scores, that is done anew on those that are served."""
        stored = read_json(self.bundle.folder / "decision.json")
        policy = self.bundle.policy
        if policy.accept is not None or policy.thresholds:
            items = self.answered(folder, runtime, self.rows)
            fitted = judge.refit_policy(
                judge.Calibrated(1.0, 0.0, policy, dict(stored)), recipe, items, self.bundle.labels
            )
            policy, stored = fitted.policy, fitted.about
        write_json(folder / "decision.json", stored)
        return policy


def _read_by(made: Compressible) -> Mapping[str, Any]:
    """What a recipe says of another backbone and of the window that it reads."""
    if made.backbone is None:
        return {}
    return {"model.backbone": made.backbone, "data.max_tokens": made.processor.max_tokens}


def exactly() -> Runtime:
    """The runtime whose numbers the others are held against."""
    return catalog.create("runtimes", EXACT)  # type: ignore[return-value]


def called(runtime: Runtime) -> str:
    """A runtime by its name and what it computes in."""
    return f"{catalog.name_of(runtime)} ({runtime.precision})"


def opened(folder: Path) -> Compressible:
    """The network of a saved model with its tokenizer; the map of columns beside the text, which has a file of its own, in
    its head."""
    import torch
    from torch import nn

    from tunewright.models.layout import load_model

    given = Compressible(load_model(folder), Processor.load(folder))
    weight = beside.weight_of(folder)
    if weight is not None and given.model.beside is None:
        given.model.head.beside = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
        with torch.no_grad():
            given.model.head.beside.weight.copy_(torch.from_numpy(weight))
    return given


def write_model(made: Compressible, recipe: Recipe, folder: Path) -> None:
    """Write a network under `folder`/model, and its encoder beside it where the task searches."""
    from tunewright.models.layout import save_model
    from tunewright.models.sentence import save_encoder

    save_model(made.model, folder / "model", multi_label=recipe.task.multi_label)
    made.processor.save(folder / "model")
    if made.model.beside is not None:
        beside.save(made.model.beside.detach().numpy(), folder / "model")
    if recipe.task.retrieves and save.is_transformers(folder / "model"):
        save_encoder(folder / "model", made.processor, folder / "encoder")
