"""What was kept of a bundle so far: each step is written, opened anew, answered with, measured, and kept or undone."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tunewright.core import catalog
from tunewright.core.bundle import Bundle, open_bundle, seal
from tunewright.core.contracts import Compressible, CompressionPass, Runtime
from tunewright.core.errors import MachineError, UsageError
from tunewright.core.files import read_json, write_json, write_text
from tunewright.core.gate import Gate
from tunewright.core.progress import Progress
from tunewright.core.recipe import Recipe, replace
from tunewright.core.recipe_file import to_yaml
from tunewright.core.report import report_language
from tunewright.core.types import Example, Policy
from tunewright.models import beside, members
from tunewright.models.processor import Processor
from tunewright.predict.infer import Inferred, decide, infer
from tunewright.predict.predictor import AUTO, EXACT, Predictor, find_runtime
from tunewright.stages import certificate, judge, runtimes, save, speed
from tunewright.stages.certificate import Compared, Served
from tunewright.stages.evaluate import answer
from tunewright.stages.evidence import Lessons, copied, some, unlabelled
from tunewright.stages.speed import Raced, Speed

CHECKED = 256  # rows on which what was saved is held against what was built
CARD = "README.md"
COPIED = ("decision.json", CARD)  # files of a bundle that a compressed one takes over
CERTIFICATE = "certificate.json"


@dataclass(frozen=True)
class Tried:
    """A step, and what it came to. kept: whether it stays; its numbers are those of all that was kept up to it.

    name: of its pass, or of several joined by "+"; settings: pass → what it was set to.
    """

    name: str
    settings: Mapping[str, Mapping[str, Any]]
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

    def to_dict(self) -> dict[str, Any]:
        """As report.json holds it."""
        return {
            "pass": self.name,
            "settings": dict(self.settings),
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
class Rows:
    """Rows that passes learn from, and labelled ones that judge; what they are, for the report."""

    train: Sequence[Example]
    validation: Sequence[Example]
    described: Mapping[str, Any]


class Chain:
    """The original, what was kept of it so far, and everything that was tried."""

    def __init__(
        self,
        bundle: Bundle,
        rows: Rows,
        scratch: Path,
        max_loss: float,
        progress: Progress,
        *,
        against: str = AUTO,
        answered_by: Runtime | None = None,
    ) -> None:
        """against: the runtime that answers from the original; answered_by: from what is made, None: the original's, or
        what a pass asks for."""
        from tunewright.models.layout import load_model
        from tunewright.training.precision import choose_device

        self.bundle, self.rows, self.scratch = bundle, rows, scratch
        self.max_loss, self.progress = max_loss, progress
        self.recipe = bundle.recipe
        self.predictor, self.answered_by = Predictor(bundle, against), answered_by
        if self.predictor.note:
            progress.say(self.predictor.note)
        self.before = answer(self.predictor, rows.validation, progress, title="Answers of the original")
        self.state = Compressible(load_model(bundle.model_folder), Processor.load(bundle.model_folder))
        _put_beside(self.state, bundle.model_folder)
        self.exact, self.changed = True, False
        self.tried: list[Tried] = []
        self.best: Bundle | None = None
        self._best: tuple[Tried, Compared] | None = None
        self.lessons = Lessons(
            original=copied(self.state),
            recipe=self.recipe,
            labels=bundle.labels,
            policy=bundle.policy,
            train=rows.train,
            validation=rows.validation,
            folder=scratch / "lessons",
            device=choose_device(self.recipe.train.device),
            progress=progress,
        )
        self.lessons.folder.mkdir()

    def check(self, one: CompressionPass, given: Compressible | None = None) -> None:
        """Raise UsageError where a pass cannot serve the network; None: the one that there is so far."""
        if missing := one.lacks(given or self.state):
            raise UsageError(f"{catalog.name_of(one)} cannot serve this model: {missing}.")

    def add(self, passes: Sequence[CompressionPass], name: str = "") -> None:
        """Try a step behind those that were kept; keep it if the certificate passes. name: where it has no passes."""
        name = name or "+".join(map(catalog.name_of, passes))
        self.progress.say(f"Step {len(self.tried) + 1}: {name}")
        made = copied(self.state)
        for one in passes:
            self.check(one, made)
            made = one.apply(made, self.lessons.evidence())
        made.model.to("cpu").eval()
        exact = self.exact and all(one.exact for one in passes)
        changed = self.changed or any(one.changes_network for one in passes)
        try:
            served, compared, gate, raced = self._measured(made, name, exact, changed)
        except MachineError as error:
            raise MachineError(f"{name}: {error}") from None
        tried = Tried(
            name=name,
            settings={catalog.name_of(one): dataclasses.asdict(one) for one in passes},
            kept=gate.passed,
            runtime=_called(served.bundle.recipe.predict.runtime),
            compared=compared,
            gate=gate,
            speed=raced.second,
            original=raced.first,
            size_mb=speed.size(served.bundle.folder),
        )
        self.tried.append(tried)
        self._say(tried)
        if gate.passed:
            self.state, self.exact, self.changed = made, exact, changed
            self.best, self._best = served.bundle, (tried, compared)
        else:
            shutil.rmtree(served.bundle.folder)

    def _measured(
        self, made: Compressible, name: str, exact: bool, changed: bool
    ) -> tuple[Served, Compared, Gate, Raced]:
        folder = self.scratch / f"pass-{len(self.tried) + 1}"
        bundle = self._written(made, name, folder, changed)
        predictor = Predictor(bundle)
        after = answer(predictor, self.rows.validation, self.progress, title="Answers of the smaller one")
        compared = certificate.compare(self.recipe, self.bundle.labels, self.before, after)
        raced = speed.race(self.predictor, predictor, self.rows.validation, self.progress)
        rows = some(self.rows.validation, CHECKED)
        served = Served(
            bundle=bundle,
            built=[item.logits for item in self._built(made, rows)],
            saved=[item.logits for item in self._answered(bundle.folder, exactly(), rows)],
            alone=certificate.as_answers(raced.second_alone, raced.rows),
            original_alone=certificate.as_answers(raced.first_alone, raced.rows),
            steady=predictor.runtime.exact,
        )
        gate = certificate.certify(
            self.bundle,
            served,
            compared,
            (self.before, after),
            self.rows.validation,
            max_loss=self.max_loss,
            exact=exact,
        )
        return served, compared, gate, raced

    def _built(self, made: Compressible, rows: Sequence[Example]) -> list[Inferred]:
        from tunewright.models.inference import outputs

        made.model.pack()

        def run(windows: Sequence[Mapping[str, np.ndarray]]) -> list[np.ndarray]:
            return outputs(made.model, windows, pad_id=made.processor.pad_id)

        return list(infer(unlabelled(rows), self.bundle.task, made.processor, self.bundle.labels, run))

    def _answered(self, folder: Path, runtime: Runtime, rows: Sequence[Example]) -> list[Inferred]:
        """The rows, with their labels, as what lies in a bundle's `folder` answers them; it need not be sealed yet."""
        run, processor = members.opened(runtime, folder), Processor.load(folder / "model")
        items = infer(unlabelled(rows), self.bundle.task, processor, self.bundle.labels, run)
        return [dataclasses.replace(item, example=row) for row, item in zip(rows, items, strict=True)]

    # ---------------------------------------------------------------------------------------------- as a bundle

    def _written(self, made: Compressible, name: str, folder: Path, changed: bool) -> Bundle:
        """A sealed bundle of what a pass made, with the runtime that answers from it."""
        folder.mkdir()
        for file in COPIED:
            if (self.bundle.folder / file).exists():
                shutil.copyfile(self.bundle.folder / file, folder / file)
        if changed:
            _write_model(made, self.recipe, folder)
        else:
            for part in ("model", "encoder"):
                if (self.bundle.folder / part).is_dir():
                    shutil.copytree(self.bundle.folder / part, folder / part)
        runtime, about = self._runtime(made, folder)
        members.prepare(runtime, folder)
        recipe = replace(self.recipe, **{"predict.runtime": runtime})
        write_text(folder / "recipe.yaml", to_yaml(recipe))
        write_json(folder / "runtime.json", {"chosen": catalog.describe(runtime), **about})
        policy = self._policy(folder, recipe, runtime)
        self._seal(folder, policy, [*self._kept, name])
        return open_bundle(folder)

    def _runtime(self, made: Compressible, folder: Path) -> tuple[Runtime, dict[str, Any]]:
        """The original's runtime, or the best of those that compute in the precision that was asked for."""
        own = self.answered_by or self.predictor.runtime
        if self.answered_by and (missing := own.lacks(folder)):
            raise MachineError(f"{catalog.name_of(own)} cannot run here ({missing}).")
        if made.precision is None:
            if not (missing := own.lacks(folder)):
                return own, {"rows": 0, "trials": []}
            self.progress.say(f"{_called(own)} cannot run the smaller model ({missing}); another is looked for.")
        among = [one for one in runtimes.everyone() if one.precision == (made.precision or own.precision)]
        exact = self._answered(folder, exactly(), some(self.rows.validation, runtimes.TRIED))
        trials = runtimes.tried(
            folder, self.recipe, among, exact, self.bundle.policy, self.bundle.labels, self.progress
        )
        able = [trial for trial in trials if not trial.lacks]
        if not able:
            told = "; ".join(f"{_called(trial.runtime)}: {trial.lacks}" for trial in trials)
            raise MachineError(f"nothing here computes it in {made.precision or own.precision} ({told}).")
        within = [trial for trial in able if trial.loss <= self.max_loss]
        best = min(within, key=lambda trial: trial.cost) if within else min(able, key=lambda trial: trial.loss)
        return best.runtime, {"rows": len(exact), "trials": [trial.to_dict() for trial in trials]}

    def _policy(self, folder: Path, recipe: Recipe, runtime: Runtime) -> Policy:
        """The original's policy; where it was fitted to scores, that is done anew on those that are served."""
        stored = read_json(self.bundle.folder / "decision.json")
        policy = self.bundle.policy
        if policy.accept is not None or policy.thresholds:
            items = self._answered(folder, runtime, self.rows.validation)
            fitted = judge.refit_policy(
                judge.Calibrated(1.0, 0.0, policy, dict(stored)), recipe, items, self.bundle.labels
            )
            policy, stored = fitted.policy, fitted.about
        write_json(folder / "decision.json", stored)
        return policy

    def write(self, target: Path, report: Mapping[str, Any]) -> None:
        """The last bundle that was kept, with certificate and report, sealed."""
        from tunewright.stages.report.compression import render_compression

        assert self.best is not None and self._best is not None
        shutil.copytree(self.best.folder, target, dirs_exist_ok=True)
        tried, compared = self._best
        write_json(
            target / CERTIFICATE,
            {
                **tried.gate.to_dict(),
                "rows": compared.rows,
                "metric": compared.metric,
                "loss": compared.loss.to_dict(),
                "max_abs": compared.max_abs,
                "flips": compared.flips,
                "per_class": compared.per_class,
                "original": self.bundle.about["digest"],
                **{name: tried.to_dict()[name] for name in ("speed", "original_speed", "speedup", "size_mb")},
                "original_size_mb": report["original"]["size_mb"],
                "memory_mb": report["memory_mb"],
            },
        )
        if (target / CARD).exists():
            write_text(target / CARD, (target / CARD).read_text("utf-8") + _about(report))
        self._write_reference(target)
        write_json(target / "report.json", report)
        write_text(target / "report.html", render_compression(report))
        self._seal(target, self.best.policy, self._kept)

    def _write_reference(self, target: Path) -> None:
        """What is usual of the smaller model's answers: its scores, and even its tokens, may be others."""
        assert self.best is not None
        runtime, _ = find_runtime(target, AUTO)
        items = self._answered(target, runtime, self.rows.validation)
        said = decide(items, self.bundle.task, self.bundle.labels, self.best.policy)
        save.write_reference(target, list(zip(items, said, strict=True)), self.bundle.task, self._data_language)

    @property
    def _kept(self) -> list[str]:
        return [one.name for one in self.tried if one.kept]

    def _seal(self, folder: Path, policy: Policy, passes: Sequence[str]) -> None:
        seal(
            folder,
            task=self.bundle.task,
            labels=self.bundle.labels,
            policy=policy,
            backbone=self.recipe.model.backbone,
            compressed={"from": self.bundle.about["digest"], "passes": passes},
        )

    def report(self) -> dict[str, Any]:
        """Everything that was tried, beside the original."""
        assert self.best is not None
        with self.progress.task("Measuring memory", total=2) as step:
            memory = []
            for bundle in (self.bundle, self.best):
                memory.append(speed.memory(bundle.folder, self.rows.validation))
                step(1)
        original = self.tried[-1].original
        metric = self.recipe.evaluate.metric
        value = self.bundle.task.measures.metrics(self.before.gold, self.before.predictions, self.bundle.labels)[metric]
        return {
            "schema": 1,
            "language": self.language,
            "name": self.bundle.folder.absolute().parent.name,
            "metric": metric,
            "max_loss": self.max_loss,
            "data": dict(self.rows.described),
            "original": {
                "runtime": _called(self.predictor.runtime),
                "value": value,
                "speed": dataclasses.asdict(original),
                "size_mb": speed.size(self.bundle.folder),
            },
            "memory_mb": {"original": memory[0], "compressed": memory[1]},
            "tried": [one.to_dict() for one in self.tried],
            "cores": len(os.sched_getaffinity(0)),
        }

    @property
    def language(self) -> str:
        """What the report is told in."""
        return report_language(self.recipe.report.language, self._data_language)

    @property
    def _data_language(self) -> str:
        reference = self.bundle.folder / "reference.json"
        return read_json(reference).get("language", "en") if reference.exists() else "en"

    def _say(self, tried: Tried) -> None:
        told = (
            f"{tried.name}: {tried.compared.metric} {tried.compared.value:.4f}, loss {certificate.loss_told(tried.compared)}, "
            f"{len(tried.compared.flips)} of {tried.compared.rows} answers changed, {tried.speedup:.2f} times as fast in bulk, "
            f"{tried.size_mb:.1f} MiB"
        )
        if tried.kept:
            self.progress.say(f"{told}: kept.")
        else:
            self.progress.say(f"{told}: undone ({why(tried)}).")


def why(tried: Tried) -> str:
    """What its certificate failed by."""
    return "; ".join(f"{made.name} is {made.value:.4g}, limit {made.limit:g}" if made.value is not None else f"{made.name} could not be measured" for made in tried.gate.failed)  # fmt: skip


def _about(report: Mapping[str, Any]) -> str:
    """What is added to the model card, whose figures are those of the original."""
    kept = [one for one in report["tried"] if one["kept"]]
    passes, loss = ", ".join(one["pass"] for one in kept), kept[-1]["loss"]
    span = f"{loss['value']:.4f} ({loss['low']:.4f} … {loss['high']:.4f})"
    rows, metric = report["data"]["rows"], report["metric"]
    return (
        f"\n## Compressed · 压缩\n\nThe figures above are those of the model before {passes}. On {rows} rows the compressed one "
        f"loses {span} of {metric}, and {kept[-1]['flips']} answers differ (certificate.json).\n\n以上数字是压缩（{passes}）之前的。"
        f"压缩后在 {rows} 条数据上 {metric} 损失 {span}，{kept[-1]['flips']} 个答案不同（见 certificate.json）。\n"
    )


def exactly() -> Runtime:
    """The runtime whose numbers the others are held against."""
    return catalog.create("runtimes", EXACT)  # type: ignore[return-value]


def _called(runtime: Runtime) -> str:
    """A runtime by its name and what it computes in."""
    return f"{catalog.name_of(runtime)} ({runtime.precision})"


def _put_beside(given: Compressible, folder: Path) -> None:
    """The map of columns beside the text, which lies in a file of its own, into the network's head."""
    import torch
    from torch import nn

    weight = beside.weight_of(folder)
    if weight is not None and given.model.beside is None:
        given.model.head.beside = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
        with torch.no_grad():
            given.model.head.beside.weight.copy_(torch.from_numpy(weight))


def _write_model(made: Compressible, recipe: Recipe, folder: Path) -> None:
    from tunewright.models.layout import save_model
    from tunewright.models.sentence import save_encoder

    save_model(made.model, folder / "model", multi_label=recipe.task.multi_label)
    made.processor.save(folder / "model")
    if made.model.beside is not None:
        beside.save(made.model.beside.detach().numpy(), folder / "model")
    if recipe.task.retrieves and save.is_transformers(folder / "model"):
        save_encoder(folder / "model", made.processor, folder / "encoder")
