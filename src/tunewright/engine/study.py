"""The trials of a search, kept on disk as they go: what is tried next, when to give up, what mattered. Optuna's home."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tunewright.core.errors import MachineError
from tunewright.core.files import machine_errors
from tunewright.core.space import Choices, Parameter

if TYPE_CHECKING:
    import optuna

RANDOM = 6  # trials drawn at random before the sampler learns from them
FULL = 4  # trials that must have come as far before one may be pruned: a median of fewer means little
EPOCH = 1000  # a point of training is told to Optuna as whole thousandths of an epoch
ATTEMPTS = 20  # draws for one trial; when all of them were tried before, the space is taken for exhausted
LEAST = 6  # finished trials from which something is said of what mattered
SHUFFLES = 100  # of the trials' values, for what importance chance alone would give
CHANCE = 0.95  # of the shuffles stay below what is called chance


@dataclass(frozen=True)
class Tried:
    """A trial that is over.

    state: "finished", "pruned" or "failed"; value: of the deciding metric on validation, None where it failed; values:
    key → what was tried, as the space says it; evaluations: (epoch, value) of each; about: what was noted with it.
    """

    number: int
    state: str
    value: float | None
    values: Mapping[str, Any]
    evaluations: Sequence[tuple[float, float]]
    about: Mapping[str, Any]


@dataclass
class Trial:
    """A trial in progress: `values` are tried, evaluations told, and the end is one of finish, prune, fail."""

    number: int
    values: Mapping[str, Any]
    study: optuna.Study
    trial: optuna.Trial
    told: dict[int, float] = field(default_factory=dict)

    def tell(self, epoch: float, value: float) -> bool:
        """Note the deciding metric's value at a point; says whether to stop here, as others were better there."""
        step = round(epoch * EPOCH)
        if step not in self.told:
            self.told[step] = value
            self.trial.report(value, step)
        return bool(self.trial.should_prune())

    def finish(self, value: float, **about: Any) -> None:
        """It ran to its end, and its best value was this."""
        self._note(about)
        self.study.tell(self.trial, value)

    def prune(self, **about: Any) -> None:
        """It was stopped, as `tell` said."""
        import optuna

        self._note(about)
        self.study.tell(self.trial, state=optuna.trial.TrialState.PRUNED)

    def fail(self, why: str, **about: Any) -> None:
        """It could not be carried out."""
        import optuna

        self._note({"why": why, **about})
        self.study.tell(self.trial, state=optuna.trial.TrialState.FAIL)

    def _note(self, about: Mapping[str, Any]) -> None:
        self.trial.set_user_attr("about", {"values": dict(self.values), **about})


class Study:
    """A search's trials in the file `path`, which one process has for itself.

    What is drawn is a function of seed, space and the trials before, so a search that was killed goes on as if it had
    not been: a trial that was under way does not count, and its values are drawn again.
    """

    def __init__(self, path: Path, parameters: Sequence[Parameter], *, seed: int, pruning: bool) -> None:
        import optuna
        from optuna.storages.journal import JournalFileBackend, JournalStorage

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.parameters, self.seed = parameters, seed
        with machine_errors(path), _quiet():
            _cut_torn_line(path)
            self._study = optuna.create_study(
                storage=JournalStorage(JournalFileBackend(str(path), lock_obj=_Alone())),
                study_name="search",
                direction="maximize",
                pruner=optuna.pruners.MedianPruner(n_startup_trials=FULL, n_warmup_steps=1, n_min_trials=FULL)
                if pruning
                else optuna.pruners.NopPruner(),
                load_if_exists=True,
            )
            for trial in self._study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
                self._study.tell(trial.number, state=optuna.trial.TrialState.FAIL)

    def tried(self) -> list[Tried]:
        """All trials that are over, in order; those that were interrupted do not count."""
        return [_tried(number, trial) for number, trial in enumerate(self._counted())]

    def ask(self, fixed: Mapping[str, Any] | None = None) -> Trial | None:
        """The next trial; None when all that is drawn was tried before.

        fixed: values for the parameters that have one in the space; others are left out of this trial.
        """
        import optuna

        before = [trial.values for trial in self.tried()]
        for attempt in range(ATTEMPTS):
            seed = int(np.random.SeedSequence([self.seed, len(before), attempt]).generate_state(1)[0])
            sampler: optuna.samplers.BaseSampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=RANDOM)
            if fixed is not None:
                sampler = _fixed(self.parameters, fixed, sampler)
            self._study.sampler = sampler
            with _quiet():
                trial = self._study.ask()
                asked = [one for one in self.parameters if fixed is None or one.key in fixed]
                values = {one.key: _suggested(trial, one) for one in asked}
            if fixed is not None or values not in before:
                return Trial(len(before), values, self._study, trial)
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
        return None

    def importance(self) -> dict[str, dict[str, float]]:
        """Key → {"share", "chance"}, the most important first; {} when too few trials have finished to tell.

        share: how much the key decided on being among the best trials, of all keys' (PED-ANOVA, Watanabe et al. 2023);
        chance: up to where it would lie by chance alone, in CHANCE of all shuffles of the trials' values.
        """
        import optuna

        keys = {parameter.key for parameter in self.parameters}
        trials = self._study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
        trials = [trial for trial in trials if trial.params.keys() == keys]
        if len(trials) < LEAST or len({trial.value for trial in trials}) == 1:
            return {}
        values = np.array([trial.value for trial in trials])
        measured = _divergences(trials, values)
        draw = np.random.default_rng(self.seed)
        shuffled = [_divergences(trials, draw.permutation(values)) for _ in range(SHUFFLES)]
        chance = {key: float(np.quantile([found[key] for found in shuffled], CHANCE)) for key in measured}
        order, total = sorted(measured, key=lambda key: (-measured[key], key)), sum(measured.values())
        return {key: {"share": measured[key] / total, "chance": chance[key] / total} for key in order} if total else {}

    def _counted(self) -> list[optuna.trial.FrozenTrial]:
        return [trial for trial in self._study.get_trials(deepcopy=False) if _counts(trial)]


def require() -> None:
    """Raise MachineError where Optuna is not installed."""
    try:
        import optuna  # noqa: F401
    except ImportError:
        raise MachineError("`search` needs the package optuna: pip install 'tunewright[search]'.") from None


# ---------------------------------------------------------------------------------------------------------- parts


def _counts(trial: optuna.trial.FrozenTrial) -> bool:
    """Whether a trial came to an end of its own: one that was interrupted, or drawn twice, carries no note."""
    return trial.state.is_finished() and "about" in trial.user_attrs


def _tried(number: int, trial: optuna.trial.FrozenTrial) -> Tried:
    state = {"COMPLETE": "finished", "PRUNED": "pruned", "FAIL": "failed"}[trial.state.name]
    steps = sorted(trial.intermediate_values.items())
    evaluations = [(step / EPOCH, value) for step, value in steps]
    value = None if state == "failed" else trial.value
    about = dict(trial.user_attrs["about"])
    return Tried(number, state, value, about.pop("values"), evaluations, about)


def _suggested(trial: optuna.Trial, parameter: Parameter) -> Any:
    """A value as the space says it."""
    if isinstance(parameter, Choices):
        return json.loads(trial.suggest_categorical(parameter.key, parameter.names()))
    if parameter.whole:
        return trial.suggest_int(
            parameter.key, int(parameter.low), int(parameter.high), step=int(parameter.step or 1), log=parameter.log
        )
    return parameter.rounded(
        trial.suggest_float(parameter.key, parameter.low, parameter.high, step=parameter.step, log=parameter.log)
    )


def _fixed(
    parameters: Sequence[Parameter], values: Mapping[str, Any], sampler: optuna.samplers.BaseSampler
) -> optuna.samplers.BaseSampler:
    import optuna

    given = {
        one.key: one.names()[one.values.index(values[one.key])] if isinstance(one, Choices) else values[one.key]
        for one in parameters
        if one.key in values
    }
    with _quiet():
        return optuna.samplers.PartialFixedSampler(given, sampler)


def _divergences(trials: Sequence[optuna.trial.FrozenTrial], values: np.ndarray) -> dict[str, float]:
    """PED-ANOVA's importances of these trials, had they had these values; larger is more important."""
    import optuna

    study = optuna.create_study(direction="maximize")
    for trial, value in zip(trials, values, strict=True):
        study.add_trial(
            optuna.trial.create_trial(params=trial.params, distributions=trial.distributions, value=float(value))
        )
    # Of few trials a tenth is one or none: five, or the better half, are needed for a density.
    quantile = max(0.1, min(0.5, 5 / len(trials)))
    with _quiet():
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=quantile)
        return optuna.importance.get_param_importances(study, evaluator=evaluator, normalize=False)


def _cut_torn_line(path: Path) -> None:
    """Take away the last line of the journal when a kill left it half-written."""
    if not path.exists():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with open(path, "r+b") as file:
            file.truncate(whole)


class _Alone:
    """The lock of a file that nobody else has: Optuna's own outlives a kill, and is waited for half a minute then."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's warnings: of parts it calls experimental, and of few trials, which our own words say."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
