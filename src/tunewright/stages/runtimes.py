"""Choose what answers: every runtime that this machine has is tried on validation, and the fastest that loses nothing is taken."""

from __future__ import annotations

import dataclasses
import math
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tunewright.core import catalog
from tunewright.core.contracts import Outputs, Runtime, Task
from tunewright.core.errors import MachineError, ModelError
from tunewright.core.numeric import spread
from tunewright.core.progress import Progress
from tunewright.core.recipe import Predict, Recipe
from tunewright.core.types import Example, Policy, Prediction
from tunewright.data.dataset import Split
from tunewright.models import members
from tunewright.models.batches import Features
from tunewright.models.processor import Processor
from tunewright.predict.infer import Inferred, again, decide

TRIED = 2000  # validation rows that every runtime answers
IN_BULK = 256  # of them, rows that are timed together
ALONE = 20  # and rows that are timed one at a time
USUAL = 512  # rows whose windows a runtime may measure on when it is prepared
ROUNDS = 3  # of timing, all runtimes in turn; the median counts


@dataclass(frozen=True)
class Trial:
    """How a runtime did on validation; `lacks` says why it could not, and then nothing else is known.

    in_bulk: rows a second; alone: seconds for one; value: the deciding metric; loss: what full precision has more of it;
    flips: rows whose answer differs from full precision's; largest: difference of a score.
    """

    runtime: Runtime
    lacks: str = ""
    in_bulk: float = 0.0
    alone: float = 0.0
    value: float = 0.0
    loss: float = 0.0
    flips: int = 0
    largest: float = 0.0

    @property
    def cost(self) -> float:
        """Seconds a row, as the geometric mean of alone and in bulk: neither use counts more."""
        return math.sqrt(self.alone / self.in_bulk)

    def to_dict(self) -> dict[str, Any]:
        """As bundle.json and the report hold it."""
        about = {"runtime": catalog.describe(self.runtime)}
        if self.lacks:
            return {**about, "lacks": self.lacks}
        numbers = ("in_bulk", "alone", "value", "loss", "flips", "largest")
        return {**about, **{name: getattr(self, name) for name in numbers}}


@dataclass(frozen=True)
class Chosen:
    """The runtime that answers, opened on the bundle, and `about` it, as runtime.json and the report hold it:
    {"chosen": the runtime, "rows": on how many all were tried, "trials": how each did}."""

    runtime: Runtime
    run: Outputs
    about: Mapping[str, Any]


def choose(
    bundle: Path,
    recipe: Recipe,
    exact: Sequence[Inferred],
    policy: Policy,
    labels: Sequence[str],
    progress: Progress,
    usual_windows: Sequence[Features] = (),
) -> Chosen:
    """Take the runtime that the recipe names, or the fastest whose answers are good enough, and prepare the bundle for it.

    exact: validation rows, answered in full precision; usual_windows: of other rows, see Runtime.prepare. Raises MachineError when the named runtime cannot run here.
    """
    if recipe.predict.runtime != "auto":
        return take(bundle, recipe.predict.runtime, {"rows": 0, "trials": []}, usual_windows)
    exact = exact[:TRIED]
    trials = tried(bundle, recipe, everyone(), exact, policy, labels, progress, usual_windows)
    about = {"rows": len(exact), "trials": [trial.to_dict() for trial in trials]}
    return take(bundle, fastest(trials, recipe.predict, len(exact)), about, usual_windows)


def everyone() -> list[Runtime]:
    """Every runtime with each of its settings worth trying."""
    return [one for name in catalog.names("runtimes") for one in _variants(name)]


def tried(
    bundle: Path,
    recipe: Recipe,
    among: Sequence[Runtime],
    exact: Sequence[Inferred],
    policy: Policy,
    labels: Sequence[str],
    progress: Progress,
    usual_windows: Sequence[Features] = (),
) -> list[Trial]:
    """How each of these runtimes does on rows that were answered in full precision. Leaves nothing in the bundle."""
    with tempfile.TemporaryDirectory(dir=bundle, prefix=".runtimes-") as scratch:
        place = _place(Path(scratch), bundle)
        return _trials(among, place, recipe, exact, policy, labels, progress, usual_windows)


def usual(rows: Sequence[Example] | Split, task: Task, processor: Processor, labels: Sequence[str]) -> list[Features]:
    """The windows of some of these rows, as Runtime.prepare wants them."""
    places = spread(len(rows), USUAL)
    some = rows.take(places) if isinstance(rows, Split) else [rows[place] for place in places]
    shown = [dataclasses.replace(row, label=None) for row in some]
    return [window.features for window in task.encode(shown, processor, labels)]


def take(bundle: Path, runtime: Runtime, about: Mapping[str, Any], usual_windows: Sequence[Features] = ()) -> Chosen:
    """Prepare the bundle for this runtime, and open it. Raises MachineError when it cannot run here."""
    if missing := runtime.lacks(bundle):
        raise MachineError(f"predict.runtime: {catalog.name_of(runtime)} cannot run here ({missing}).")
    members.prepare(runtime, bundle, usual_windows)
    return Chosen(runtime, members.opened(runtime, bundle), {**about, "chosen": catalog.describe(runtime)})


def fastest(trials: Sequence[Trial], allowed: Predict, rows: int) -> Runtime:
    """The runtime of least cost among those that can run here and lose, and flip of these many rows, what is allowed."""
    able = [trial for trial in trials if not trial.lacks and within(trial, allowed, rows)]
    return min(able, key=lambda trial: trial.cost).runtime


def within(trial: Trial, allowed: Predict, rows: int) -> bool:
    """Whether what a runtime loses, and flips of so many rows, is allowed."""
    flips = allowed.max_flips
    return trial.loss <= allowed.max_loss and (flips is None or trial.flips <= flips * rows)


def _variants(name: str) -> Sequence[Runtime]:
    return catalog.find("runtimes", name).variants()  # type: ignore[attr-defined]


def _place(folder: Path, bundle: Path) -> Path:
    """A folder that looks like the bundle, for runtimes to prepare without leaving anything in the bundle."""
    for number, own in enumerate(members.folders(bundle)):
        place = members.folder(folder, number)
        place.mkdir(parents=True, exist_ok=True)
        (place / "model").symlink_to((own / "model").resolve())
    return folder


def _trials(
    among: Sequence[Runtime],
    place: Path,
    recipe: Recipe,
    exact: Sequence[Inferred],
    policy: Policy,
    labels: Sequence[str],
    progress: Progress,
    usual_windows: Sequence[Features],
) -> list[Trial]:
    opened, trials = {}, {}
    with progress.task("Trying what answers fastest", total=len(among) + ROUNDS) as step:
        for runtime in among:
            run, missing = _opened(runtime, place, usual_windows)
            if run is None:
                trials[runtime] = Trial(runtime, missing)
            else:
                opened[runtime] = run
                trials[runtime] = _compared(runtime, run, recipe, exact, policy, labels)
            step(1)
        windows = [item.windows[0].features for item in exact[:IN_BULK]]
        times: dict[Runtime, list[tuple[float, float]]] = {runtime: [] for runtime in opened}
        for _ in range(ROUNDS):
            for runtime, run in opened.items():
                times[runtime].append((_seconds(run, [windows]), _seconds(run, [[w] for w in windows[:ALONE]])))
            step(1)
    return [_timed(trial, times.get(runtime, []), len(windows)) for runtime, trial in trials.items()]


def _opened(runtime: Runtime, place: Path, usual_windows: Sequence[Features]) -> tuple[Outputs | None, str]:
    """The runtime ready to answer, or why it is not."""
    if missing := runtime.lacks(place):
        return None, missing
    try:
        members.prepare(runtime, place, usual_windows)
        return members.opened(runtime, place), ""
    except (ModelError, MachineError) as error:
        return None, " ".join(str(error).split())[:200]


def _compared(
    runtime: Runtime, run: Outputs, recipe: Recipe, exact: Sequence[Inferred], policy: Policy, labels: Sequence[str]
) -> Trial:
    task, gold = recipe.task, [item.example.label for item in exact]
    before, after = (decide(items, task, labels, policy) for items in (exact, again(exact, task, run)))
    values = [float(task.measures.metrics(gold, said, labels)[recipe.evaluate.metric]) for said in (before, after)]
    pairs = list(zip(before, after, strict=True))
    return Trial(
        runtime,
        value=values[1],
        loss=lost(*values),
        flips=sum(one.value != other.value for one, other in pairs),
        largest=max((_difference(one, other) for one, other in pairs), default=0.0),
    )


def lost(before: float, after: float) -> float:
    """How much less it is, without what floats add: 0.96 − 0.95 is no more than 0.01."""
    return round(before - after, 12)


def _difference(one: Prediction, other: Prediction) -> float:
    return max((abs(score - other.scores.get(label, 0.0)) for label, score in one.scores.items()), default=0.0)


def _seconds(run: Outputs, calls: Sequence[Sequence[Mapping[str, np.ndarray]]]) -> float:
    started = time.perf_counter()
    for windows in calls:
        run(windows)
    return time.perf_counter() - started


def _timed(trial: Trial, times: Sequence[tuple[float, float]], rows: int) -> Trial:
    if not times:
        return trial
    in_bulk, alone = (statistics.median(column) for column in zip(*times, strict=True))
    return dataclasses.replace(trial, in_bulk=rows / in_bulk, alone=alone / min(ALONE, rows))
