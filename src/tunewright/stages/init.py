"""Look at data and write a complete recipe for it: what was seen decides what is written, and is said."""

from __future__ import annotations

import os
import re
import shlex
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from tunewright.core import catalog
from tunewright.core.contracts import Reader, Row, Task
from tunewright.core.errors import DataError, MachineError, UsageError, listing, plural
from tunewright.core.files import write_text
from tunewright.core.numeric import spread
from tunewright.core.progress import Progress, Silent
from tunewright.core.recipe import Recipe, Split, replace, to_mapping
from tunewright.core.recipe_file import changed, from_mapping, to_yaml
from tunewright.data import sources
from tunewright.data.checks import IMBALANCE
from tunewright.data.dataset import Dataset
from tunewright.data.gather import sample_rows
from tunewright.data.guess import NAMES as ROLES
from tunewright.data.guess import guess_columns, guess_task
from tunewright.data.language import NAMES
from tunewright.data.prepare import SPLITS, cut_by, prepare
from tunewright.models.locate import choose, locate
from tunewright.models.processor import Processor, token_limit

LARGE = 64 << 20  # bytes; of a longer file only the first rows are looked at
FIRST = 200_000  # rows, of a large file
TEXTS = 2000  # whose length is measured, from all over the training rows
SHOWN = 8  # labels that are named with their counts
EVEN = 1.05  # times the rows of the smallest label: a largest one below has about as many
LOST = {  # kinds of the ledger, in words
    "empty_text": "without text", "empty_label": "without label", "bad_label": "with a label that is none",
    "broken_row": "of another form than the rest", "garbled": "that do not decode", "limit": "beyond data.limit",
    "leakage": "whose text also stands in validation or test", "no_match": "whose document is no answer",
}  # fmt: skip
BESIDE = {"validation": ("validation", "valid", "val", "dev"), "test": ("test",)}  # usual names of such files


@dataclass(frozen=True)
class Seen:
    """What data looks like, and the recipe for it.

    recipe: complete, with absolute paths; reasons: recipe key → why it has its value; rows: split → rows; labels:
    label → rows, the most frequent first; columns: role → column; lengths: {"characters" | "tokens": {"median", "p95",
    "longest"}}; notes: what was seen, in sentences.
    """

    recipe: Recipe
    reasons: Mapping[str, str]
    rows: Mapping[str, int]
    labels: Mapping[str, int]
    columns: Mapping[str, str]
    language: str
    lengths: Mapping[str, Mapping[str, int]]
    notes: Sequence[str]


def look(
    train: str,
    *,
    validation: str | None = None,
    test: str | None = None,
    task: str | None = None,
    changes: Sequence[str] = (),
    progress: Progress | None = None,
) -> Seen:
    """Look at the sources as `train` would, and decide on a recipe.

    task: its name, where it is not to be guessed; changes: "key.path=value" that the recipe is to say.
    Raises the errors that training would raise: DataError, LabelError, RecipeError, ModelError.
    """
    progress = progress or Silent()
    reasons: dict[str, str] = {}
    try:
        recipe = _first_recipe({"train": train, "validation": validation, "test": test}, task, changes, reasons)
        with tempfile.TemporaryDirectory(prefix="tunewright-") as folder:
            dataset, bounded = _prepared(recipe, Path(folder), progress)
            recipe = _with_backbone(_with_columns(recipe, dataset, reasons), dataset, reasons)
            return _describe(recipe, reasons, dataset, bounded)
    except DataError as error:
        if not re.search(r"\bdata\.columns\b", str(error)):
            raise
        raise type(error)(f"{error} (`init` takes such keys as --set data.columns.label=NAME.)") from error


def write(seen: Seen, path: Path, *, force: bool = False) -> None:
    """Write the recipe to `path`, atomically, with what was seen at its head.

    Data in the recipe's folder or below is named relative to it, so that both can be moved together.
    """
    refuse_taken(path, force=force)
    folder = Path(os.path.abspath(path.parent))
    data = seen.recipe.data
    named = {f"data.{name}": _relative(getattr(data, name), folder) for name in SPLITS}
    head = [
        "A recipe for Tunewright, written by `tunewright init` after a look at the data:",
        *(f"  {note}" for note in seen.notes),
        "Every key has its default and the reason for it; change what you like.",
        f"Next: tunewright check {path.name}, then tunewright train {path.name}",
        "",
    ]
    write_text(path, to_yaml(replace(seen.recipe, **named), head, seen.reasons))


def refuse_taken(path: Path, *, force: bool = False) -> None:
    """Raise UsageError when `path` cannot be a new recipe's."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder. Name the recipe's file, as --out {path / 'recipe.yaml'}.")
    if path.exists() and not force:
        raise UsageError(f"{path} exists already and stays as it is. Choose another --out, or --force to replace it.")


# ------------------------------------------------------------------------------------------------ parts, in order


def _first_recipe(
    given: Mapping[str, str | None], task: str | None, changes: Sequence[str], reasons: dict[str, str]
) -> Recipe:
    """The recipe that names sources and task; everything else as by default, or as `changes` say."""
    recipe = changed(from_mapping({"task": task or "text_classification", "data": dict(given)}), changes)
    reader, described = sources.open_source(recipe.data.train, recipe.data.reader)
    found = {name: described.get("splits", {}).get(name) for name in SPLITS[1:]}
    beside = {f"data.{name}": source for name, source in found.items() if source and not getattr(recipe.data, name)}
    reasons.update(dict.fromkeys(beside, "stands beside the training rows"))
    recipe = replace(recipe, **beside)
    rows = sample_rows(recipe.data.train, reader)
    if task or any(change.partition("=")[0].strip() == "task" for change in changes):
        return _with_groups(recipe, rows, reasons)
    target = next((recipe.data.columns[role] for role in recipe.task.targets if role in recipe.data.columns), None)
    guessed = guess_task(rows, target, source=recipe.data.train)
    reasons["task"] = guessed.reason
    settings = {"name": guessed.name, **guessed.settings}
    return _with_groups(changed(from_mapping({**to_mapping(recipe), "task": settings}), changes), rows, reasons)


def _with_groups(recipe: Recipe, rows: Sequence[Mapping[str, Any]], reasons: dict[str, str]) -> Recipe:
    """The recipe that cuts no two rows apart which share the text that answers stand in, where rows do and cuts are open."""
    role, data = recipe.task.located, recipe.data
    if role is None or data.split != Split() or (data.validation and data.test):
        return recipe
    column = guess_columns(rows, recipe.task, data.columns, source=data.train).of[role]
    texts = [str(row.get(column)) for row in rows]
    if len(set(texts)) == len(texts):
        return recipe
    reasons["data.split.by"] = (
        f"rows that share their {column} stay on one side of a cut, or results would look too good"
    )
    return replace(recipe, **{"data.split.by": "grouped", "data.split.column": column})


def _prepared(recipe: Recipe, folder: Path, progress: Progress) -> tuple[Dataset, bool]:
    """The data as training would see it; of large files the first rows, unless these alone would be refused."""
    given = [getattr(recipe.data, name) for name in SPLITS]
    if any(source and os.path.isfile(source) and os.path.getsize(source) > LARGE for source in given):
        first = replace(recipe, **{"data.reader": _First(recipe.data.reader)})
        try:
            return prepare(first, folder / "first", progress), True
        except DataError:
            progress.say(f"The first {FIRST:,} rows do not show enough: reading all of them.")
    return prepare(recipe, folder / "all", progress), False


@dataclass(frozen=True)
class _First(Reader):
    """The first FIRST rows of what another reader reads."""

    inner: Reader | str

    def recognises(self, source: str) -> bool:
        """See Reader.recognises."""
        return sources.open_source(source, self.inner)[0].recognises(source)

    def read(self, source: str) -> Iterator[Row]:
        """See Reader.read."""
        return islice(sources.open_source(source, self.inner)[0].read(source), FIRST)

    def describe(self, source: str) -> dict[str, Any]:
        """See Reader.describe."""
        return sources.open_source(source, self.inner)[1]


def _with_columns(recipe: Recipe, dataset: Dataset, reasons: dict[str, str]) -> Recipe:
    if recipe.data.columns:
        return replace(recipe, **{"data.columns": dict(dataset.roles)})
    reader, _ = sources.open_source(recipe.data.train, recipe.data.reader)
    rows = sample_rows(recipe.data.train, reader)
    guessed = guess_columns(rows, recipe.task, source=recipe.data.train)
    reasons["data.columns"] = "; ".join(map(str, guessed.reasons)) or "the columns are named so"
    for target in recipe.task.targets:
        if guessed.of[target] != target and (others := _other_labels(rows, recipe.task, guessed.of, target)):
            named = listing(map(repr, others), 3)
            change = shlex.quote(f"data.columns.{target}={others[0]}")
            reasons["data.columns"] += f"; {named} would fit too: --set {change}"
    return replace(recipe, **{"data.columns": dict(guessed.of)})


def _other_labels(rows: Sequence[Mapping[str, Any]], task: Task, chosen: Mapping[str, str], target: str) -> list[str]:
    """Columns that would have been taken for `target` had the chosen ones before them not been there."""
    others = {role: column for role, column in chosen.items() if role != target}
    column, found = chosen[target], []
    while True:
        rows = [{name: value for name, value in row.items() if name != column} for row in rows]
        try:
            column = guess_columns(rows, task, others).of[target]
            row = next(row for row in rows if row.get(column))
            task.read({role: row.get(name) for role, name in {**others, target: column}.items()})
        except (DataError, StopIteration):  # no column is left, or none that holds this task's labels
            return found
        found.append(column)


def _with_backbone(recipe: Recipe, dataset: Dataset, reasons: dict[str, str]) -> Recipe:
    if recipe.model.backbone != "auto":
        return recipe
    name, why = choose(dataset.language)
    reasons["model.backbone"] = str(why)
    return replace(recipe, **{"model.backbone": name})


def _describe(recipe: Recipe, reasons: Mapping[str, str], dataset: Dataset, bounded: bool) -> Seen:
    labels: dict[str, int] = {} if dataset.task.retrieves else dict.fromkeys(dataset.labels, 0)
    for counts in dataset.described["labels"].values():
        for label, count in counts.items():
            labels[label] = labels.get(label, 0) + count
    labels = dict(sorted(labels.items(), key=lambda item: -item[1]))
    lengths = _lengths(recipe, dataset)
    notes = [
        *_about_sources(recipe, dataset, bounded),
        _about_task(recipe, reasons),
        _about_columns(recipe, dataset, reasons),
        *(_about_documents(dataset) if dataset.task.retrieves else _about_labels(dataset, labels)),
        _about_language(recipe, dataset, reasons),
        _about_lengths(recipe, lengths),
        *_about_splits(recipe, dataset),
        *_about_losses(dataset),
        *_about_files_beside(recipe),
    ]
    rows = {name: len(split) for name, split in dataset.splits.items()}
    return Seen(recipe, reasons, rows, labels, recipe.data.columns, dataset.language, lengths, notes)


def _lengths(recipe: Recipe, dataset: Dataset) -> dict[str, dict[str, int]]:
    """How long the training texts are; in tokens only where the backbone is there to count them."""
    split = dataset.splits["train"]
    places = spread(len(split), TEXTS)
    texts = [" ".join(map(str, example.inputs.values())) for example in split.take(places)]
    found = {"characters": _spread([len(text) for text in texts])}
    try:
        settings = recipe.model
        located = locate(settings.backbone, pickled_weights=settings.pickled_weights, remote_code=settings.remote_code)
    except MachineError:
        return found  # its package is not installed, which the line on the backbone says
    processor = Processor.load(located.folder, max_tokens=token_limit(located.folder), prefix=located.facts.prefix)
    found["tokens"] = {**_spread(processor.lengths(texts)), "limit": processor.max_tokens}
    return found


def _spread(lengths: Any) -> dict[str, int]:
    median, p95, longest = np.quantile(lengths, [0.5, 0.95, 1.0], method="higher")
    return {"median": int(median), "p95": int(p95), "longest": int(longest)}


# -------------------------------------------------------------------------------------------- what is said of it


def _about_sources(recipe: Recipe, dataset: Dataset, bounded: bool) -> Iterator[str]:
    for name, source in dataset.described["sources"].items():
        facts = dataset.described["readers"][name]
        reader = sources.open_source(source, recipe.data.reader)[0]
        told = [str(facts["encoding"])] if facts.get("encoding") else []
        told += [f"delimiter {facts['delimiter']!r}"] if facts.get("delimiter") else []
        told += ["no header line"] if facts.get("header") is False else []
        read = dataset.ledger["rows"][name]["read"]
        yield f"{_short(source)}: {read:,} rows for {name} ({', '.join([catalog.name_of(reader), *told])})."
        if bounded and read >= FIRST:
            yield f"Only the first {FIRST:,} rows of {_short(source)} were looked at, as it is large."


def _about_task(recipe: Recipe, reasons: Mapping[str, str]) -> str:
    several = ", multi_label: a text can have several labels" if recipe.task.multi_label else ""
    several += ", levels: an ancestor may answer for its label" if getattr(recipe.task, "levels", None) else ""
    why = f" ({reasons['task']})" if "task" in reasons else ""
    return f"Task: {catalog.name_of(recipe.task)}{several}{why}."


def _about_columns(recipe: Recipe, dataset: Dataset, reasons: Mapping[str, str]) -> str:
    used = recipe.data.columns
    read = {*used.values(), *recipe.task.beside.columns}
    others = [name for name in dataset.splits["train"].columns if name not in read]
    told = ", ".join(f"{role} from {column!r}" for role, column in used.items())
    why = f" ({reasons['data.columns']})" if "data.columns" in reasons else ""
    left = f" Not learned from: {listing(map(repr, others), 6)}." if others else ""
    texts = [name for name in dataset.splits["train"].columns if name.lower() in ROLES["text"]]
    if len(getattr(recipe.task, "texts", ())) == 1 and len(texts) > 1:
        change = shlex.quote(f"task.texts=[{', '.join(texts)}]")
        left += f" Several columns are named as texts are: --set {change} reads all."
    if beside := recipe.task.beside.columns:
        left += f" Read beside the text: {listing(map(repr, beside), 6)}."
    return f"Columns: {told}{why}.{left}"


def _about_labels(dataset: Dataset, labels: Mapping[str, int]) -> Iterator[str]:
    if not labels:
        return
    top = [f"{_plain(label)} {count:,}" for label, count in islice(labels.items(), SHOWN)]
    more = f", and {len(labels) - SHOWN} more" if len(labels) > SHOWN else ""
    yield f"Labels: {len(labels)} ({', '.join(top)}{more})."
    learned = dataset.described["labels"].get("train", {})
    least, most = min(learned, key=learned.__getitem__), max(learned, key=learned.__getitem__)
    ratio = learned[most] / learned[least]
    if ratio < EVEN:
        numbers = " to ".join(f"{count:,}" for count in sorted({learned[least], learned[most]}))
        yield f"Balance: in train, the labels are even ({numbers} rows each)."
        return
    numbers = f"{learned[most]:,} and {learned[least]:,}"
    uneven = ratio > IMBALANCE and dataset.task.scored
    advice = "; so classes are weighed, and macro_f1 decides instead of accuracy" if uneven else ""
    yield f"Balance: in train, {_plain(most)} has {ratio:.1f} times the rows of {_plain(least)} ({numbers}){advice}."


def _about_documents(dataset: Dataset) -> Iterator[str]:
    yield f"Documents: {len(dataset.labels):,}, all of which are searched."


def _about_language(recipe: Recipe, dataset: Dataset, reasons: Mapping[str, str]) -> str:
    shares = dataset.described.get("languages", {})
    told = ", ".join(f"{NAMES.get(code, code)} {share:.0%}" for code, share in islice(shares.items(), 3)) or "unknown"
    why = f" ({reasons['model.backbone']})" if "model.backbone" in reasons else ""
    return f"Language: {told}. Backbone: {recipe.model.backbone}{why}."


def _about_lengths(recipe: Recipe, lengths: Mapping[str, Mapping[str, int]]) -> str:
    told = [f"{found['median']:,} {unit} (longest {found['longest']:,})" for unit, found in lengths.items()]
    tokens = lengths.get("tokens", {})
    long = ""
    if tokens and tokens["longest"] > tokens["limit"]:
        chosen = recipe.data.overflow
        how = {"split": "read in windows that are joined again", "truncate": "cut off", "refuse": "refused"}[chosen]
        long = f" Texts over {tokens['limit']} tokens are {how} (data.overflow: {chosen})."
    return f"Length: half of the texts have at most {', or '.join(told)}.{long}"


def _about_splits(recipe: Recipe, dataset: Dataset) -> Iterator[str]:
    cut = recipe.data.split
    how = {"stratified": "each label in its share", "random": "at random"}.get(
        cut_by(cut, recipe.task), f"by {cut.column!r}"
    )
    for name in SPLITS[1:]:
        if name not in dataset.described["sources"]:
            rows, share = len(dataset.splits[name]), getattr(cut, f"{name}_share")
            use = "sealed until the verdict" if name == "test" else "to choose epochs and settings"
            yield f"No {name} file: {rows:,} rows ({share:.0%}) are split off train, {how}, {use}."


def _about_losses(dataset: Dataset) -> Iterator[str]:
    for name, counts in dataset.ledger["rows"].items():
        reasons = {LOST.get(kind, kind): count for kind, count in counts["reasons"].items() if count}
        lost = [f"{plural(count, 'row')} {reason}" for reason, count in reasons.items()]
        if lost:
            yield f"Left out of {name}: {', '.join(lost)}. `tunewright check` shows which."


def _about_files_beside(recipe: Recipe) -> Iterator[str]:
    """Files that look like the other splits and were not named."""
    train = Path(recipe.data.train)
    for name, words in BESIDE.items():
        found = [train.with_name(word + train.suffix) for word in words if train.suffix]
        near = next((path for path in found if path.is_file() and path != train), None)
        if near and not getattr(recipe.data, name):
            short = os.path.relpath(near)
            shown = str(near) if short.startswith(os.pardir) else short
            yield f"{near.name} stands beside {train.name} and is not used: --{name} {shown} would use it."


def _plain(label: str) -> str:
    """A label as it is; in quotes where its spaces or signs would not be seen."""
    return label if label.isprintable() and label == " ".join(label.split()) else repr(label)


def _short(source: str) -> str:
    return Path(source).name if os.path.exists(source) else source


def _relative(source: str | None, folder: Path) -> str | None:
    if source is None or not os.path.exists(source):
        return source  # a hub id
    path = Path(os.path.abspath(source))
    return str(path.relative_to(folder)) if path.is_relative_to(folder) and path != folder else str(path)
