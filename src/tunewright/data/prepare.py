"""From a recipe's sources to a Dataset on disk: read, guess, account for, split, keep leakage out."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tunewright.core import catalog, files
from tunewright.core.contracts import Reader, Task
from tunewright.core.errors import DataError, RecipeError, listing, plural
from tunewright.core.progress import Progress, Silent
from tunewright.core.recipe import Data, Recipe, Split
from tunewright.core.recipe_file import parts
from tunewright.core.types import Note
from tunewright.data import sources, split, table
from tunewright.data.dataset import DESCRIPTION, LEDGER, UNLABELLED, Dataset
from tunewright.data.documents import gather_documents
from tunewright.data.gather import Gathered, Wanted, gather, refuse_unknown, sample_rows
from tunewright.data.guess import guess_columns, require_beside, require_column
from tunewright.data.language import language
from tunewright.data.ledger import Ledger
from tunewright.data.merge import merge

SPLITS = ("train", "validation", "test")
FILES = (*SPLITS, UNLABELLED)  # what is written, and what a source may be
SPLITS_ZH = {"train": "训练集", "validation": "验证集", "test": "测试集", UNLABELLED: "未标注数据"}
REPEATED = "the same text stands in a training row, or in an earlier row without a label", "repeated"
_FORM = 2  # of the prepared folder; raise it when what is written changes
_DROPPED, _LEAKED, _REPEATED, _UNJUDGED = 255, 254, 253, 252  # beside the indices into FILES


def prepare(recipe: Recipe, folder: Path | str, progress: Progress | None = None, *, with_test: bool = True) -> Dataset:
    """Return the recipe's data as a Dataset in `folder`; the same recipe, sources and seed give the same rows.

    with_test: whether a test split is cut when none is given; without, all rows are for training and validation.
    A finished folder is opened again when the sources' bytes and all that decides about the data are unchanged.
    Raises DataError, LabelError or MachineError with what to do; then nothing is left half-written.
    """
    folder = Path(folder)
    if recipe.tasks:
        return _prepare_tasks(recipe, folder, progress, with_test=with_test)
    work = _Work(recipe.task, recipe.data, recipe.seed, progress or Silent(), with_test=with_test)
    work.open_sources()
    stamp = work.stamp()
    if (folder / DESCRIPTION).exists() and _stamp_of(folder) == stamp:
        return Dataset.open(folder, recipe.task)
    with files.writing_folder(folder) as temporary:
        work.run(temporary, stamp)
    return Dataset.open(folder, recipe.task)


def _prepare_tasks(recipe: Recipe, folder: Path, progress: Progress | None, *, with_test: bool) -> Dataset:
    """Each task's data by itself, in folders beside `folder`, and all of them merged there."""
    found = {}
    for part in parts(recipe):
        own = dataclasses.replace(recipe, task=part.task, data=part.data, tasks=())
        found[part.name] = prepare(own, folder.with_name(f"{folder.name}.{part.name}"), progress, with_test=with_test)
    stamps = {name: _stamp_of(dataset.folder) for name, dataset in found.items()}
    stamp = hashlib.sha256(json.dumps([_FORM, stamps]).encode()).hexdigest()
    if not (folder / DESCRIPTION).exists() or _stamp_of(folder) != stamp:
        with files.writing_folder(folder) as temporary:
            merge(found, recipe.task, temporary, stamp)
    return Dataset.open(folder, recipe.task)


def prepare_source(
    source: str | Path,
    task: Task,
    folder: Path | str,
    *,
    labels: tuple[str, ...] = (),
    columns: Mapping[str, str] | None = None,
    reader: Reader | str = "auto",
    name: str = "test",
    progress: Progress | None = None,
) -> Dataset:
    """Return one labelled source as a Dataset with the single split `name` (one of SPLITS), to judge a finished model.

    labels: those the model knows; any other raises LabelError. Nothing is cut, and no row is dropped for leakage.
    """
    data = Data(train=str(source), columns=dict(columns or {}), labels=tuple(labels), reader=reader)
    work = _Work(task, data, 0, progress or Silent(), only=name)
    work.open_sources()
    with files.writing_folder(folder) as temporary:
        work.run(temporary, work.stamp())
    return Dataset.open(folder, task)


def cut_by(cut: Split, task: Task) -> str:
    """How rows are cut: at random where a row has no one label to keep the share of."""
    return "random" if cut.by == "stratified" and not task.scored else cut.by


@dataclass
class _Work:
    """One preparation, step by step."""

    task: Task
    data: Data
    seed: int
    progress: Progress
    only: str = ""  # the single split's name, when one source is prepared alone
    with_test: bool = True  # whether a test split is cut when none is given
    sources: dict[str, str] = field(default_factory=dict)
    readers: dict[str, Reader] = field(default_factory=dict)
    described: dict[str, Any] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)

    def open_sources(self) -> None:
        """Find every source's reader; splits that stand inside the training source are used when none are named."""
        given = {"train": self.data.train, "validation": self.data.validation, "test": self.data.test}
        if self.data.unlabelled:
            given[UNLABELLED] = self.data.unlabelled
        if self.only:
            given = {self.only: self.data.train}
        first = next(iter(given))
        for name, source in given.items():
            source = source or self.described[first].get("splits", {}).get(name)
            if source:
                self.readers[name], facts = sources.open_source(source, self.data.reader)
                self.sources[name], self.described[name] = source, facts
                if source != given[name]:
                    self.notes.append(_beside(name, self._shown(name)))
        for name, facts in self.described.items():
            self.notes.append(sources.told(self._shown(name), facts))

    def stamp(self) -> str:
        """SHA-256 of everything that decides about the prepared rows."""
        decides = {
            "form": _FORM,
            "task": [type(self.task).__name__, dataclasses.asdict(self.task)],
            "columns": self.data.columns, "labels": self.data.labels, "split": dataclasses.asdict(self.data.split),
            "leakage": self.data.leakage, "limit": self.data.limit, "seed": self.seed, "only": self.only,
            "with_test": self.with_test,
            "readers": {name: catalog.describe(reader) for name, reader in self.readers.items()},
            "sources": {name: [source, _content(source)] for name, source in self.sources.items()},
            "further": self.task.further and _content(self.task.further),
        }  # fmt: skip
        return hashlib.sha256(json.dumps(decides, sort_keys=True, default=str).encode()).hexdigest()

    def run(self, folder: Path, stamp: str) -> None:
        """Write the prepared folder: one Arrow file a split, the ledger and the description."""
        raw = folder / "raw"
        ledger = Ledger(folder / LEDGER)
        wanted = self._wanted()
        gathered = {name: self._gather(name, wanted, raw / name, ledger) for name in self.sources}
        sides = self._sides(gathered, ledger)
        labels = self._labels(gathered, sides)
        self._keep_out_leakage(gathered, sides)
        self._keep_out_known(gathered, sides)
        self._refuse_hopeless(gathered, sides, labels)
        written = _write(folder, gathered, sides, wanted, ledger)
        shutil.rmtree(raw)
        self._finish(folder, stamp, wanted, labels, written, _label_counts(gathered, sides), ledger)

    def _wanted(self) -> Wanted:
        first = next(iter(self.sources))
        sample = sample_rows(self.sources[first], self.readers[first])
        columns = guess_columns(sample, self.task, self.data.columns, source=self.sources[first])
        lacking = [role for role in self.task.targets if role not in columns.of]
        if lacking and not self.only:
            raise DataError(
                f"{self.sources[first]} has no column {lacking[0]!r}, which holds the labels of that task. Name it under "
                f"data.columns, as {{{lacking[0]}: NAME}}; where each task has files of its own, name them under tasks."
            )
        if both := sorted({*self.task.beside.columns} & {*columns.of.values()}):
            raise RecipeError(f"task: column {both[0]!r} is the text or the label already, and cannot stand beside it.")
        shown = self._shown(first)
        self.notes += [Note(f"{shown}: {why}.", f"{shown}：{why.zh}。") for why in columns.reasons]
        mark, by = self.data.split.column, self.data.split.by
        if self._to_cut() and by in ("grouped", "time"):
            if mark is None:
                raise RecipeError(f"data.split.by is {by}, and data.split.column does not say which column to use.")
            names = list(dict.fromkeys(name for row in sample for name in row))
            require_column(mark, names, self.sources[first], "data.split.column")
            return Wanted(self.task, columns.of, mark, by_time=by == "time")
        return Wanted(self.task, columns.of)

    def _to_cut(self) -> list[str]:
        wanted = SPLITS if self.with_test else SPLITS[:2]
        return [] if self.only else [name for name in wanted if name not in self.sources]

    def _gather(self, name: str, wanted: Wanted, folder: Path, ledger: Ledger) -> Gathered:
        source, reader = self.sources[name], self.readers[name]
        sample = sample_rows(source, reader)
        labelled = name != UNLABELLED
        guess_columns(sample, self.task, wanted.roles, source=source, with_target=labelled)
        require_beside(self.task, list(dict.fromkeys(column for row in sample for column in row)), source)
        if name != "train":
            wanted = Wanted(wanted.task, wanted.roles, labelled=labelled)
        found = Gathered(source, name, self._shown(name))
        with self.progress.task(f"Reading {found.shown}", total=_expected(source, sample)) as step:
            return gather(found, reader, wanted, folder, ledger, step)

    def _shown(self, name: str) -> str:
        """A source's short name in row ids; its path where two sources end alike."""
        short = Path(self.sources[name]).name
        alike = [source for source in self.sources.values() if Path(source).name == short]
        return self.sources[name] if len(alike) > 1 else short

    def _labels(self, gathered: dict[str, Gathered], sides: dict[str, np.ndarray]) -> tuple[str, ...]:
        """The labels in the order of the model's outputs; refuses those that are not among them."""
        if not self.task.classes:
            return ()
        if self.task.retrieves and not self.data.labels:
            of_rows = (name for key, part in gathered.items() for name in part.counts(sides[key] != _DROPPED))
            return gather_documents(self.task, of_rows, self.notes)
        if self.data.labels:
            for part in gathered.values():
                if self.only:
                    advice = "Mend or leave out these rows, or train again with rows of that label."
                    refuse_unknown(part, self.data.labels, "that the model does not know", advice)
                else:
                    refuse_unknown(part, self.data.labels, "that data.labels does not list")
            return tuple(dict.fromkeys(self.data.labels))
        first, *others = gathered.values()
        labels = self._ordered(first.counts())
        for part in others:
            refuse_unknown(part, labels, "that no training row has")
        return labels

    def _ordered(self, names: Iterable[str]) -> tuple[str, ...]:
        if not self.task.ordinal:
            return tuple(sorted(names))
        try:
            return tuple(sorted(names, key=float))
        except ValueError:
            raise RecipeError(
                f"task.ordinal is on, and the labels {listing(sorted(names))} are no numbers: say their order, the least "
                "first, as data.labels: [bad, fair, good]."
            ) from None

    def _sides(self, gathered: dict[str, Gathered], ledger: Ledger) -> dict[str, np.ndarray]:
        """Source → (rows,) index into FILES, or _DROPPED, after the limit and the cut."""
        sides = {}
        for name, part in gathered.items():
            kept = self._limited(part, ledger)
            sides[name] = np.where(kept, FILES.index(name), _DROPPED).astype(np.uint8)
            if name != "train":
                sides[name][kept & part.rejected] = _UNJUDGED
        if self._to_cut():
            rows = np.flatnonzero(sides["train"] != _DROPPED)
            cut = self._cut(gathered["train"], rows)
            cut.sides[gathered["train"].rejected[rows]] = 0  # nothing is judged on these
            sides["train"][rows] = cut.sides
            self.notes += cut.notes
            for name in self._to_cut():
                moved = int((cut.sides == SPLITS.index(name)).sum())
                ledger.move("train", name, moved)
                how = self._how()
                self.notes.append(
                    Note(
                        f"{name}: {plural(moved, 'row')} cut from the training rows, {how}.",
                        f"{SPLITS_ZH[name]}：从训练数据中切出 {moved} 条，{how.zh}。",
                    )
                )
        return sides

    def _how(self) -> Note:
        by, column = cut_by(self.data.split, self.task), self.data.split.column
        told = {
            "stratified": Note("each label in its share", "各标签按比例"),
            "random": Note("at random", "随机抽取"),
            "grouped": Note(f"whole groups by {column!r}", f"按 {column!r} 列整组划分"),
        }
        return told.get(by, Note(f"the latest by {column!r}", f"取 {column!r} 列中最新的"))

    def _limited(self, part: Gathered, ledger: Ledger) -> np.ndarray:
        """Mask of the rows that stay under data.limit: chosen by the seed, so sorted files keep all their labels."""
        kept = np.ones(len(part), dtype=bool)
        limit = self.data.limit
        if limit is not None and len(part) > limit:
            chosen = np.random.default_rng([self.seed, len(part)]).permutation(len(part))[limit:]
            kept[chosen] = False
            reason = f"beyond data.limit of {limit} rows, which were chosen at random"
            ledger.drop(part.name, part.shown, 0, reason, "limit", count=len(chosen))
            self.notes.append(
                Note(
                    f"{part.shown}: {limit} of {len(part)} rows are used (data.limit).",
                    f"{part.shown}：使用 {len(part)} 条中的 {limit} 条（data.limit）。",
                )
            )
        return kept

    def _cut(self, part: Gathered, rows: np.ndarray) -> split.Cut:
        cut, shares = self.data.split, {}
        for name in ("validation", "test"):
            shares[f"{name}_share"] = getattr(cut, f"{name}_share") if name in self._to_cut() else 0.0
        if sum(shares.values()) >= 1:
            raise RecipeError(
                "data.split: validation_share and test_share leave nothing to train on. Make them smaller."
            )
        if cut.by == "grouped":
            return split.grouped([part.marks[row] for row in rows], **shares, seed=self.seed)
        if cut.by == "time":
            return split.by_time(part.marks[rows], **shares)
        if cut_by(self.data.split, self.task) == "stratified":
            return split.stratified(part.codes[rows], **shares, seed=self.seed)
        return split.random(len(rows), **shares, seed=self.seed)

    def _keep_out_leakage(self, gathered: dict[str, Gathered], sides: dict[str, np.ndarray]) -> None:
        """Mark training rows whose normalised text also stands in validation or test; _write drops them."""
        if self.only:
            return
        judged = [part.keys[(sides[name] == 1) | (sides[name] == 2)] for name, part in gathered.items()]
        train = sides["train"] == 0
        leaked = train & np.isin(gathered["train"].keys, np.concatenate(judged))
        count = int(leaked.sum())
        if not count:
            return
        if self.data.leakage == "keep":
            return
        if count == int(train.sum()):
            raise DataError(
                "Every training row's text also stands in validation or test: nothing would be left to train on. "
                "Give other rows for training, or set data.leakage: keep to go on knowingly."
            )
        sides["train"][leaked] = _LEAKED

    def _keep_out_known(self, gathered: dict[str, Gathered], sides: dict[str, np.ndarray]) -> None:
        """Mark rows without labels whose text also stands elsewhere; _write drops them."""
        if UNLABELLED not in gathered:
            return
        keys, side = gathered[UNLABELLED].keys, sides[UNLABELLED]
        others = {name: part.keys for name, part in gathered.items() if name != UNLABELLED}
        free = np.flatnonzero(side != _DROPPED)
        firsts = np.zeros(len(keys), dtype=bool)
        firsts[free[np.unique(keys[free], return_index=True)[1]]] = True
        known = np.isin(keys, np.concatenate([own[sides[name] == 0] for name, own in others.items()]))
        judged = np.concatenate([own[(sides[name] == 1) | (sides[name] == 2)] for name, own in others.items()])
        side[(side != _DROPPED) & (known | ~firsts)] = _REPEATED
        side[(side != _DROPPED) & np.isin(keys, judged)] = _LEAKED
        left = int((side == FILES.index(UNLABELLED)).sum())
        if not left:
            raise DataError(
                f"{self.sources[UNLABELLED]}: nothing is left of the {plural(len(keys), 'row')} of data.unlabelled, since each "
                "text also stands in training, validation or test. Give other rows, or leave data.unlabelled out."
            )
        self.notes.append(
            Note(
                f"{gathered[UNLABELLED].shown}: {left} of {plural(len(keys), 'row')} without labels are used.",
                f"{gathered[UNLABELLED].shown}：使用 {len(keys)} 条未标注数据中的 {left} 条。",
            )
        )

    def _refuse_hopeless(
        self, gathered: dict[str, Gathered], sides: dict[str, np.ndarray], labels: tuple[str, ...]
    ) -> None:
        if self.only or not self.task.classes:
            return
        source = self.sources["train"]
        if not self.task.retrieves:
            self._refuse_hopeless_labels(source, gathered, sides, labels)
        for index, name in enumerate(SPLITS):
            wanted = name in self.sources or name in self._to_cut()
            if index and wanted and not sum(int((side == index).sum()) for side in sides.values()):
                raise DataError(
                    f"{source} has too few rows ({len(gathered['train'])}) to cut a {name} split from. Give more rows, "
                    f"a {name} file (data.{name}), or a larger data.split.{name}_share."
                )

    def _refuse_hopeless_labels(
        self, source: str, gathered: dict[str, Gathered], sides: dict[str, np.ndarray], labels: tuple[str, ...]
    ) -> None:
        counts = gathered["train"].counts()
        if len(self.task.outputs(labels)) < 2:
            only = f" ({labels[0]!r})" if labels else ""
            raise DataError(
                f"{source} has one label only{only}: there is nothing to tell apart. "
                "Add rows of another label, or name another label column under data.columns."
            )
        if max(counts.values(), default=0) < 2:
            raise DataError(
                f"{source} has one row per label ({len(labels)} labels): nothing can be learned from that, and nothing "
                "tested. Give at least a few rows per label, or name another label column under data.columns."
            )
        left = gathered["train"].counts(sides["train"] == 0)
        gone = [label for label in labels if label not in left]
        if gone:
            self.notes.append(
                Note(
                    f"{plural(len(gone), 'label')} without a training row left: {listing(gone, 5)}.",
                    f"有 {len(gone)} 个标签已没有训练数据：{listing(gone, 5)}。",
                )
            )

    def _finish(
        self, folder: Path, stamp: str, wanted: Wanted, labels: tuple[str, ...], written: Mapping[str, Any],
        counts: dict[str, dict[str, int]], ledger: Ledger,
    ) -> None:  # fmt: skip
        ledger.close()
        if ledger.balance():
            raise DataError(
                f"The ledger does not balance: {'; '.join(ledger.balance())}. This is a defect: please report it."
            )
        facts = {
            "stamp": stamp, "task": catalog.describe(self.task), "roles": wanted.roles, "labels": labels,
            "nested": written["nested"], "splits": written["fingerprints"], "ledger": ledger.summary(),
            "notes": [dataclasses.asdict(note) for note in self.notes], "language": "und",
            "described": {"sources": self.sources, "readers": self.described, "labels": {} if self.task.retrieves else counts},
        }  # fmt: skip
        opened = Dataset(folder, self.task, facts)
        first = next(iter(opened.splits.values()))
        spoken = language(_spread(first))
        facts["language"] = spoken.code
        facts["described"] |= {"languages": spoken.shares, "scripts": spoken.scripts}
        files.write_json(folder / DESCRIPTION, facts)


def _beside(name: str, source: str) -> Note:
    return Note(
        f"{name} rows are taken from {source}, which stands beside the training rows.",
        f"{SPLITS_ZH[name]}取自训练数据旁边的 {source}。",
    )


def _spread(part: Any, most: int = 1000) -> Iterator[str]:
    """Texts from all over a split: sorted files would show one kind of row at their beginning."""
    places = np.unique(np.linspace(0, len(part) - 1, min(most, len(part))).astype(np.int64))
    for example in part.take(places):
        yield " ".join(map(str, example.inputs.values()))


def _label_counts(gathered: dict[str, Gathered], sides: dict[str, np.ndarray]) -> dict[str, dict[str, int]]:
    """Split → label → rows, of what was written."""
    found: dict[str, dict[str, int]] = {}
    for name, part in gathered.items():
        for index, target in enumerate(SPLITS):
            rows = sides[name] == index
            if rows.any():
                for label, count in part.counts(rows).items():
                    found.setdefault(target, {})[label] = found.get(target, {}).get(label, 0) + count
    return {name: dict(sorted(counts.items())) for name, counts in found.items()}


def _write(
    folder: Path, gathered: dict[str, Gathered], sides: dict[str, np.ndarray], wanted: Wanted, ledger: Ledger
) -> dict[str, Any]:
    """Write every split's rows in their order, training rows that leak to the ledger. Returns nested, fingerprints."""
    kinds: dict[str, set[str]] = {}
    for part in gathered.values():
        for name, seen in part.kinds.items():
            kinds.setdefault(name, set()).update(seen)
    schema, nested = table.schema_of(kinds)
    hashed = [*wanted.roles.values(), *wanted.task.beside.columns]
    writers: dict[str, table.SplitWriter] = {}
    leaked: list[tuple[str, str, int, int]] = []
    for name, index, batch in _sorted_out(gathered, sides, schema):
        if index == _LEAKED:
            leaked.extend((name, *row) for row in _own(batch))
            continue
        if index == _UNJUDGED:
            _drop_unjudged(name, _own(batch), ledger)
            continue
        if index == _REPEATED:
            for file, line, _ in _own(batch):
                ledger.drop(name, file, line, *REPEATED)
            continue
        target = FILES[index]
        if target not in writers:
            writers[target] = table.SplitWriter(folder / f"{target}.arrow", schema, hashed)
        writers[target].write(batch)
        ledger.use(target, batch.num_rows)
    fingerprints = {name: writers[name].close() for name in FILES if name in writers}
    _drop_leaked(folder, leaked, ledger)
    return {"nested": nested, "fingerprints": fingerprints}


def _sorted_out(
    gathered: dict[str, Gathered], sides: dict[str, np.ndarray], schema: pa.Schema
) -> Iterator[tuple[str, int, pa.RecordBatch]]:
    """Give (source, index into FILES or what stands beside, rows that go there), batch by batch in the sources' order."""
    for name, part in gathered.items():
        at = 0
        for batch in table.batches(part.parts):
            side = sides[name][at : at + batch.num_rows]
            at += batch.num_rows
            fitted = table.fit(batch, schema)
            for index in np.unique(side):
                if index != _DROPPED:
                    yield name, int(index), fitted.filter(pa.array(side == index))


def _own(batch: pa.RecordBatch) -> list[tuple[str, int, int]]:
    """File, line and key of every row."""
    return list(zip(*(batch.column(name).to_pylist() for name in table.OWN), strict=True))


def _drop_leaked(folder: Path, leaked: list[tuple[str, str, int, int]], ledger: Ledger) -> None:
    """Account for rows left out, each with the row of validation or test that has the same text."""
    twins: dict[int, str] = {}
    wanted = pa.array(sorted({key for *_, key in leaked}), type=pa.uint64())
    for name in ("validation", "test") if leaked else ():
        for batch in table.batches([folder / f"{name}.arrow"]):
            same = batch.filter(pc.is_in(batch.column(table.KEY), value_set=wanted))
            for file, line, key in zip(*(same.column(own).to_pylist() for own in table.OWN), strict=True):
                twins.setdefault(key, f"{name}, {file}:{line}")
    for split_name, file, line, key in leaked:
        ledger.drop(split_name, file, line, f"the same text stands in {twins[key]}", "leakage")


def _drop_unjudged(split: str, rows: Iterable[tuple[str, int, int]], ledger: Ledger) -> None:
    """Account for rows of validation or test whose document is no answer."""
    for file, line, _ in rows:
        ledger.drop(split, file, line, "its document is no answer: it is searched, and nothing is judged", "no_match")


def _stamp_of(folder: Path) -> str:
    try:
        return files.read_json(folder / DESCRIPTION).get("stamp", "")
    except (ValueError, OSError):
        return ""


def _content(source: str) -> str:
    """SHA-256 of a file, or of all files in a folder with their names; the name itself for what is neither."""
    path = Path(source)
    if path.is_file():
        with sources.readable(source):
            return files.sha256(path)
    whole = hashlib.sha256(source.encode("utf-8", "surrogateescape"))
    with sources.readable(source):
        for file in sorted(path.rglob("*")) if path.is_dir() else []:
            if file.is_file():
                name = str(file.relative_to(path)).encode("utf-8", "surrogateescape")
                whole.update(name + files.sha256(file).encode())
    return whole.hexdigest()


def _expected(source: str, sample: list[dict[str, Any]]) -> int | None:
    """About how many rows a file holds, by the size of its first ones; None for what is no file."""
    if not os.path.isfile(source):
        return None
    size = sum(len(str(value).encode("utf-8", "replace")) + 1 for row in islice(sample, 200) for value in row.values())
    return max(1, int(os.path.getsize(source) / max(1.0, size / min(200, len(sample)))))
