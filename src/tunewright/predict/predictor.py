"""A bundle on a runtime: `predict(examples) -> list[Prediction]`."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewright.core import catalog, ranking
from tunewright.core.bundle import Bundle, open_bundle
from tunewright.core.contracts import Runtime
from tunewright.core.errors import DataError, MachineError, listing
from tunewright.core.files import read_json
from tunewright.core.types import Example, Policy, Prediction
from tunewright.data.cell import is_empty, is_unicode
from tunewright.models.members import opened
from tunewright.models.processor import Processor
from tunewright.predict.infer import CHUNK, Inferred, chunked, decide, infer, infer_chunks

if TYPE_CHECKING:
    from tunewright.predict.rerank import Reranker

AUTO = "auto"  # the runtime that the bundle was measured with
EXACT = "torch"  # the runtime whose numbers the others are held against
UNANSWERED = Prediction(value=None, score=0.0, decision="error")


class Predictor:
    """Opened once, used often. `predict` takes texts, mappings or Examples and answers in the same order."""

    def __init__(self, bundle: Bundle, runtime: str = AUTO, reranker: Reranker | None = None) -> None:
        self.bundle = bundle
        self.reranker = reranker  # what puts the documents it finds into another order; None: they stay as found
        self.processor = Processor.load(bundle.model_folder)
        self.runtime, self.note = find_runtime(
            bundle.folder, runtime
        )  # what answers, and why it is not the bundle's own
        self._run = opened(self.runtime, bundle.folder)

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels it can give."""
        return self.bundle.labels

    @property
    def policy(self) -> Policy:
        """How its scores become decisions: the bundle's, or where another puts its documents in order, that one's."""
        return self.reranker.policy if self.reranker else self.bundle.policy

    @property
    def chunk(self) -> int:
        """Examples at a time: as many as make a chunk's worth of computing."""
        return max(1, CHUNK // self.reranker.depth) if self.reranker else CHUNK

    def reranked(self, by: Predictor | Path | str, label: str | None = None, depth: int = ranking.BEST) -> Predictor:
        """The same search, with the documents it finds put into the order that the bundle `by` gives them.

        by: a bundle that reads two texts at once, as of `sentence_pair`; it judges the query together with each of the
        `depth` nearest documents. label: the one of its labels that says "answers it"; None where it gives numbers, of
        which more is better, or where its two labels are a yes and a no, such as 1 and 0. `score` and `scores` of an
        answer are then this label's probabilities, and `parts["search"]` is what the search says by itself.

        Raises BundleError where this bundle does not search or the other does not judge pairs, UsageError for a label or
        a depth that cannot be.
        """
        from tunewright.predict.rerank import open_reranker

        made = copy.copy(self)
        made.reranker = open_reranker(self.bundle, by, label, depth)
        return made

    def predict(self, inputs: Sequence[str | Mapping[str, Any] | Example]) -> list[Prediction]:
        """One Prediction an input, in order. Raises DataError when an input lacks what the task reads.

        An empty text, or one that is no Unicode, cannot be answered: its place holds a Prediction without value or
        scores (None, 0.0, {}) and the decision "error", as such a row of a file has in `tunewright predict`.
        """
        if isinstance(inputs, (str, bytes, Mapping)) or not isinstance(inputs, Iterable):
            raise DataError("predict takes a list of texts: predict([text]).")
        examples = [self.example(item, i) for i, item in enumerate(inputs)]
        good = [all(not is_empty(value) and is_unicode(value) for value in e.inputs.values()) for e in examples]
        said = (prediction for _, prediction in self.answers(compress(examples, good)))
        return [next(said) if answered else UNANSWERED for answered in good]

    def example(self, item: str | Mapping[str, Any] | Example, index: int = 0) -> Example:
        """An input as an Example. Raises DataError with its place `index` where it lacks what the task reads."""
        if isinstance(item, Example):
            return item
        task, roles = self.bundle.task, self.bundle.task.inputs
        values = {roles[0]: item} if isinstance(item, str) and len(roles) == 1 else item
        if not isinstance(values, Mapping) or any(all(values.get(r) is None for r in group) for group in task.needed):
            told = "a mapping with" if len(roles) > 1 else "a text, or a mapping with"
            raise DataError(f"Input {index} must be {told} {', '.join(roles)}; it is {item!r:.60}.")
        if absent := [column for column in task.beside.columns if column not in values]:
            raise DataError(
                f"Input {index} lacks {listing(absent)}, which the model reads beside the text (None: unknown)."
            )
        if problem := task.beside.problem(values):
            raise DataError(f"Input {index}: {problem}.")
        try:
            inputs, _ = task.read({role: values.get(role) for role in roles})
        except DataError as error:
            raise DataError(f"Input {index}: {error}") from None
        return Example(f"input#{index}", inputs, columns=values)

    def predictions(self, examples: Iterable[Example]) -> Iterator[tuple[Example, Prediction]]:
        """Stream: every example with its prediction, in order, at constant memory."""
        for item, prediction in self.answers(examples):
            yield item.example, prediction

    def answers(self, examples: Iterable[Example]) -> Iterator[tuple[Inferred, Prediction]]:
        """Stream: every example with its windows and logits, and its prediction."""
        for found in self._inferred(chunked(examples, self.chunk)):
            yield from zip(found, self._decided(found), strict=True)

    def in_chunks(self, chunks: Iterable[Sequence[Example]]) -> Iterator[list[Prediction]]:
        """Stream: the predictions of every chunk, in order; see `infer_chunks` for what is done at the same time."""
        for found in self._inferred(chunks):
            yield self._decided(found)

    def infer(self, examples: Iterable[Example]) -> Iterator[Inferred]:
        """Stream: every example with its windows and logits."""
        return infer(examples, self.bundle.task, self.processor, self.bundle.labels, self._run)

    def _inferred(self, chunks: Iterable[Sequence[Example]]) -> Iterator[list[Inferred]]:
        return infer_chunks(chunks, self.bundle.task, self.processor, self.bundle.labels, self._run)

    def _decided(self, found: Sequence[Inferred]) -> list[Prediction]:
        if self.reranker:
            return self.reranker.answers(found, self.bundle)
        return decide(found, self.bundle.task, self.bundle.labels, self.bundle.policy)


def find_runtime(folder: Path, name: str) -> tuple[Runtime, str]:
    """The runtime `name`, or for "auto" the one that the bundle in `folder` was measured with, and a note.

    Where the bundle's own cannot run, the one in full precision answers instead, and the note says why. Raises
    RecipeError for an unknown name, and MachineError where a runtime that was named, or both of these, lack something.
    """
    chosen: str | dict[str, Any] = name
    if name == AUTO:
        chosen = read_json(folder / "runtime.json")["chosen"] if (folder / "runtime.json").exists() else EXACT
    runtime: Runtime = catalog.create("runtimes", chosen)  # type: ignore[assignment]
    missing = runtime.lacks(folder)
    if not missing:
        return runtime, ""
    own, exact = catalog.name_of(runtime), catalog.create("runtimes", EXACT)
    lacking: str = exact.lacks(folder)  # type: ignore[attr-defined]
    if name == AUTO and not lacking:
        return exact, f"{own} cannot run here ({missing}): {EXACT} answers instead."  # type: ignore[return-value]
    if not lacking:
        raise MachineError(f"The runtime {own} cannot run this bundle here ({missing}). Take the runtime {EXACT}.")
    neither = "" if own == EXACT else f", and neither can {EXACT} ({lacking})"
    raise MachineError(
        f"The runtime {own} cannot run this bundle here ({missing}){neither}. Install what it lacks, or write a bundle for "
        "another runtime where torch is installed: tunewright export BUNDLE --format onnx."
    )


def load(bundle: Path | str, runtime: str = AUTO, variant: str | None = None) -> Predictor:
    """Open a bundle (or the run that holds one) for predicting. Raises what `open_bundle` and `find_runtime` raise."""
    return Predictor(open_bundle(bundle, variant), runtime)
