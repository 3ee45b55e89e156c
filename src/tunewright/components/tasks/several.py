"""Do several tasks with one network: labels of texts or pairs, and entities, each learned from rows of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tunewright.core import catalog, spans
from tunewright.core.contracts import Claims, Measures, Parts, Task
from tunewright.core.errors import DataError, RecipeError, TunewrightError, listing
from tunewright.core.parts import MEAN, NamedMeasures, NamedParts
from tunewright.core.types import BELOW, Claim, Example, Label, Policy, Prediction, Window
from tunewright.core.units import IGNORED
from tunewright.data.cell import is_empty

if TYPE_CHECKING:
    from tunewright.models.processor import Processor

RESERVED = (MEAN, "n", "loss", "parts", "per_class", "score", "scores", "decision", "error")  # no names of tasks


@dataclass(frozen=True, kw_only=True)
class SharedWindow(Window):
    """A window that one or several tasks read: each one's own by its name."""

    of: Mapping[str, Window]


@dataclass(frozen=True)
class Several(Task):
    """One token classifier for all: tags at the tokens, and what is said of a whole text at the special token before it.

    Its outputs are those of all tasks, one task's behind the other's (multi-task learning with a shared encoder, Liu et
    al. 2019, with linear heads). A row may have labels of one task or of more.
    """

    tasks: dict[str, Any] = field(
        default_factory=lambda: {"label": "text_classification", "spans": "token_classification"}, hash=False
    )  # name → task; each name is the column of that task's labels, and the answer's key in a prediction

    head: ClassVar[str] = "tokens"
    objective: ClassVar[str] = "within_parts"
    metric: ClassVar[str] = MEAN
    baselines: ClassVar[tuple[str | dict[str, Any], ...]] = (
        "by_parts",
        {"name": "by_parts", "baselines": ["overlap", "linear_probe", "dictionary"]},
    )

    def __post_init__(self) -> None:
        if len(self.tasks) < 2:
            raise RecipeError("several tasks at once are two at least, as tasks: {mood: text_classification, …}.")
        for name, task in self._named.items():
            if not name.isidentifier() or name in RESERVED:
                raise RecipeError(
                    f"{name!r} cannot be a task's name: take a plain word that is none of {listing(RESERVED, 20)}."
                )
            whole = task.probe and not task.multi_label
            tagged = isinstance(task.measures, spans.SpanMeasures) and task.outputs(("a",)) == spans.tags(("a",))
            if task.parts is not None or not task.classes or task.beside.columns or not (whole or tagged):
                raise RecipeError(
                    f"{name} ({catalog.name_of(task)}) cannot be one of several tasks as it is set: those that can give a text, "
                    "a pair or a relation one label each, or mark entities. Train it by itself."
                )
        if clash := [name for name in self._named if name in self.inputs]:
            raise RecipeError(f"{clash[0]!r} is an input as well as a task's name. Name the task otherwise.")

    @cached_property
    def _named(self) -> dict[str, Task]:
        return {name: _task(name, chosen) for name, chosen in self.tasks.items()}

    @cached_property
    def inputs(self) -> tuple[str, ...]:  # type: ignore[override]
        """See Task.inputs: those of all tasks; first what places count in."""
        tasks = sorted(self._named.values(), key=lambda task: not task.placed)
        return tuple(dict.fromkeys(role for task in tasks for role in task.inputs))

    @property
    def targets(self) -> tuple[str, ...]:
        """See Task.targets: the tasks' names."""
        return tuple(self._named)

    @property
    def rows(self) -> tuple[tuple[str, ...], ...]:
        """See Task.rows: each task's inputs."""
        return tuple(task.inputs for task in self._named.values())

    @property
    def needed(self) -> tuple[tuple[str, ...], ...]:
        """See Task.needed: one of all inputs at least; `read` refuses what is no task's row."""
        return (self.inputs,)

    @property
    def placed(self) -> bool:  # type: ignore[override]
        """See Task.placed."""
        return any(task.placed for task in self._named.values())

    @property
    def marks(self) -> tuple[str, ...]:  # type: ignore[override]
        """See Task.marks."""
        return tuple(dict.fromkeys(mark for task in self._named.values() for mark in task.marks))

    @property
    def parts(self) -> Parts:  # type: ignore[override]
        """See Task.parts."""
        return NamedParts(self._named)

    @property
    def claims(self) -> Claims:  # type: ignore[override]
        """See Task.claims: those of each task, or its label."""
        return _Claims(self)

    @property
    def measures(self) -> Measures:  # type: ignore[override]
        """See Task.measures."""
        return NamedMeasures(self._named)

    def read(self, cells: Mapping[str, Any]) -> tuple[dict[str, Any], Label]:
        """See Task.read. A row with labels has the inputs of their tasks; one without those of all tasks it suffices for."""
        labelled = [name for name in self._named if not _is_nothing(cells.get(name))]
        whole = [name for name, task in self._named.items() if all(cells.get(role) is not None for role in task.inputs)]
        if lacking := [n for n in labelled if any(is_empty(cells.get(role)) for role in self._named[n].inputs)]:
            needed = listing(self._named[lacking[0]].inputs)
            raise DataError(f"The row has a label for {lacking[0]} and not all that is needed for it: {needed}.")
        if not whole:
            ways = "; ".join(f"{name}: {listing(task.inputs)}" for name, task in self._named.items())
            raise DataError(f"The row has not all that any of the tasks needs ({ways}).")
        inputs: dict[str, Any] = {}
        label: dict[str, Label] = {}
        for name in labelled or whole:
            task = self._named[name]
            own, said = task.read({**{role: cells.get(role) for role in task.inputs}, task.target: cells.get(name)})
            if other := next((role for role in own if role in inputs and inputs[role] != own[role]), None):
                raise DataError(f"{name} reads {other!r} in another way than a task before it: give their rows apart.")
            inputs |= own
            if said is not None:
                label[name] = said
        return inputs, label or None

    def outputs(self, labels: Sequence[str]) -> tuple[str, ...]:
        """See Task.outputs: each task's own, with its name before them."""
        return tuple(f"{name}{BELOW}{output}" for name, task, own in self._each(labels) for output in task.outputs(own))

    def encode(self, examples: Sequence[Example], processor: Processor, labels: Sequence[str]) -> list[Window]:
        """See Task.encode. "labels" is (tokens, 3): the right output, the first and the end of its task's outputs, else -100.

        A row's label is in windows of its own for each task that has one; without labels, tasks that read the same share them.
        """
        if not processor.opens:
            raise RecipeError(
                "Several tasks at once read what is said of a whole text at the special token before it, as [CLS] or <s>, and "
                "this backbone's texts begin without one. Choose another model.backbone: `tunewright list backbones`."
            )
        found: list[list[SharedWindow]] = [[] for _ in examples]
        for (name, task, own), block in zip(self._each(labels), self._blocks(labels), strict=True):
            asked = [row for row, example in enumerate(examples) if self._asks(name, example)]
            chosen = [replace(examples[row], label=(examples[row].label or {}).get(name)) for row in asked]
            encoded = itertools.groupby(task.encode(chosen, processor, own), key=lambda window: window.example)
            for index, windows in encoded:
                row = asked[index]
                _add(found[row], [_shared(row, name, window, block) for window in windows], name)
        return [window for windows in found for window in windows]

    def decode(
        self, logits: np.ndarray, windows: Sequence[Window], labels: Sequence[str], policy: Policy
    ) -> Prediction:
        """See Task.decode: each task's own answer from its outputs."""
        said = [
            task.decode(own, parts, names, Policy()) if parts else None
            for _, task, names, parts, own in self.joined(logits, windows, labels)
        ]
        found = replace(self.parts.join(said), truncated_tokens=sum(window.truncated for window in windows))
        return replace(found, decision=policy.decision(found.score))

    def joined(
        self, logits: np.ndarray, windows: Sequence[Window], labels: Sequence[str]
    ) -> Iterator[tuple[str, Task, tuple[str, ...], list[Window], np.ndarray | None]]:
        """Each task's name, itself, its labels, and of one example's windows and logits those that are its own, if any."""
        starts = list(itertools.accumulate((len(window.features["input_ids"]) for window in windows), initial=0))
        for (name, task, names), block in zip(self._each(labels), self._blocks(labels), strict=True):
            mine = [(place, window.of[name]) for place, window in enumerate(windows) if name in window.of]
            outputs = [logits[starts[place] : starts[place + 1], block] for place, _ in mine]
            if task.head != self.head:
                outputs = [tokens[0] for tokens in outputs]
            parts = [window for _, window in mine]
            yield name, task, names, parts, task.join(parts, outputs) if parts else None

    def _asks(self, name: str, example: Example) -> bool:
        """Whether the example is one of this task's: by its labels where it has some, else by its inputs."""
        if example.label is not None:
            return name in example.label
        return all(role in example.inputs for role in self._named[name].inputs)

    def _each(self, labels: Sequence[str]) -> Iterator[tuple[str, Task, tuple[str, ...]]]:
        return zip(self._named, self._named.values(), self.parts.labels(labels), strict=True)  # type: ignore[return-value]

    def _blocks(self, labels: Sequence[str]) -> list[slice]:
        """Each task's outputs among those of all."""
        sizes = [len(task.outputs(own)) for _, task, own in self._each(labels)]
        ends = list(itertools.accumulate(sizes, initial=0))
        return [slice(*ends) for ends in itertools.pairwise(ends)]


@dataclass(frozen=True)
class _Claims(Claims):
    """What each task's answer claims, under the task's name."""

    task: Several

    def of(self, prediction: Prediction) -> list[Claim]:
        found = []
        for name, own in zip(self.task.targets, self.task.parts.tasks, strict=True):
            if (said := prediction.parts.get(name)) is not None:
                claims = own.claims.of(said) if own.claims else [Claim(name, said.value)]
                found += [replace(claim, name=name) for claim in claims]
        return found

    def chances(
        self, claims: Sequence[Claim], logits: np.ndarray, windows: Sequence[Window], labels: Sequence[str]
    ) -> list[float]:
        found: dict[Claim, float] = {}
        for name, task, names, parts, own in self.task.joined(logits, windows, labels):
            mine = [claim for claim in claims if claim.name == name and parts]
            if mine and task.claims:
                found |= zip(mine, task.claims.chances(mine, own, parts, names), strict=True)
            elif mine:
                scores = task.decode(own, parts, names, Policy()).scores
                found |= {claim: scores[claim.label] for claim in mine}
        return [found.get(claim, 0.0) for claim in claims]


def _task(name: str, chosen: Any) -> Task:
    try:
        return catalog.create("tasks", chosen)  # type: ignore[return-value]
    except TunewrightError as error:
        raise RecipeError(f"{name}: {error}") from None


def _is_nothing(cell: Any) -> bool:
    """Whether a label's cell is empty; an empty list of spans is a label."""
    return not isinstance(cell, (list, tuple)) and is_empty(cell)


def _shared(row: int, name: str, window: Window, block: slice) -> SharedWindow:
    features = {key: value for key, value in window.features.items() if key != "labels"}
    if "labels" in window.features:
        features["labels"] = _placed(window.features["labels"], len(features["input_ids"]), block)
    plain = {**vars(window), "example": row, "features": features}
    return SharedWindow(**{key: plain[key] for key in Window.__dataclass_fields__}, of={name: window})


def _placed(gold: np.ndarray, tokens: int, block: slice) -> np.ndarray:
    """Labels (tokens, 3) from a label of the text or of every token."""
    found = np.full((tokens, 3), IGNORED, dtype=np.int64)
    whole = np.full(tokens, IGNORED, dtype=np.int64)
    if np.ndim(gold):
        whole = np.asarray(gold)
    else:
        whole[0] = gold
    known = whole != IGNORED
    found[known] = np.stack(
        [whole[known] + block.start, *(np.full(known.sum(), end) for end in (block.start, block.stop))], axis=1
    )
    return found


def _add(known: list[SharedWindow], windows: list[SharedWindow], name: str) -> None:
    """Add an example's windows; without labels those that are there already are shared, and tokens count once."""
    alike = len(known) == len(windows) and all(map(_same, known, windows))
    if alike and not any("labels" in window.features for window in windows):
        known[:] = [replace(one, of={**one.of, **other.of}) for one, other in zip(known, windows, strict=True)]
        return
    known += [replace(window, shared=window.tokens, truncated=0) if alike else window for window in windows]


def _same(one: Window, other: Window) -> bool:
    return np.array_equal(one.features["input_ids"], other.features["input_ids"])


def sample(folder: Any) -> list[dict[str, Any]]:
    """Rows for the conformance suite (tunewright/testing/conformance.py)."""
    return [
        {"text": "a good song", "label": "good", "spans": [{"start": 7, "end": 11, "label": "song"}]},
        {"text": "一首好听的歌", "label": "好", "spans": [{"start": 5, "end": 6, "label": "song"}]},
        {"text": "😀 ok!", "label": "good", "spans": []},
        {"text": "x", "label": "bad", "spans": []},
        {"text": "  slow  ", "label": "bad", "spans": [[2, 6, "mood"]]},
        {"text": "bad " * 60, "label": "bad", "spans": [[0, 3, "mood"], [236, 239, "song"]]},
        {"text": "坏 bad 好 good", "label": "好", "spans": [[0, 1, "mood"]]},
    ]
