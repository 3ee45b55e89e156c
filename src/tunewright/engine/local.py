"""`train` on this machine: data → model → training → bundle → sealed verdict → report, each step resumable."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tunewright.core import catalog
from tunewright.core.bundle import open_bundle
from tunewright.core.contracts import Outputs
from tunewright.core.errors import Refused, TrainingError, UsageError
from tunewright.core.files import read_json, sweep, write_json, write_text, writing_folder
from tunewright.core.gate import Gate
from tunewright.core.progress import Progress, Silent
from tunewright.core.recipe import Recipe, flat, replace, to_mapping
from tunewright.core.recipe_file import to_yaml, value_at
from tunewright.core.report import Report
from tunewright.core.run import Run, environment, new_run, resumable
from tunewright.core.types import Prediction
from tunewright.data.checks import findings
from tunewright.data.dataset import UNLABELLED, Dataset
from tunewright.data.prepare import prepare
from tunewright.kernels import library as kernels
from tunewright.models import members
from tunewright.models.batches import Features
from tunewright.models.members import opened
from tunewright.models.processor import Processor
from tunewright.predict.infer import Inferred, decide, infer, stepping
from tunewright.predict.predictor import EXACT
from tunewright.stages import account, assemble, ensemble, judge, parity, plain, runtimes, save, unlabelled
from tunewright.stages.assemble import Plan
from tunewright.stages.check import label_errors
from tunewright.stages.embed import Embedder
from tunewright.stages.fit import Trained, answering, train_model
from tunewright.stages.report import write_card, write_reports
from tunewright.stages.verdict import SEALED, Verdict, count_use
from tunewright.stages.verdict import judge as compare_with_baselines
from tunewright.training.loop import Interrupted


@dataclass(frozen=True)
class Outcome:
    """What `train` gives back: the verdict, where everything lies, and the numbers."""

    verdict: str  # better, no_gain, worse
    sentence: str
    run: Path
    bundle: Path
    metrics: dict[str, Any]
    baselines: dict[str, dict[str, Any]]
    seconds: float
    tokens_per_second: float


def train(
    recipe: Recipe,
    *,
    out: Path | str | None = None,
    name: str = "run",
    resume: bool = False,
    command: str = "",
    progress: Progress | None = None,
) -> Outcome:
    """Run a recipe to its verdict in a run's folder (`out`, or runs/`name`).

    resume: go on with the run in `out`, or with the newest unfinished one of that name; the same recipe gives the same
    bits as an uninterrupted run. Raises the errors of every stage, and Interrupted (exit code 130) on Ctrl-C; what was
    done so far stays and can be resumed.
    """
    progress = progress or Silent()
    run = _run(recipe, out, name, resume, command, progress)
    if run.about["status"] == "finished":
        progress.say(f"{run.folder} is finished already; nothing to do.")
        return outcome_of(run)
    try:
        return _carried_out(recipe, run, resume, progress)
    except (Interrupted, KeyboardInterrupt) as stop:
        told = str(stop) or "Stopped; what was done so far is saved."
        raise Interrupted(f"{told} Go on with: {run.again}") from None


def _carried_out(recipe: Recipe, run: Run, resume: bool, progress: Progress) -> Outcome:
    dataset = prepare(recipe, run.folder / "data", progress)
    _same_rows(run, dataset)
    for note in dataset.notes:
        progress.say(str(note))
    plan = assemble.plan(recipe, dataset)
    found = _check(plan, dataset, progress)
    from tunewright.core.memory import kept_blocks
    from tunewright.training.precision import choose_device, choose_threads, threads

    device = choose_device(recipe.train.device)
    with threads(choose_threads(recipe.train.threads)), kept_blocks():
        embedder = Embedder(plan, device, progress)
        trained = _fit(plan, dataset, run, embedder, device, resume, progress)
        return _judge(trained, dataset, run, embedder, found, progress)


def fit(recipe: Recipe, folder: Path | str, progress: Progress | None = None) -> Path:
    """Train without a verdict, for a caller who judges for himself; gives the bundle in the new run's `folder`.

    All rows are for training and validation, which sets epochs and calibration: no test split, baselines or report.
    """
    progress = progress or Silent()
    run = _run(recipe, folder, "", False, "", progress)
    dataset = prepare(recipe, run.folder / "data", progress, with_test=False)
    plan = assemble.plan(recipe, dataset)
    from tunewright.core.memory import kept_blocks
    from tunewright.training.precision import choose_device, choose_threads, threads

    device = choose_device(recipe.train.device)
    with threads(choose_threads(recipe.train.threads)), kept_blocks():
        trained = _fit(plan, dataset, run, Embedder(plan, device, progress), device, False, progress)
        with writing_folder(run.folder / "bundle") as bundle:
            calibrated, _, _ = _calibrate(trained, dataset, bundle, progress)
            save.seal_bundle(bundle, trained.plan, dataset.labels, calibrated.policy, calibrated.about)
    run.update(status="finished")
    return run.folder / "bundle"


def outcome_of(run: Run) -> Outcome:
    """The outcome of a finished run, from its report."""
    report = Report.load(run.folder / "report.json")
    results = report.content["results"]
    return Outcome(
        verdict=report.content["verdict"]["verdict"],
        sentence=report.content["verdict"]["sentence"][report.language],
        run=run.folder,
        bundle=run.folder / "bundle",
        metrics=account.numbers(results["tuned"]),
        baselines={name: account.numbers(values) for name, values in results["baselines"].items()},
        seconds=report.get("training.seconds", 0.0),
        tokens_per_second=report.get("training.tokens_per_second", 0.0),
    )


# ------------------------------------------------------------------------------------------------ parts, in order


def _run(recipe: Recipe, out: Path | str | None, name: str, resume: bool, command: str, progress: Progress) -> Run:
    given = to_mapping(recipe)
    if not resume:
        run = new_run(out, name, given, command)
        write_text(run.folder / "recipe.yaml", to_yaml(recipe))
        progress.say(f"Run: {run.folder}")
        return run
    run = Run(Path(out)) if out else resumable(name)
    if run is None or not (run.folder / "run.json").exists():
        where = out or f"runs/{name}"
        raise UsageError(f"There is no unfinished run {where} to resume. Leave out --resume to start one.")
    changed = _differences(run.about["given"], given)
    if changed:
        raise UsageError(
            f"The recipe differs from the one that {run.folder} was started with, in {', '.join(changed)}. "
            "Resume with the same recipe, or start a new run without --resume."
        )
    if run.about["status"] != "finished":
        _same_program(run, progress)
        sweep(run.folder)
        progress.say(f"Resuming {run.folder}")
    return run


def _same_rows(run: Run, dataset: Dataset) -> None:
    """Refuse to go on with other rows than the run began with: what is encoded and learned so far came from those."""
    parts = {**dataset.splits, **({UNLABELLED: dataset.unlabelled} if dataset.unlabelled else {})}
    rows = {name: split.fingerprint for name, split in parts.items()}
    if "rows" not in run.about:
        run.update(rows=rows)
    elif run.about["rows"] != rows:
        changed = ", ".join(name for name in rows if run.about["rows"].get(name) != rows[name])
        raise UsageError(
            f"The data has changed since {run.folder} was started, in {changed}. "
            "Resume with the same data, or start a new run without --resume."
        )


def _same_program(run: Run, progress: Progress) -> None:
    """Refuse to go on with a run of another Tunewright, and say which other packages have changed since."""
    then, now = read_json(run.folder / "environment.json")["versions"], environment()["versions"]
    if then.get("tunewright") != now["tunewright"]:
        raise UsageError(
            f"{run.folder} was started by tunewright {then.get('tunewright', 'of an unknown version')}, and this is "
            f"{now['tunewright']}. Finish it with that version, or start a new run without --resume."
        )
    changed = [
        f"{name} {then.get(name)} → {now.get(name)}"
        for name in then.keys() | now.keys()
        if then.get(name) != now.get(name)
    ]
    if (before := run.about.get("kernels", kernels.about())) != kernels.about():
        changed.append(f"kernels {before} → {kernels.about()}")
    if changed:
        progress.say(
            f"Packages have changed since this run was started ({', '.join(sorted(changed))}): "
            "it goes on, but its last digits may differ from those of a run without a break."
        )


def _differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    old, new = dict(flat(before)), dict(flat(after))
    return sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))


def _check(plan: Plan, dataset: Dataset, progress: Progress) -> list[dict[str, Any]]:
    """Look for what is wrong with the data; stop where the recipe says so."""
    facts = {"languages": plan.located.facts.languages, "backbone": plan.recipe.model.backbone}
    found = findings(dataset, plan.processor, **facts)
    if "label_errors" in plan.recipe.data.refuse:
        found += label_errors(plan, dataset, progress)
    for finding in found:
        if finding.severity != "note":
            progress.say(f"{finding.severity}: {finding.message}")
    refused = [finding for finding in found if finding.kind in plan.recipe.data.refuse]
    if refused:
        raise Refused(
            "The recipe refuses this data (data.refuse): "
            + "; ".join(f"{finding.kind}: {finding.message}" for finding in refused)
        )
    return [dataclasses.asdict(finding) for finding in found]


def _fit(
    plan: Plan, dataset: Dataset, run: Run, embedder: Embedder, device: str, resume: bool, progress: Progress
) -> Trained:
    for key, why in plan.whys.items():
        progress.say(f"{key}: {value_at(plan.recipe, key)} ({why})")

    def on_plan(decided: Plan) -> None:
        write_text(run.folder / "recipe.yaml", to_yaml(decided.recipe))
        why = dataclasses.asdict(decided.whys["train.precision"])
        decisions = {"train.precision": [decided.recipe.train.precision, why]}
        run.update(status="training", decided=decisions, kernels=kernels.about())

    def single(rows: Dataset, round_folder: Path, folder: Path, seed: int) -> Trained:
        return train_model(
            plan,
            rows,
            folder,
            embedder=embedder,
            device=device,
            resume=resume,
            decided=run.about.get("decided", {}),
            progress=progress,
            on_plan=on_plan,
            encoded=round_folder,
            seed=seed,
        )

    def models(rows: Dataset, folder: Path) -> Trained:
        return ensemble.train_together(plan, rows, folder, partial(single, rows, folder), progress)

    return unlabelled.train_with(plan, dataset, run.folder, models, progress)


def _judge(
    trained: Trained,
    dataset: Dataset,
    run: Run,
    embedder: Embedder,
    found: Sequence[dict[str, Any]],
    progress: Progress,
) -> Outcome:
    plan, recipe = trained.plan, trained.plan.recipe
    run.update(status="trained")
    with writing_folder(run.folder / "bundle") as bundle:
        calibrated, built, exact = _calibrate(trained, dataset, bundle, progress)
        usual = runtimes.usual(dataset.splits["train"], recipe.task, plan.processor, dataset.labels)
        chosen = _choose_runtime(run, bundle, recipe, exact, calibrated, dataset, usual, progress)
        recipe = replace(recipe, **{"predict.runtime": chosen.runtime})
        plan = dataclasses.replace(plan, recipe=recipe)
        trained = dataclasses.replace(trained, plan=plan)
        validation, items = (
            list(_infer_saved(bundle, plan, dataset, split, chosen.run, progress)) for split in ("validation", "test")
        )
        calibrated = judge.refit_policy(calibrated, recipe, validation, dataset.labels)
        predictions = decide(items, recipe.task, dataset.labels, calibrated.policy)
        if calibrated.about["coverage"]:
            calibrated.about["coverage"]["test"] = judge.coverage_on_test(recipe.task, items, predictions)
        baselines = judge.baseline_predictions(recipe, dataset, embedder, progress)
        embedder.release()
        verdict = _verdict(run, recipe, dataset, items, predictions, baselines)
        same = catalog.name_of(chosen.runtime) == EXACT and chosen.runtime.exact
        exact += items if same else _infer_saved(bundle, plan, dataset, "test", _exact(bundle), progress)
        held = parity.compare(
            recipe.task, dataset.labels, calibrated.policy, built, exact, validation + items,
            steady=chosen.runtime.exact, most_flips=recipe.predict.max_flips,
        )  # fmt: skip
        certificate = _certificate(bundle, plan, dataset.labels, exact, held, progress)
        report = account.report(
            account.Facts(
                run=run,
                dataset=dataset,
                trained=trained,
                calibrated=calibrated,
                items=items,
                predictions=predictions,
                baselines=baselines,
                verdict=verdict,
                certificate=certificate,
                runtime=chosen.about,
                findings=found,
            )
        )
        write_json(
            bundle / "certificate.json", {**certificate.to_dict(), "rows": len(exact), "flips": list(held.flips)}
        )
        write_card(report, bundle)
        said = decide(validation, recipe.task, dataset.labels, calibrated.policy)
        measured = list(zip([*validation, *items], [*said, *predictions], strict=True))
        save.write_reference(bundle, measured, recipe.task, dataset.language)
        write_json(bundle / "runtime.json", chosen.about)
        save.seal_bundle(bundle, plan, dataset.labels, calibrated.policy, calibrated.about)
    write_text(run.folder / "recipe.yaml", to_yaml(plan.recipe))
    write_reports(report, run.folder)
    write_json(run.folder / "verdict.json", report.content["verdict"])
    run.update(status="finished", verdict=verdict.verdict)
    if not certificate.passed:
        failed = "; ".join(f"{check.name} {check.value:g}" for check in certificate.failed)
        raise TrainingError(f"The saved model does not answer as the evaluated one ({failed}): please report this.")
    open_bundle(run.folder / "bundle")
    return outcome_of(run)


def _calibrate(
    trained: Trained, dataset: Dataset, bundle: Path, progress: Progress
) -> tuple[judge.Calibrated, list[Inferred], list[Inferred]]:
    """Calibrate on validation, fold it into the head, save the model; gives validation, calibrated, as the trained model
    answers it, and through the saved one."""
    plan = trained.plan
    run = answering(trained.models, plan, plan.recipe.train.device)
    validation = dataset.splits["validation"]
    with progress.task("Calibrating on validation", total=1) as step:
        items = list(infer(validation, plan.recipe.task, plan.processor, dataset.labels, run))
        calibrated = judge.calibrate(plan.recipe, items, dataset.labels)
        for number, model in enumerate(trained.models):
            save.fold_calibration(model, calibrated)  # affine: the mean of calibrated outputs is the calibrated mean
            save.write_model(model, plan, members.folder(bundle, number))
        step(1)
    if plan.recipe.task.scored:  # others are not calibrated
        items = [dataclasses.replace(item, logits=item.logits * calibrated.scale + calibrated.shift) for item in items]
    return calibrated, items, list(_infer_saved(bundle, plan, dataset, "validation", _exact(bundle), progress))


def _choose_runtime(
    run: Run,
    bundle: Path,
    recipe: Recipe,
    exact: Sequence[Inferred],
    calibrated: judge.Calibrated,
    dataset: Dataset,
    usual: Sequence[Features],
    progress: Progress,
) -> runtimes.Chosen:
    """What answers; a resumed run keeps to what was chosen before, however fast the others are now."""
    if (before := run.about.get("runtime")) is not None:
        return runtimes.take(bundle, catalog.create("runtimes", before["chosen"]), before, usual)  # type: ignore[arg-type]
    chosen = runtimes.choose(bundle, recipe, exact, calibrated.policy, dataset.labels, progress, usual)
    run.update(runtime=chosen.about)
    return chosen


def _exact(bundle: Path) -> Outputs:
    """The runtime whose numbers the others are held against."""
    return opened(catalog.create("runtimes", EXACT), bundle)  # type: ignore[arg-type]


def _infer_saved(bundle: Path, plan: Plan, dataset: Dataset, split: str, run: Outputs, progress: Progress) -> Any:
    """Logits of a split through the saved model and a runtime: what is judged is what ships."""
    processor = Processor.load(bundle / "model")
    with progress.task(f"Evaluating {split}", total=len(dataset.splits[split])) as step:
        items = infer(dataset.splits[split], plan.recipe.task, processor, dataset.labels, run)
        yield from stepping(items, step)


def _verdict(
    run: Run,
    recipe: Recipe,
    dataset: Dataset,
    items: Sequence[Inferred],
    predictions: Sequence[Prediction],
    baselines: dict[str, list[Prediction]],
) -> Verdict:
    if "test_uses" not in run.about:  # a resumed run opens the seal no second time
        user = f"{run.name} {run.about['created']}"
        run.update(test_uses=count_use(run.folder.parent / SEALED, dataset.splits["test"].fingerprint, user))
    return compare_with_baselines(
        [item.example.label for item in items],
        predictions,
        baselines,
        metric=recipe.evaluate.metric,
        labels=dataset.labels,
        task=recipe.task,
        confidence=recipe.evaluate.confidence,
        resamples=recipe.evaluate.resamples,
        seed=recipe.seed,
        test_uses=run.about["test_uses"],
    )


def _certificate(
    bundle: Path, plan: Plan, labels: Sequence[str], items: Sequence[Inferred], held: parity.Parity, progress: Progress
) -> Gate:
    """What plain `transformers` answers, where it opens the model, and what serves, against what was evaluated."""
    if not save.is_transformers(bundle / "model"):
        return Gate(parity.SERVING, held.checks)
    with progress.task("Checking that transformers gives the same answers", total=1) as step:
        made = plain.certify(bundle, items, plan.processor, plan.recipe.task, plan.head, labels)
        step(1)
    return Gate(made.name if made.checks else parity.SERVING, (*made.checks, *held.checks))
