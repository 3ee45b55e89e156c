"""Files in and out: every row of a source is answered and written, in order, at constant memory."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tunewright.core.contracts import Row
from tunewright.core.errors import DataError, UsageError, plural
from tunewright.core.files import writing
from tunewright.core.progress import Progress, Silent
from tunewright.core.types import Example, Label, Prediction, label_names
from tunewright.data.cell import is_unicode, nothing_in
from tunewright.predict import sink
from tunewright.predict.infer import Inferred, stepping
from tunewright.predict.predictor import Predictor
from tunewright.predict.render import Form
from tunewright.predict.source import Source

CHUNK_CHARACTERS = 1_000_000  # of the rows in memory at a time, whatever their number
SHOWN_PROBLEMS = 10


@dataclass
class Tally:
    """What became of the rows. examples: the first rows that could not be answered, as "file:line: reason"."""

    rows: int = 0
    problems: int = 0
    abstained: int = 0
    parents: int = 0
    truncated: int = 0
    unknown: Counter[str] = field(default_factory=Counter)  # column beside the text → rows with a name not learned
    labels: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    reordered: int = 0  # rows whose answer is another one than that of the search alone
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """As the summary of `predict --json`."""
        return {
            "rows": self.rows,
            "labels": dict(self.labels.most_common()),
            "abstained": self.abstained,
            "parents": self.parents,
            "truncated": self.truncated,
            "unknown": dict(self.unknown),
            "problems": self.problems,
            "problem_examples": self.examples,
            "seconds": round(self.seconds, 3),
            "rows_per_second": round(self.rows / self.seconds, 1) if self.seconds else None,
        }


class Stream:
    """One pass of a source's rows through a predictor.

    columns: role → column of the task's inputs (and of its label, for `answers`); all_scores: add every label's probability; strict: stop at the first
    row that cannot be answered (DataError) instead of giving it an `error`.
    """

    def __init__(
        self,
        predictor: Predictor,
        source: Source,
        columns: Mapping[str, str],
        *,
        all_scores: bool = False,
        strict: bool = False,
    ) -> None:
        self.tally = Tally()
        self._predictor = predictor
        self._source = source
        self._columns = dict(columns)
        self._strict = strict
        self._form = Form(predictor.bundle.task, all_scores=all_scores, reranked=predictor.reranker is not None)
        self.renamed = _renamed(source.columns, self._form.columns)

    @property
    def columns(self) -> list[str]:
        """The columns of a table of the answers: the input's, then what is added."""
        return [*(self.renamed.get(name, name) for name in self._source.columns), *self._form.columns]

    def summary(self) -> dict[str, Any]:
        """What became of the rows, as `predict --json` has it; and by what their documents were re-ranked, where they were."""
        if self._predictor.reranker is None:
            return self.tally.to_dict()
        return {
            **self.tally.to_dict(),
            "reranked": {**self._predictor.reranker.about(), "changed": self.tally.reordered},
        }

    def rows(self, progress: Progress | None = None) -> Iterator[dict[str, Any]]:
        """Every row with its answer, in order. Raises DataError at the end when not a single row could be answered."""
        started = time.monotonic()
        waiting: deque[list[tuple[Row, Example | str]]] = deque()
        with (progress or Silent()).task("Predicting", self._source.total) as step:
            for predictions in self._predictor.in_chunks(self._examples(waiting)):
                chunk = waiting.popleft()
                yield from self._answered(chunk, iter(predictions))
                self.tally.seconds = time.monotonic() - started
                step(len(chunk))
        if self.tally.rows and self.tally.problems == self.tally.rows:
            raise DataError(
                f"None of the {plural(self.tally.rows, 'row')} can be answered. The first one, {self.tally.examples[0]}."
            )

    def answers(self, progress: Progress | None = None) -> Iterator[tuple[Inferred, Prediction]]:
        """Every row that can be answered, with its label (where `columns` names one), windows, logits and answer, in order;
        the others are counted. A label may be one that the model does not know."""
        labels: deque[Label] = deque()
        with (progress or Silent()).task("Predicting", self._source.total) as step:
            for item, prediction in stepping(self._predictor.answers(self._unlabelled(labels)), step):
                yield replace(item, example=replace(item.example, label=labels.popleft())), prediction

    def _unlabelled(self, labels: deque[Label]) -> Iterator[Example]:
        for row in self._source.read():
            self.tally.rows += 1
            taken = self._taken(row)
            if isinstance(taken, str):
                self._failed(row, taken)
            else:
                labels.append(taken.label)
                yield replace(taken, label=None)

    def _examples(self, waiting: deque[list[tuple[Row, Example | str]]]) -> Iterator[list[Example]]:
        """What can be answered, chunk by chunk; its rows, each as an Example or with its problem, are put into `waiting`."""
        for rows in _chunks(self._source.read(), self._predictor.chunk):
            taken = [self._taken(row) for row in rows]
            waiting.append(list(zip(rows, taken, strict=True)))
            yield [one for one in taken if not isinstance(one, str)]

    def _answered(
        self, chunk: list[tuple[Row, Example | str]], predictions: Iterator[Prediction]
    ) -> Iterator[dict[str, Any]]:
        for row, taken in chunk:
            self.tally.rows += 1
            added = self._failed(row, taken) if isinstance(taken, str) else self._said(taken, next(predictions))
            yield {**{self.renamed.get(name, name): value for name, value in row.values.items()}, **added}

    def _taken(self, row: Row) -> Example | str:
        """The row as an Example, or why it cannot be answered."""
        if row.problem:
            return row.problem
        task = self._predictor.bundle.task
        if problem := nothing_in(row.values, self._columns, task.needed) or task.beside.problem(row.values):
            return problem
        cells = {role: row.values.get(column) for role, column in self._columns.items()}
        for role, value in cells.items():
            if not is_unicode(value):
                return f"garbled: column {self._columns[role]!r} holds characters that are no Unicode text"
        try:
            inputs, label = task.read(cells)
        except DataError as error:
            return str(error)
        self.tally.unknown.update(task.beside.unknown(row.values))
        return Example(self._source.place(row), inputs, label, columns=row.values)

    def _failed(self, row: Row, problem: str) -> dict[str, Any]:
        message = f"{self._source.place(row)}: {problem}"
        if self._strict:
            raise DataError(f"{message}. Mend the row, or leave out --strict to go on without it.")
        self.tally.problems += 1
        if len(self.tally.examples) < SHOWN_PROBLEMS:
            self.tally.examples.append(message)
        return self._form.failed(message)

    def _said(self, example: Example, prediction: Prediction) -> dict[str, Any]:
        said = self._form.answered(example, prediction)
        self.tally.labels.update(label_names(prediction.given[0]))
        self.tally.abstained += prediction.decision == "abstain"
        self.tally.parents += prediction.decision == "parent"
        self.tally.truncated += prediction.truncated_tokens > 0
        self.tally.reordered += said.get("search_rank", 1) > 1
        return said


def write(stream: Stream, out: Path | str | None, progress: Progress | None = None) -> Tally:
    """Write every row's answer to the file `out` (.jsonl, .csv, .tsv), or as JSON lines to standard output.

    A file is whole or not there. Raises UsageError for another ending, MachineError when it cannot be written.
    """
    with contextlib.ExitStack() as stack:
        if out is None:
            put, done = sink.writer(sys.stdout, ".jsonl", stream.columns), sys.stdout.flush
        else:
            suffix = sink.ending(out)
            path = stack.enter_context(writing(out))
            file = stack.enter_context(open(path, "w", encoding="utf-8", errors="backslashreplace", newline=""))
            put, done = sink.writer(file, suffix, stream.columns), file.flush
        _write_all(stream.rows(progress), put)
        done()
    return stream.tally


def _write_all(rows: Iterable[dict[str, Any]], put: Callable[[Mapping[str, Any]], None]) -> None:
    for row in rows:
        put(row)


def refuse_same_file(source: Path | str, out: Path | str | None) -> None:
    """Raise UsageError when the answers would take the place of the input."""
    if out is not None and Path(out).exists() and Path(source).exists() and Path(out).samefile(source):
        raise UsageError(f"--out {out} is the input itself. Choose another name, so that nothing is lost.")


def _chunks(rows: Iterator[Row], most: int) -> Iterator[list[Row]]:
    """Rows by the chunk: at most so many, and no more after CHUNK_CHARACTERS."""
    chunk: list[Row] = []
    size = 0
    for row in rows:
        chunk.append(row)
        size += sum(len(value) for value in row.values.values() if isinstance(value, str))
        if len(chunk) == most or size >= CHUNK_CHARACTERS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _renamed(columns: Sequence[str], added: Sequence[str]) -> dict[str, str]:
    """Input column → the name it is kept under, for those whose own name an answer needs."""
    taken = {*columns, *added}
    found = {}
    for name in added:
        kept = f"input_{name}"
        while kept in taken:
            kept = f"input_{kept}"
        found[name] = kept
        taken.add(kept)
    return found
