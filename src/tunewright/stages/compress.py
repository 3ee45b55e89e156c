"""Make a bundle smaller and faster, one pass after the other; each is measured, and undone where it costs too much."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewright.core import catalog
from tunewright.core.bundle import Bundle, open_bundle
from tunewright.core.contracts import CompressionPass, Runtime
from tunewright.core.errors import BundleError, DataError, Refused, UsageError, listing, nearest
from tunewright.core.files import read_json, writing_folder
from tunewright.core.progress import Progress, Silent
from tunewright.data.dataset import DESCRIPTION, Dataset
from tunewright.models import members
from tunewright.predict.predictor import EXACT
from tunewright.stages import runtimes
from tunewright.stages.bench import Bench
from tunewright.stages.chain import Chain, report, write
from tunewright.stages.evaluate import labelled, sealed_uses
from tunewright.stages.evidence import some
from tunewright.stages.step import Rows, State, Tried

MOST_ROWS = 50_000  # training rows that passes learn from; they are in memory
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
            "verdict": "passed" if all(one.kept for one in self.tried) else "partly",
            "tried": self.report["tried"],
            "original": self.report["original"],
            "memory_mb": self.report["memory_mb"],
        }


def compress(
    bundle: Bundle,
    steps: Sequence[Step],
    out: Path | str,
    *,
    data: str | None = None,
    columns: Mapping[str, str] | None = None,
    max_loss: float = 0.005,
    progress: Progress | None = None,
) -> Compressed:
    """Apply the steps in order and write the bundle `out`, of those that keep within the budget.

    A step is a pass, or several that are judged together, as one that prunes and `distill` that makes up for it. data: labelled rows to measure on; None: the validation rows of the run that holds the bundle. max_loss: of the deciding
    metric; the whole interval of the loss has to lie below it.
    Raises UsageError for passes that cannot serve this bundle, DataError without rows, Refused where no pass is left.
    """
    progress, out = progress or Silent(), Path(out)
    if out.exists():
        raise UsageError(f"{out} exists already. Choose another --out.")
    parts = [one if isinstance(one, tuple) else (one,) for one in steps]
    _check(bundle, [one for part in parts for one in part])
    with _rows(bundle, data, columns, progress) as rows, tempfile.TemporaryDirectory(prefix="tunewright-") as scratch:
        from tunewright.core.memory import kept_blocks
        from tunewright.training.precision import choose_threads, threads

        with threads(choose_threads(bundle.recipe.train.threads)), kept_blocks():
            bench = Bench(bundle, rows, Path(scratch), max_loss, progress)
            for one in (one for part in parts for one in part):
                bench.check(one, bench.start.made)  # before any of them has taken its time
            chain = Chain(bench)
            for part in parts:
                chain.add(part)
            if chain.state.bundle is None:
                raise Refused(_nothing_left(chain.tried, max_loss))
            return _written(bench, chain.tried, chain.state, out)


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
    progress, out, known = progress or Silent(), Path(out), forms()
    if form not in known:
        raise UsageError(f"There is no format {form!r}.{nearest(form, known)} Known: {listing(known)}.")
    if out.exists():
        raise UsageError(f"{out} exists already. Choose another --out.")
    _check_single(bundle)
    with _rows(bundle, data, columns, progress) as rows, tempfile.TemporaryDirectory(prefix="tunewright-") as scratch:
        bench = Bench(bundle, rows, Path(scratch), 0.0, progress, against=EXACT, answered_by=known[form])
        chain = Chain(bench)
        chain.add((), form)
        if chain.state.bundle is None:
            raise Refused(
                f"As {form} it does not answer as it was evaluated, so nothing was written: {chain.tried[0].why}."
            )
        return _written(bench, chain.tried, chain.state, out)


def _written(bench: Bench, tried: Sequence[Tried], kept: State, out: Path) -> Compressed:
    """The bundle that was kept, at its place, whole or not at all."""
    content = report(bench, tried, kept)
    with writing_folder(out) as target:
        write(bench, kept, target, content)
    open_bundle(out)
    return Compressed(out, tried, kept.tried, content)  # type: ignore[arg-type]


def forms() -> dict[str, Runtime]:
    """What a bundle can be exported as → the runtime that answers from it, in full precision."""
    found = {catalog.name_of(one): one for one in runtimes.everyone() if one.exact}
    return {**{name: one for name, one in found.items() if name != EXACT}, "safetensors": found[EXACT]}


# ------------------------------------------------------------------------------------------------- what can be asked


def _check(bundle: Bundle, passes: Sequence[CompressionPass]) -> None:
    """Raise UsageError or BundleError where the bundle's kind, or a pass on it, is impossible; computes nothing."""
    if not passes:
        raise UsageError(f"Name passes with --passes. Known: {listing(catalog.names('passes'))}.")
    _check_single(bundle)
    task = catalog.name_of(bundle.task)
    inserted = read_json(bundle.model_folder / "config.json")["tunewright"].get("method")
    for one in passes:
        name = catalog.name_of(one)
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
            f"{bundle.folder} holds several models that vote; a pass changes one. Train with train.ensemble: null, or "
            "with kind: soup, which gives one model."
        )


def _changing_no_feature() -> list[str]:
    kinds = {name: catalog.find("passes", name) for name in catalog.names("passes")}
    return [name for name, cls in kinds.items() if cls.exact or not cls.changes_network]  # type: ignore[attr-defined]


@contextmanager
def _rows(bundle: Bundle, data: str | None, columns: Mapping[str, str] | None, progress: Progress) -> Iterator[Rows]:
    """Rows to learn from, and labelled rows to judge on: other ones."""
    run = bundle.folder.absolute().parent / "data"
    own = Dataset.open(run, bundle.task) if (run / DESCRIPTION).is_file() else None
    train = some(own.splits["train"].examples(), MOST_ROWS) if own else []
    if data is None:
        if own is None:
            raise DataError(
                f"{bundle.folder} lies in no run with its rows. Name labelled rows to measure on: tunewright compress BUNDLE DATA."
            )
        rows = [row for row in own.splits["validation"] if row.label is not None]
        yield Rows(train, rows, {"source": "validation", "rows": len(rows), "learned_from": len(train)})
        return
    trained = bundle.recipe.data.columns
    with labelled(data, bundle.task, bundle.labels, columns=columns, trained=trained, progress=progress) as dataset:
        split = dataset.splits["test"]
        rows = [row for row in split if row.label is not None]
        if (uses := sealed_uses(bundle, split.fingerprint)) is not None:
            progress.say(
                f"These rows are the sealed test split of a run, used {uses} times by now. Rather name others."
            )
        if not train:
            train, rows = rows[::2], rows[1::2]
            progress.say(
                "The run's training rows are not there: passes learn from every other row of DATA, the rest judges."
            )
        yield Rows(train, rows, {"source": data, "rows": len(rows), "learned_from": len(train)})


def _nothing_left(tried: Sequence[Tried], max_loss: float) -> str:
    told = ". ".join(f"{one.name}: {one.why}" for one in tried)
    return (
        f"No pass keeps within the budget of {max_loss:g}, so nothing was written. {told}. Allow more with --max-loss, take less "
        "away with --set PASS.SETTING=VALUE, join what prunes with distill by +, or measure on more rows, which narrows the interval."
    )
