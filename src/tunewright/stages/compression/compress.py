"""Make a bundle smaller and faster, one pass after the other; each is measured, and undone where it costs too much."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tunewright.core import catalog, recipe_file
from tunewright.core.bundle import Bundle, open_bundle
from tunewright.core.contracts import CompressionPass, Runtime
from tunewright.core.errors import BundleError, Refused, UsageError, listing, nearest
from tunewright.core.files import read_json, writing_folder
from tunewright.core.progress import Progress, Silent
from tunewright.models import members
from tunewright.predict.predictor import EXACT
from tunewright.stages import runtimes
from tunewright.stages.compression import target as target_of
from tunewright.stages.compression.bench import Bench
from tunewright.stages.compression.chain import Chain, report, write
from tunewright.stages.compression.hunt import Hunt, steps_worth_trying
from tunewright.stages.compression.learned_rows import rows_of
from tunewright.stages.compression.step import State, Tried
from tunewright.stages.compression.target import Target

MAX_LOSS = 0.005  # of the deciding metric, by the upper end of its interval, where passes are named
MAX_LOSS_SEARCHED = 0.05  # and where a target is to be reached, which costs what it costs
TRIALS = 20  # of steps, at most, to reach a target
Step = CompressionPass | tuple[CompressionPass, ...]


@dataclass(frozen=True)
class Compressed:
    """What was written, and everything that was tried."""

    bundle: Path
    tried: Sequence[Tried]
    last: Tried  # the step that the bundle ends with
    report: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """As `compress --json` prints it."""
        last = self.last
        return {
            "bundle": self.bundle,
            "certificate": {
                "passed": last.gate.passed,
                "flips": len(last.compared.flips),
                "max_abs": last.compared.max_abs,
                "speedup": last.speedup,
                "size_mb": last.size_mb,
            },
            "verdict": "passed" if self.report["targets"] or all(one.kept for one in self.tried) else "partly",
            "tried": self.report["tried"],
            "original": self.report["original"],
            "memory_mb": self.report["memory_mb"],
            "targets": self.report["targets"],
        }


def compress(
    bundle: Bundle,
    steps: Sequence[Step],
    out: Path | str,
    *,
    data: str | None = None,
    unlabelled: str | None = None,
    columns: Mapping[str, str] | None = None,
    max_loss: float = MAX_LOSS,
    progress: Progress | None = None,
) -> Compressed:
    """Apply the steps in order and write the bundle `out`, of those that keep within the budget.

    A step is a pass, or several that are judged together, as one that prunes and `distill` that makes up for it. data: labelled rows to measure on; None: the validation rows of the run that holds the bundle.
    unlabelled: further rows that passes learn from, as the original answers them. max_loss: of the deciding metric; the whole interval of the loss has to lie below it.
    Raises UsageError for passes that cannot serve this bundle, DataError without rows, Refused where no pass is left.
    """
    parts = [one if isinstance(one, tuple) else (one,) for one in steps]
    if not parts:
        raise UsageError(
            f"Name passes with --passes, or what they shall reach with --target. Known: {listing(catalog.names('passes'))}."
        )
    _check(bundle, [one for part in parts for one in part])
    with _bench(bundle, out, data, unlabelled, columns, max_loss, progress) as bench:
        made = bench.start.made
        for one in (one for part in parts for one in part):
            bench.check(one, made)  # before any of them has taken its time
            made = replace(made, backbone=catalog.name_of(one)) if one.rereads else made
        chain = Chain(bench)
        for part in parts:
            chain.add(part)
        if chain.state.bundle is None:
            raise Refused(_nothing_left(chain.tried, max_loss))
        return _written(bench, chain.tried, chain.state, Path(out))


def reach(
    bundle: Bundle,
    target: str,
    out: Path | str,
    *,
    steps: Sequence[Step] = (),
    trials: int = TRIALS,
    data: str | None = None,
    unlabelled: str | None = None,
    columns: Mapping[str, str] | None = None,
    max_loss: float = MAX_LOSS_SEARCHED,
    progress: Progress | None = None,
) -> Compressed:
    """Look for the steps that reach `target` ("p95<5ms,size<20MB") at the least loss, and write the bundle `out`.

    steps: those that may be tried; (): every pass that serves, in the settings it names, with one that mends behind those
    that cost something. trials: how many at most. The others: as for `compress`.
    Raises UsageError for a target that is none, Refused that says how near it came where nothing reaches it.
    """
    targets = target_of.parse(target)
    given = [one if isinstance(one, tuple) else (one,) for one in steps]
    _check(bundle, [one for part in given for one in part])
    with _bench(bundle, out, data, unlabelled, columns, max_loss, progress) as bench:
        for one in (one for part in given for one in part):
            bench.check(one, bench.start.made)
        among = given or [part for part in steps_worth_trying(bench.start.made) if _serves(bundle, part)]
        hunt = Hunt(bench, among, targets, trials)
        found = hunt.run()
        if found is None:
            raise Refused(_not_reached(hunt, target, max_loss))
        return _written(bench, hunt.tried, found, Path(out), targets)


@contextmanager
def _bench(
    bundle: Bundle,
    out: Path | str,
    data: str | None,
    unlabelled: str | None,
    columns: Mapping[str, str] | None,
    max_loss: float,
    progress: Progress | None,
    **answering: Any,
) -> Iterator[Bench]:
    """The bundle opened, with rows, for what will be written to `out`."""
    from tunewright.core.memory import kept_blocks
    from tunewright.training.precision import choose_threads, threads

    progress = progress or Silent()
    if Path(out).exists():
        raise UsageError(f"{out} exists already. Choose another --out.")
    with (
        rows_of(bundle, data, unlabelled, columns, progress) as rows,
        tempfile.TemporaryDirectory(prefix="tunewright-") as scratch,
        threads(choose_threads(bundle.recipe.train.threads)),
        kept_blocks(),
    ):
        yield Bench(bundle, rows, Path(scratch), max_loss, progress, **answering)


def export(
    bundle: Bundle,
    form: str,
    out: Path | str,
    *,
    data: str | None = None,
    columns: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Compressed:
    """Write the bundle `out` that answers in full precision from another form of the network, as "onnx".

    It has to give the answers of the evaluated one: no flipped row, and logits within certificate.SAME.
    Raises UsageError for an unknown form, Refused where it answers otherwise; else as `compress`.
    """
    known = forms()
    if form not in known:
        raise UsageError(f"There is no format {form!r}.{nearest(form, known)} Known: {listing(known)}.")
    _check_single(bundle)
    answering = {"against": EXACT, "answered_by": known[form]}
    with _bench(bundle, out, data, None, columns, 0.0, progress, **answering) as bench:
        chain = Chain(bench)
        chain.add((), form)
        if chain.state.bundle is None:
            raise Refused(
                f"As {form} it does not answer as it was evaluated, so nothing was written: {chain.tried[0].why}."
            )
        return _written(bench, chain.tried, chain.state, Path(out))


def _written(
    bench: Bench, tried: Sequence[Tried], kept: State, out: Path, targets: Sequence[Target] = ()
) -> Compressed:
    """The bundle that was kept, at its place, whole or not at all."""
    content = {**report(bench, tried, kept), "targets": [one.to_dict(kept.path[-1].costs) for one in targets]}
    with writing_folder(out) as target:
        write(bench, kept, target, content)
    open_bundle(out)
    return Compressed(out, tried, kept.path[-1], content)


def parse(passes: str, changes: Sequence[str] = ()) -> list[tuple[CompressionPass, ...]]:
    """The steps in "a+b,c", with changes of the form "pass.setting=value"; "" has none.

    Raises UsageError where a name is missing, and what `recipe_file.chain` raises for names and settings.
    """
    if not passes:
        return []
    steps = [[name.strip().replace("-", "_") for name in step.split("+")] for step in passes.split(",")]
    names = [name for step in steps for name in step]
    if not all(names):
        raise UsageError(
            f"--passes {passes!r:.80}: a name is missing. Write them as a,b+c; `tunewright list passes` has them."
        )
    chosen = iter(recipe_file.chain("passes", names, changes, "--passes"))
    return [tuple(next(chosen) for _ in step) for step in steps]  # type: ignore[misc]


def beside(bundle: Bundle, end: str) -> Path:
    """Where a new bundle goes unless said otherwise: beside the run, or the bundle that lies in none."""
    folder = bundle.folder.absolute()
    folder = folder.parent if folder.name == "bundle" else folder
    return folder.with_name(f"{folder.name}-{end}")


def forms() -> dict[str, Runtime]:
    """What a bundle can be exported as → the runtime that answers from it, in full precision."""
    found = {catalog.name_of(one): one for one in runtimes.everyone() if one.exact}
    written = {name: one for name, one in found.items() if type(one).prepare is not Runtime.prepare}
    return {**written, "safetensors": found[EXACT]}


# ------------------------------------------------------------------------------------------------- what can be asked


def _check(bundle: Bundle, passes: Sequence[CompressionPass]) -> None:
    """Raise UsageError or BundleError where the bundle's kind, or a pass on it, is impossible; computes nothing."""
    if not passes or not passes[0].replaces:
        _check_single(bundle)
    for place, one in enumerate(passes):
        _check_one(bundle, one)
        if one.changes_network and (before := next((first for first in passes[:place] if first.final), None)):
            raise UsageError(
                f"{catalog.name_of(one)} would change what {catalog.name_of(before)} rounded. Name it before that."
            )


def _serves(bundle: Bundle, passes: Sequence[CompressionPass]) -> bool:
    """Whether the bundle's kind allows all of them."""
    try:
        for one in passes:
            _check_one(bundle, one)
    except (UsageError, BundleError):
        return False
    return True


def _check_one(bundle: Bundle, one: CompressionPass) -> None:
    task, name = catalog.name_of(bundle.task), catalog.name_of(one)
    inserted = read_json(bundle.model_folder / "config.json")["tunewright"].get("method")
    if inserted is not None and one.changes_network:
        raise BundleError(
            f"{name} changes a network that is plain, and in this one the method {inserted['name']} stays inserted. Leave "
            "out the pass, or train with a method that merges, as lora."
        )
    if bundle.task.retrieves and one.changes_network and not one.exact:
        raise UsageError(
            f"{name} cannot serve {task}: its documents are indexed by the features of the network as it is, and would "
            f"have to be indexed anew. Passes that change no feature can: {listing(_changing_no_feature())}."
        )


def _check_single(bundle: Bundle) -> None:
    """Raise BundleError where several models vote."""
    if len(members.folders(bundle.folder)) > 1:
        raise BundleError(
            f"{bundle.folder} holds several models that vote; a pass changes one. Begin with a pass that teaches a network of "
            f"its own what they say ({listing(_replacing())}), or train with train.ensemble: null, or with kind: soup."
        )


def _replacing() -> list[str]:
    return [name for name in catalog.names("passes") if catalog.find("passes", name).replaces]  # type: ignore[attr-defined]


def _changing_no_feature() -> list[str]:
    kinds = {name: catalog.find("passes", name) for name in catalog.names("passes")}
    return [name for name, cls in kinds.items() if cls.exact or not cls.changes_network]  # type: ignore[attr-defined]


def _nothing_left(tried: Sequence[Tried], max_loss: float) -> str:
    told = ". ".join(f"{one.name}: {one.why}" for one in tried)
    return (
        f"No pass keeps within the budget of {max_loss:g}, so nothing was written. {told}. Allow more with --max-loss, take less "
        "away with --set PASS.SETTING=VALUE, join what prunes with distill by +, or measure on more rows, which narrows the interval."
    )


def _not_reached(hunt: Hunt, target: str, max_loss: float) -> str:
    near = hunt.nearest
    told = "No step keeps within it" if near is None else (
        f"The nearest, {near.whole} ({near.compared.metric} {near.compared.value:.4f}), came to "
        + "; ".join(one.told(near.costs) for one in hunt.targets)
    )  # fmt: skip
    return (
        f"Of {len(hunt.tried)} trials none reaches {target} within the budget of {max_loss:g}, so nothing was written. {told}. "
        "Allow more loss with --max-loss or more trials with --trials, name stronger steps with --passes and --set, or ask for less."
    )
