"""Look before training: at the data, at the machine, and at what the training will take."""

from __future__ import annotations

import importlib.metadata
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tunewright.core import gate
from tunewright.core.gate import Gate
from tunewright.core.linear import fit_linear
from tunewright.core.measures import encode_labels
from tunewright.core.numeric import softmax, spread
from tunewright.core.progress import Progress, Silent
from tunewright.core.recipe import Recipe
from tunewright.core.recipe_file import value_at
from tunewright.core.run import RUNS, memory_bytes
from tunewright.core.types import Note
from tunewright.data.checks import EXAMPLES, Finding, excerpt, findings
from tunewright.data.dataset import Dataset
from tunewright.data.prepare import prepare
from tunewright.stages import assemble
from tunewright.stages.assemble import Plan
from tunewright.stages.augmented import try_out
from tunewright.stages.embed import Embedder
from tunewright.stages.estimate import MIB, Estimate, estimate
from tunewright.training.precision import choose_device, choose_threads, threads

FOLDS = 4  # parts of the training rows; each is judged by a probe on the others
PROBED = 20_000  # training rows whose labels are judged at most


@dataclass(frozen=True)
class Checked:
    """What was found, what the machine has, and what training will take.

    refused: those of `findings` that the recipe's data.refuse names; notes: what was guessed or changed in the data;
    augmented: a few copies that data.augment makes, as {"by", "row", "from", "to"}.
    """

    findings: Sequence[Finding]
    refused: Sequence[Finding]
    machine: Gate
    estimate: Estimate
    notes: Sequence[str]
    augmented: Sequence[dict[str, Any]] = ()

    @property
    def passed(self) -> bool:
        """Whether the recipe lets this data through."""
        return not self.refused

    def to_dict(self) -> dict[str, Any]:
        """As plain data for JSON."""
        return {
            "passed": self.passed,
            "refused": sorted({finding.kind for finding in self.refused}),
            "findings": [asdict(finding) for finding in self.findings],
            "estimate": asdict(self.estimate),
            "machine": self.machine.to_dict(),
            "notes": list(self.notes),
            "augmented": list(self.augmented),
        }


def check(recipe: Recipe, *, deep: bool = False, progress: Progress | None = None) -> Checked:
    """Check a recipe's data and this machine. Nothing is written but to a temporary folder.

    deep: look at all rows where a sample is looked at otherwise, and at labels that a model doubts. Raises the errors
    that training would raise before its first step.
    """
    progress = progress or Silent()
    with tempfile.TemporaryDirectory(prefix="tunewright-") as folder:
        started = time.perf_counter()
        dataset = prepare(recipe, Path(folder) / "data", progress)
        plan = assemble.plan(recipe, dataset)
        with progress.task("Looking for what spoils a model", total=1) as step:
            found = findings(
                dataset, plan.processor, deep, languages=plan.located.facts.languages,
                backbone=plan.recipe.model.backbone,
            )  # fmt: skip
            step(1)
        seconds = time.perf_counter() - started
        if deep or "label_errors" in recipe.data.refuse:
            found += label_errors(plan, dataset, progress)
        tried = try_out(plan, dataset)
        with progress.task("Training a few steps to see how long it takes", total=1) as step:
            augmenting = tried.seconds(len(dataset.splits["train"]))
            expected = estimate(plan, dataset, Path(folder), preparing=seconds, augmenting=augmenting)
            step(1)
        notes = [
            *map(str, (*dataset.notes, *tried.notes())),
            *(f"{key}: {value_at(plan.recipe, key)} ({why})." for key, why in plan.whys.items()),
        ]
    refused = [finding for finding in found if finding.kind in recipe.data.refuse]
    return Checked(found, refused, _machine(expected), expected, notes, tried.shown())


# ---------------------------------------------------------------------------------------------- labels in doubt


def label_errors(plan: Plan, dataset: Dataset, progress: Progress) -> list[Finding]:
    """Training rows whose label a linear probe on the frozen backbone contradicts, when it learned from other rows."""
    split, task = dataset.splits["train"], plan.recipe.task
    if not task.scored or len(split) < 2 * FOLDS:
        return []
    places = spread(len(split), PROBED)
    examples = split.take(places)
    gold = encode_labels([example.label for example in examples], dataset.labels)
    if gold.ndim != 1:
        return []  # several labels a row: none of them excludes another
    device = choose_device(plan.recipe.train.device)
    with threads(choose_threads(plan.recipe.train.threads)):
        features = Embedder(plan, device, progress)(examples)
    probabilities = _out_of_fold(features, gold, len(dataset.labels), plan.recipe.seed)
    doubted, other = _doubted(probabilities, gold)
    if not len(doubted):
        return []
    worst = list(zip(doubted, other, strict=True))[:EXAMPLES]
    shown = tuple(
        f"{excerpt(split, int(places[row]))} → {dataset.labels[gold[row]]}, or {dataset.labels[label]}?"
        for row, label in worst
    )
    told = (
        f"{len(doubted)} of {len(gold)} training rows look like another label than they have (to a linear probe that "
        "learned from the other rows). Look at them: some will be labelled wrongly, others are only hard."
    )
    zh = (
        f"{len(gold)} 条训练数据中有 {len(doubted)} 条更像另一个标签（由只学过其他数据的线性探针判断）。"
        "请看一看：有些是标错的，有些只是难。"
    )
    return [Finding("label_errors", "note", len(doubted), shown, Note(told, zh))]


def _doubted(probabilities: np.ndarray, gold: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(rows, labels instead), the clearest first, of rows that another label fits better than it fits those that have
    it on average (confident learning, Northcutt et al. 2021, section 3)."""
    rows, labels = np.arange(len(gold)), range(probabilities.shape[1])
    trust = [probabilities[gold == label, label].mean() if (gold == label).any() else np.inf for label in labels]
    sure = np.where(probabilities >= np.array(trust), probabilities, 0.0)
    other = sure.argmax(axis=1)
    doubted = rows[(other != gold) & (sure[rows, other] > 0)]
    gain = probabilities[doubted, other[doubted]] - probabilities[doubted, gold[doubted]]
    doubted = doubted[np.argsort(-gain, kind="stable")]
    return doubted, other[doubted]


def _out_of_fold(features: np.ndarray, gold: np.ndarray, labels: int, seed: int) -> np.ndarray:
    """(rows, labels) probabilities, each row's by a probe that has not seen it."""
    folds = np.random.default_rng(seed).permutation(len(gold)) % FOLDS
    probabilities = np.zeros((len(gold), labels))
    for fold in range(FOLDS):
        held, validation = folds == fold, folds == (fold + 1) % FOLDS
        seen = ~(held | validation)
        probe = fit_linear(features[seen], gold[seen], features[validation], gold[validation], labels=labels)
        probabilities[held] = softmax(probe.logits(features[held]))
    return probabilities


# --------------------------------------------------------------------------------------------------- the machine


def _machine(expected: Estimate) -> Gate:
    folder = next(path for path in (RUNS.absolute(), *RUNS.absolute().parents) if path.exists())
    missing = missing_packages()
    install = f"pip install {' '.join(missing)}"
    packages = Note(install, install) if missing else Note("all that are needed are here", "所需的软件包都已安装")
    return Gate(
        "machine",
        (
            gate.check("packages missing", len(missing), "==", 0, packages),
            gate.check(
                "memory, MiB",
                expected.memory_mb,
                "<=",
                available_memory() / MIB,
                Note("free now", "目前可用的内存"),
            ),
            gate.check(
                "disk, MiB",
                expected.disk_mb,
                "<=",
                shutil.disk_usage(folder).free / MIB,
                Note(f"free at {folder}", f"{folder} 的可用空间"),
            ),
        ),
    )


def missing_packages() -> list[str]:
    """Packages that Tunewright needs and that are absent or of a version it does not work with."""
    from packaging.requirements import Requirement

    missing = []
    for text in importlib.metadata.requires("tunewright") or ():
        needed = Requirement(text)
        if needed.marker and not needed.marker.evaluate({"extra": ""}):
            continue
        try:
            version = importlib.metadata.version(needed.name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(str(needed))
            continue
        if not needed.specifier.contains(version, prereleases=True):
            missing.append(f"{needed} (here: {version})")
    return missing


def available_memory() -> int:
    """Bytes that programs can still have, by the system and by the container's limit."""
    found = [memory_bytes()]
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        found.append(next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")))
        limit, used = (Path("/sys/fs/cgroup", name).read_text() for name in ("memory.max", "memory.current"))
        found.append(int(limit) - int(used))
    except (OSError, ValueError, StopIteration):
        pass  # what this system does not tell does not count
    return min(found)
