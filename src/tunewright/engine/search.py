"""`search`: try values of recipe keys on training and validation rows, resumable, and write out the best recipe."""

from __future__ import annotations

import contextlib
import csv
import fcntl
import io
import json
import shlex
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tunewright import __version__
from tunewright.core import recipe_file
from tunewright.core.errors import RecipeError, TrainingError, TunewrightError, UsageError, plural
from tunewright.core.files import machine_errors, read_json, sweep, write_json, write_text, writing
from tunewright.core.progress import Progress, Silent
from tunewright.core.recipe import Recipe, flat, replace, to_mapping
from tunewright.core.run import free, now
from tunewright.core.space import Choices, Parameter
from tunewright.data.dataset import Dataset
from tunewright.data.prepare import prepare
from tunewright.engine import study
from tunewright.engine.study import Study, Trial, Tried
from tunewright.engine.trials import Measured, Pruned, Workshop
from tunewright.stages import assemble, gain
from tunewright.stages.report import write_search
from tunewright.stages.report.formats import measure, word
from tunewright.stages.report.search import sentences
from tunewright.stages.space import default_space
from tunewright.training.loop import Interrupted

SEARCHES = Path("searches")
SEEN = ("train", "validation")  # all that a search looks at: the test split stays sealed for the verdict
HOPELESS = 5  # trials that failed without one that did not, after which the others are not tried
FREE = ("search.trials", "search.time_limit")  # what may differ when a search goes on


@dataclass(frozen=True)
class Found:
    """What `search` gives back.

    search: its folder; best: the best recipe's file; sentence: what came of it, in English and Chinese; value, own: the
    deciding `metric` on validation of the best trial and of the recipe's own values; parameters: the best trial's, key →
    value; gain: what it gains less what is luck, with its interval, None where that cannot be said; importance: key →
    {"share", "chance"}; trials: all of them, in order.
    """

    search: Path
    best: Path
    sentence: dict[str, str]
    metric: str
    value: float
    own: float | None
    parameters: dict[str, Any]
    gain: dict[str, Any] | None
    importance: dict[str, dict[str, float]]
    trials: list[dict[str, Any]]
    seconds: float


def search(
    recipe: Recipe,
    *,
    out: Path | str | None = None,
    name: str = "recipe",
    resume: bool = False,
    command: str = "",
    progress: Progress | None = None,
) -> Found:
    """Try what `recipe.search` says in a folder (`out`, or searches/`name`), and write the best recipe into it.

    The first trial has the recipe's own values. Each sees training and validation rows alone. resume: go on with the
    search in `out`, or the newest of that name; trials that are over count, the one under way is repeated. Raises the
    errors of every stage, TrainingError when every trial fails, and Interrupted (exit code 130) on Ctrl-C.
    """
    study.require()
    progress = progress or Silent()
    folder = _folder(out, name, resume)
    with _alone(folder):
        about = _About.open(folder, recipe, resume, command)
        progress.say(f"{'Resuming' if resume else 'Search'}: {folder}")
        try:
            return _carried_out(recipe, about, progress)
        except (Interrupted, KeyboardInterrupt):
            told = f"Stopped; {plural(len(about.content['trials']), 'trial')} of {recipe.search.trials} are saved."
            raise Interrupted(f"{told} Go on with: {about.again}") from None


def _carried_out(recipe: Recipe, about: _About, progress: Progress) -> Found:
    dataset = prepare(recipe, about.folder / "data", progress).only(*SEEN)
    about.same_rows(dataset)
    plan = assemble.plan(recipe, dataset)
    workshop = Workshop(recipe, dataset, about.folder, (), about.content["decided"], about.save)
    if not recipe.search.space:
        given = default_space(plan, dataset, workshop.network(plan))
        recipe = replace(recipe, **{"search.space": given})
        progress.say(f"No search.space in the recipe; this one is tried: {json.dumps(given, ensure_ascii=False)}")
    workshop.parameters = recipe_file.parameters(recipe)
    _refuse_unseen(recipe, workshop.parameters, progress)
    trials = Study(about.folder / "journal.jsonl", workshop.parameters, seed=recipe.seed, pruning=recipe.search.pruning)
    facts = {"metric": plan.recipe.evaluate.metric, "language": _language(recipe, dataset)}
    facts |= {"rows": {name: len(split) for name, split in dataset.splits.items()}}
    about.update(**facts, trials=_rows(trials.tried()), space=dict(recipe.search.space))
    _try_all(recipe, workshop, trials, about, progress)
    return _concluded(recipe, workshop, trials, about, progress)


def _refuse_unseen(recipe: Recipe, parameters: Sequence[Parameter], progress: Progress) -> None:
    """Raise RecipeError for a parameter that no trial could tell apart; say what trials leave out."""
    use = recipe.train.unlabelled
    several = ["train.unlabelled"] if use and use.adopts else []
    if unseen := [one.key for one in parameters if one.key.startswith(("train.ensemble", *several))]:
        raise RecipeError(
            f"search.space: a trial trains one model once, so {unseen[0]} would change none. Search for what suits that; "
            "`tunewright train` does the rest with the best recipe."
        )
    several += ["train.ensemble"] if recipe.train.ensemble else []
    if several:
        progress.say(f"Each trial trains one model once; {' and '.join(several)} wait for the best recipe.")


# ------------------------------------------------------------------------------------------------ trial after trial


def _try_all(recipe: Recipe, workshop: Workshop, trials: Study, about: _About, progress: Progress) -> None:
    """Go on until the trials, the time or the space are used up; the recipe's own values are tried in any case."""
    started, wanted = time.monotonic(), recipe.search.trials
    with progress.task("Searching", total=wanted) as step:
        tried = trials.tried()
        step(len(tried))
        while len(tried) < wanted:
            if tried and recipe.search.time_limit and time.monotonic() - started >= 60 * recipe.search.time_limit:
                progress.say(f"The {recipe.search.time_limit:g} minutes are over; no further trial begins.")
                break
            trial = trials.ask(fixed=None if tried else workshop.own_values())
            if trial is None:
                progress.say("Whatever is drawn now was tried before: the space is exhausted.")
                break
            _try(recipe, workshop, trial, about)
            tried = trials.tried()
            about.update(trials=_rows(tried))
            progress.say(_told(tried, wanted, about.content["metric"]))
            step(1)
            _refuse_hopeless(tried)


def _try(recipe: Recipe, workshop: Workshop, trial: Trial, about: _About) -> None:
    """Carry out one trial. What stops it is noted with it; what stops the search leaves it open, to be repeated."""
    started, parameters = time.monotonic(), dict(trial.values)

    def note() -> dict[str, Any]:
        return {"parameters": parameters, "seconds": round(time.monotonic() - started, 2)}

    try:
        changed, parameters = workshop.with_values(trial.values)
        measured = workshop.train(changed if trial.number else recipe, trial.tell)
    except Pruned:
        trial.prune(**note())
    except Interrupted:
        raise
    except TunewrightError as error:
        trial.fail(str(error), **note())
    except (Exception, MemoryError) as error:  # a trial's odd values must not end a search of many hours
        trial.fail(f"{type(error).__name__}: {error}".partition("\n")[0], **note())
    else:
        _keep(measured, about.folder, trial.number)
        own = {} if trial.number else {"own": dict(measured.parameters)}
        trial.finish(measured.value, **note(), **own, epochs=measured.epochs)


def _keep(measured: Measured, folder: Path, number: int) -> None:
    if measured.resampled is not None:
        with writing(_resampled(folder, number)) as path, open(path, "wb") as file:
            np.save(file, measured.resampled)


def _resampled(folder: Path, number: int) -> Path:
    return folder / "resampled" / f"{number:04}.npy"


def _refuse_hopeless(tried: list[Tried]) -> None:
    if len(tried) >= HOPELESS and all(trial.state == "failed" for trial in tried):
        raise TrainingError(
            f"The first {HOPELESS} trials have all failed. The recipe's own values: {tried[0].about['why']} "
            f"The last one: {tried[-1].about['why']}"
        )


def _told(tried: list[Tried], wanted: int, metric: str) -> str:
    """One line on the trial that has just ended, and on the time that is left."""
    last, best = tried[-1], _best(tried)
    values = ", ".join(f"{key.rpartition('.')[2]} {word(value)}" for key, value in _parameters(last).items())
    seconds = statistics.fmean(trial.about["seconds"] for trial in tried) * (wanted - len(tried))
    how = {"finished": "", "pruned": ", stopped early"}.get(last.state, f" failed: {last.about.get('why')}")
    value = f": {metric} {last.value:.4f}" if last.value is not None else ""
    lead = f"; best {best.value:.4f} by trial {best.number}" if best else ""
    left = f"; about {seconds:.0f} s left" if len(tried) < wanted else ""
    which = "the recipe's own values" if not last.number else values
    return f"Trial {last.number} ({which}){value}{how}, {last.about['seconds']:.0f} s{lead}{left}"


# ------------------------------------------------------------------------------------------------------- the outcome


def _concluded(recipe: Recipe, workshop: Workshop, trials: Study, about: _About, progress: Progress) -> Found:
    tried = trials.tried()
    best = _best(tried)
    if best is None:
        why = tried[-1].about.get("why", "") if tried else "none was begun."
        raise TrainingError(f"No trial has finished, so there is no best recipe. The last one: {why}")
    changed, _ = workshop.with_values(best.values) if best.number else (recipe, {})
    own = tried[0].value if tried[0].state == "finished" else None
    content = {
        "value": best.value,
        "best_trial": best.number,
        "own": own,
        "parameters": _parameters(best),
        "gain": _gain(about, tried, best) if best.number and own is not None else None,
        "importance": trials.importance(),
        "trials": _rows(tried),
        "seconds": round(sum(trial.about["seconds"] for trial in tried), 2),
        "parameter_ranges": [_scale(one, tried) for one in workshop.parameters],
    }
    about.update(**content)
    about.update(sentence={one: " ".join(sentences(about.content, one)) for one in ("en", "zh")}, status="finished")
    path = about.folder / "best.yaml"
    reasons = {key: f"the best of {plural(len(tried), 'trial')}" for key in best.values if best.number}
    write_text(path, recipe_file.to_yaml(changed, _head(about.content), reasons))
    write_text(about.folder / "trials.csv", _table(tried))
    write_search(about.content, about.folder / "search.html")
    keys = ("sentence", "metric", "value", "own", "parameters", "gain", "importance", "trials", "seconds")
    return Found(search=about.folder, best=path, **{key: about.content[key] for key in keys})


def _gain(about: _About, tried: list[Tried], best: Tried) -> dict[str, Any] | None:
    """What the best of all finished trials gains over the recipe's own values, less what is luck."""
    finished = [trial.number for trial in tried if trial.state == "finished"]
    files = [_resampled(about.folder, number) for number in finished]
    if not all(file.exists() for file in files):
        return None
    return gain.corrected(
        0, finished.index(best.number), [np.load(file) for file in files], about.content["metric"]
    ).to_dict()


def _best(tried: list[Tried]) -> Tried | None:
    """The finished trial with the highest value; the earliest of several, so that the recipe's own values win a tie."""
    finished = [trial for trial in tried if trial.state == "finished"]
    return max(finished, key=lambda trial: trial.value, default=None)  # type: ignore[arg-type, return-value]


def _parameters(trial: Tried) -> dict[str, Any]:
    """Key → value as a recipe has it."""
    return {**trial.about["parameters"], **trial.about.get("own", {})}


def _rows(tried: list[Tried]) -> list[dict[str, Any]]:
    """Every trial as plain data."""
    return [
        {
            "trial": trial.number,
            "state": trial.state,
            "value": trial.value,
            "parameters": _parameters(trial),
            "seconds": trial.about["seconds"],
            "evaluations": [{"epoch": epoch, "value": value} for epoch, value in trial.evaluations],
            "why": trial.about.get("why", ""),
        }
        for trial in tried
    ]


def _scale(parameter: Parameter, tried: list[Tried]) -> dict[str, Any]:
    """How a parameter is drawn: its choices as words, or its numbers' scale."""
    if isinstance(parameter, Choices):
        return {"key": parameter.key, "choices": [word(value) for value in parameter.values]}
    return {"key": parameter.key, "log": parameter.log}


def _head(content: Mapping[str, Any]) -> list[str]:
    metric, rows = content["metric"], plural(content["rows"]["validation"], "validation row")
    own = "" if content["own"] is None else f"; the recipe's own values gave {measure(content['own'], metric)}"
    how = "The best recipe" if content["best_trial"] else "The recipe as it was, which no other values beat"
    return [
        f"{how}, written by `tunewright search` after {plural(len(content['trials']), 'trial')}.",
        f"{metric} {measure(content['value'], metric)} on {rows}{own}. The best of many looks better than it is.",
        "The test split has not been looked at. The verdict: tunewright train best.yaml",
        "",
    ]


def _table(tried: list[Tried]) -> str:
    """All trials as CSV."""
    keys = list(dict.fromkeys(key for trial in tried for key in _parameters(trial)))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", "state", "value", "seconds", "evaluations", *keys, "why"])
    for trial in tried:
        values = [word(_parameters(trial)[key]) if key in _parameters(trial) else "" for key in keys]
        value = "" if trial.value is None else trial.value
        said = [trial.number, trial.state, value, trial.about["seconds"], len(trial.evaluations)]
        writer.writerow([*said, *values, trial.about.get("why", "")])
    return text.getvalue()


def _language(recipe: Recipe, dataset: Dataset) -> str:
    chosen = recipe.report.language
    return ("zh" if dataset.language == "zh" else "en") if chosen == "auto" else chosen


# -------------------------------------------------------------------------------------------------------- the folder


@dataclass
class _About:
    """A search's folder, and search.json in it: what it was started with, and what has come of it so far."""

    folder: Path
    content: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: Path, recipe: Recipe, resume: bool, command: str) -> _About:
        """Begin a search, or go on with one. Raises UsageError when the folder or the recipe does not allow it."""
        given = to_mapping(recipe)
        if resume:
            about = cls(folder, read_json(folder / "search.json"))
            before, after = dict(flat(about.content["given"])), dict(flat(given))
            changed = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
            if changed := [key for key in changed if key not in FREE]:
                raise UsageError(
                    f"The recipe differs from the one that {folder} was started with, in {', '.join(changed)}. "
                    "Resume with the same recipe, or start a new search without --resume."
                )
            sweep(folder)
            about.update(status="searching")
            return about
        about = cls(folder)
        about.update(
            tunewright=__version__,
            name=folder.name,
            status="searching",
            created=now(),
            command=command,
            given=given,
            decided={},
            trials=[],
        )
        return about

    @property
    def again(self) -> str:
        """The command, or the call from Python, that goes on with this search."""
        command = self.content["command"]
        if not command.startswith("tunewright "):
            return f"tunewright.search(recipe, out={str(self.folder)!r}, resume=True)"
        words = [word for word in shlex.split(command) if word != "--resume"]
        named = any(word.partition("=")[0] == "--out" for word in words)
        return shlex.join([*words, *([] if named else ["--out", str(self.folder)]), "--resume"])

    def update(self, **values: Any) -> None:
        """Change values of search.json, atomically."""
        self.content |= values
        self.save()

    def save(self) -> None:
        """Write search.json as it is."""
        write_json(self.folder / "search.json", self.content)

    def same_rows(self, dataset: Dataset) -> None:
        """Refuse to go on with other rows: the trials could not be compared."""
        found = {name: split.fingerprint for name, split in dataset.splits.items()}
        if self.content.setdefault("fingerprints", found) != found:
            raise UsageError(
                f"The data has changed since {self.folder} was started. "
                "Resume with the same data, or start a new search without --resume."
            )


def _folder(out: Path | str | None, name: str, resume: bool) -> Path:
    """Where the search is, or will be; it exists afterwards."""
    if resume:
        folder = Path(out) if out else _newest(name)
        if folder is None or not (folder / "search.json").exists():
            raise UsageError(f"There is no search {out or SEARCHES / name} to resume. Leave out --resume to start one.")
        return folder
    folder = Path(out) if out else free(SEARCHES / name)
    with machine_errors(folder):
        if (folder / "search.json").exists():
            raise UsageError(f"{folder} exists already: a search. Go on with it by --resume, or choose another --out.")
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(f"{folder} exists already and is no search. Choose another --out.")
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def _newest(name: str) -> Path | None:
    """The newest search of that name (or name-2, …)."""
    found = [path.parent for path in SEARCHES.glob("*/search.json")]
    found = [folder for folder in found if folder.name == name or folder.name.rpartition("-")[0] == name]
    return max(found, key=lambda folder: read_json(folder / "search.json").get("created", ""), default=None)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Have the search for this process alone; the system frees it even when the process is killed."""
    with machine_errors(folder):
        lock = open(folder / "lock", "w")  # noqa: SIM115 - closed below
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"Another process works on the search {folder}. Wait for it, or choose another --out."
            ) from None
        yield
