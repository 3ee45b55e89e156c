"""The Python API: `tunewright.train`, `search`, `combine`, `compress`, `export` and `load`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewright.core.errors import UsageError
from tunewright.core.progress import Progress
from tunewright.core.recipe import Recipe
from tunewright.core.recipe_file import from_mapping
from tunewright.core.recipe_file import load as load_recipe

if TYPE_CHECKING:
    from tunewright.engine.local import Outcome
    from tunewright.engine.search import Found
    from tunewright.predict.predictor import Predictor
    from tunewright.stages.combine import Combined
    from tunewright.stages.compression.compress import Compressed


def train(
    recipe: Recipe | Mapping[str, Any] | Path | str,
    *,
    out: Path | str | None = None,
    name: str | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> Outcome:
    """Run a recipe to its verdict, as `tunewright train` does.

        outcome = tunewright.train("recipe.yaml", out="runs/first")
        outcome.verdict, outcome.metrics["accuracy"], outcome.bundle

        tunewright.train({"task": "text_classification", "data": {"train": "train.csv"}, "train": {"epochs": 3}})

    recipe: a recipe file, a mapping of the same keys, or a Recipe. Paths in a file are taken from its folder, those in
    a mapping from the working directory.
    out: the run's folder; None: runs/`name`, or runs/`name`-2 when that is taken. name: None: the file's, or "run".
    resume: go on with the unfinished run there; the result is the same bits as without the interruption.
    progress: told what is done, None: silent; `tunewright.core.progress.Terminal()` writes to standard error.

    Returns an Outcome: verdict ("better", "no_gain", "worse"), sentence, run and bundle (folders), metrics, baselines,
    seconds, tokens_per_second. Raises a TunewrightError with what to do about it.
    """
    from tunewright.engine.local import train as run

    given = _recipe(recipe, "train")
    name = name or (Path(recipe).stem if isinstance(recipe, (str, Path)) else "run")
    command = "python -c 'import tunewright; tunewright.train(\"recipe.yaml\")'  # the recipe in this run's folder"
    return run(given, out=out, name=name, resume=resume, command=command, progress=progress)


def search(
    recipe: Recipe | Mapping[str, Any] | Path | str,
    *,
    out: Path | str | None = None,
    name: str | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> Found:
    """Try what the recipe's `search` says, and write out the best recipe, as `tunewright search` does.

        found = tunewright.search("recipe.yaml", out="searches/first")
        print(found.sentence["en"])
        outcome = tunewright.train(found.best)

    The first trial has the recipe's own values. Every trial sees training and validation rows alone, so the verdict of
    the best recipe is not touched by the search.

    recipe, progress: as for `train`. out: the search's folder; None: searches/`name`, or searches/`name`-2 when that is
    taken. name: None: the file's, or "recipe". resume: go on with the search there; trials that are over count.

    Returns a Found: search (the folder), best (the recipe's file), sentence (in "en" and "zh"), metric, value and own (on
    validation, of the best trial and of the recipe's own values), parameters, gain (less what is luck, with its
    interval), importance, trials, seconds. Raises a TunewrightError with what to do about it.
    """
    from tunewright.engine.search import search as run

    given = _recipe(recipe, "search")
    name = name or (Path(recipe).stem if isinstance(recipe, (str, Path)) else "recipe")
    return run(given, out=out, name=name, resume=resume, progress=progress)


def combine(
    bundles: Sequence[Path | str],
    out: Path | str,
    *,
    names: Sequence[str] = (),
    default: str | None = None,
    progress: Progress | None = None,
) -> Combined:
    """Put bundles that were tuned from one backbone into one bundle, as `tunewright combine` does.

        tunewright.combine(["runs/intents", "runs/sentiment"], "both")
        model = tunewright.load("both", variant="sentiment")

    bundles: bundles, or the runs that hold them; one that holds variants already brings all of them. out: the folder to
    write, which must not be there. names: what the variants are called, in order; by default as their runs. default: the
    variant that is opened where none is named; None: it has to be named. progress: as for `train`.

    Returns a Combined: bundle (the folder), variants (name → task, method, size, parity with the single bundle), bytes
    (of all), apart (of the single bundles). Raises a TunewrightError with what to do about it.
    """
    from tunewright.stages.combine import combine as run

    if isinstance(bundles, (str, Path)):
        raise UsageError("combine takes a list of bundles: combine([a, b], out).")
    return run(bundles, out, names=names, default=default, progress=progress)


def compress(
    bundle: Path | str,
    out: Path | str | None = None,
    *,
    passes: str = "",
    target: str = "",
    settings: Mapping[str, Any] | None = None,
    max_loss: float | None = None,
    trials: int = 20,
    data: Path | str | None = None,
    unlabelled: Path | str | None = None,
    columns: Mapping[str, str] | None = None,
    variant: str | None = None,
    progress: Progress | None = None,
) -> Compressed:
    """Make a bundle smaller and faster within a budget of loss that is measured, as `tunewright compress` does.

        small = tunewright.compress("runs/first", passes="shrink_vocabulary,prune_layers+distill", max_loss=0.02)
        fast = tunewright.compress("runs/first", "fast", target="p95<5ms,size<20MB")
        print(fast.bundle, fast.last.compared.loss.value, fast.last.speedup)

    bundle: a bundle, or the run that holds it. out: the folder to write; None: beside it, with the ending "-compressed".
    passes: what is applied, in order ("a,b+c": those joined are judged together); with a target what may be tried, "":
    everything that serves. settings: "pass.setting" → value. max_loss: of the deciding metric, by the upper end of its
    interval; None: 0.005, with a target 0.05. data: labelled rows to measure on; None: validation of the bundle's run.
    unlabelled: further rows that passes learn from. columns: role → column of both. progress: as for `train`.

    Returns a Compressed: bundle (the folder), last (the step it ends with: compared, gate, speed, size_mb, speedup), tried
    (everything), report. Raises Refused where no pass is left within the budget, or nothing reaches the target.
    """
    from tunewright.core.bundle import open_bundle
    from tunewright.stages.compression import compress as stage

    opened = open_bundle(bundle, variant)
    steps = stage.parse(passes, [f"{name}={json.dumps(value)}" for name, value in (settings or {}).items()])
    sources = {"data": data, "unlabelled": unlabelled}
    given: dict[str, Any] = {name: None if value is None else str(value) for name, value in sources.items()}
    given |= {"columns": columns, "progress": progress, **({} if max_loss is None else {"max_loss": max_loss})}
    out = out or stage.beside(opened, "compressed")
    if target:
        return stage.reach(opened, target, out, steps=steps, trials=trials, **given)
    return stage.compress(opened, steps, out, **given)


def export(
    bundle: Path | str,
    out: Path | str | None = None,
    *,
    format: str,
    data: Path | str | None = None,
    columns: Mapping[str, str] | None = None,
    variant: str | None = None,
    progress: Progress | None = None,
) -> Compressed:
    """Write a bundle that answers from another form of the network, as `tunewright export` does: it has to answer alike.

        served = tunewright.export("runs/first", format="onnx")
        model = tunewright.load(served.bundle)

    format: "onnx", "openvino" or "safetensors". out: the folder to write; None: beside the bundle, with the format for
    ending. The others, and what it returns: as for `compress`. Raises Refused where an answer flips, or a logit is off.
    """
    from tunewright.core.bundle import open_bundle
    from tunewright.stages.compression import compress as stage

    opened = open_bundle(bundle, variant)
    rows = None if data is None else str(data)
    place = out or stage.beside(opened, format)
    return stage.export(opened, format, place, data=rows, columns=columns, progress=progress)


def load(bundle: Path | str, runtime: str = "auto", variant: str | None = None) -> Predictor:
    """Open a bundle (or the run that holds one) for predicting.

        model = tunewright.load("runs/first/bundle")
        for prediction in model.predict(["I lost my card", "明天下雨吗"]):
            print(prediction.value, prediction.score, prediction.decision)

    runtime: what computes, as `tunewright list runtimes` names it; "auto": the one that the bundle was measured with.
    variant: which one, of a bundle that holds several (`combine`); None: its default.

    Returns a Predictor: `labels`, and `predict(inputs)` of texts, mappings ({"text": …}) or Examples, which gives one
    Prediction an input, in order: value, score (a calibrated probability), scores (of every label), decision ("model",
    "abstain", "parent" where `given` holds a wider answer, or "error" with the value None for an empty text),
    truncated_tokens. A bundle that searches can be given another that puts what it finds into a better order: `reranked(by)`.
    Raises BundleError when the folder is no bundle, or was changed after it was saved.
    """
    from tunewright.predict.predictor import load as open_predictor

    return open_predictor(bundle, runtime, variant)


def _recipe(given: Recipe | Mapping[str, Any] | Path | str, verb: str) -> Recipe:
    if isinstance(given, Recipe):
        return given
    if isinstance(given, Mapping):
        return from_mapping(given)
    if not isinstance(given, (str, Path)):
        raise UsageError(f"{verb} takes a recipe file, a mapping or a Recipe; it got {type(given).__name__}.")
    return load_recipe(given)
