"""The original, opened once, and how a step is tried on it: made, written, opened anew, answered with, measured."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tunewright.core import catalog
from tunewright.core.bundle import Bundle
from tunewright.core.contracts import Compressible, CompressionPass, Runtime
from tunewright.core.errors import MachineError, UsageError
from tunewright.core.files import read_json
from tunewright.core.gate import Gate
from tunewright.core.progress import Progress
from tunewright.core.report import report_language
from tunewright.core.types import Example
from tunewright.models import members
from tunewright.monitor import reference
from tunewright.predict.infer import Inferred, infer
from tunewright.predict.predictor import AUTO, Predictor
from tunewright.stages.compression import certificate, rewrite, speed
from tunewright.stages.compression.certificate import Compared, Served
from tunewright.stages.compression.evidence import Lessons, copied, some, unlabelled
from tunewright.stages.compression.rewrite import Rewriter, called, exactly
from tunewright.stages.compression.speed import Raced
from tunewright.stages.compression.step import Rows, State, Tried, step_name
from tunewright.stages.evaluate import answer

CHECKED = 256  # rows on which what was saved is held against what was built


class Bench:
    """`bench.tried(state, passes)` says what a step comes to; `start` is the state before the first."""

    def __init__(
        self,
        bundle: Bundle,
        rows: Rows,
        scratch: Path,
        max_loss: float,
        progress: Progress,
        *,
        against: str = AUTO,
        answered_by: Runtime | None = None,
    ) -> None:
        """against: the runtime that answers from the original; answered_by: from what is made, None: the original's, or
        what a pass asks for."""
        from tunewright.training.precision import choose_device

        self.bundle, self.rows, self.scratch = bundle, rows, scratch
        self.max_loss, self.progress = max_loss, progress
        self.recipe = bundle.recipe
        self.predictor = Predictor(bundle, against)
        if self.predictor.note:
            progress.say(self.predictor.note)
        self.rewriter = Rewriter(
            bundle, self.predictor.runtime, answered_by, rows.validation, rows.train, max_loss, progress
        )
        self.before = answer(self.predictor, rows.validation, progress, title="Answers of the original")
        first, *others = (rewrite.opened(folder / "model") for folder in members.folders(bundle.folder))
        self.start = State(first)
        self.count = 0  # of what was tried
        self.lessons = Lessons(
            original=copied(first),
            others=[one.model for one in others],
            recipe=self.recipe,
            labels=bundle.labels,
            policy=bundle.policy,
            train=rows.train,
            validation=rows.validation,
            folder=scratch / "lessons",
            device=choose_device(self.recipe.train.device),
            progress=progress,
        )
        self.lessons.folder.mkdir()

    def check(self, one: CompressionPass, given: Compressible) -> None:
        """Raise UsageError where a pass cannot serve the network."""
        if missing := one.lacks(given):
            raise UsageError(f"{catalog.name_of(one)} cannot serve this model: {missing}.")

    def tried(self, state: State, passes: Sequence[CompressionPass], name: str = "") -> State:
        """The state behind a step, whose `tried` says whether it may be kept. name: where it has no passes."""
        name = name or step_name(passes)
        self.count += 1
        self.progress.say(f"Step {self.count}: {' · '.join((*state.names, name))}")
        made = copied(state.made)
        for one in passes:
            self.check(one, made)
            made = one.apply(made, self.lessons.evidence())
        made.model.to("cpu").eval()
        after = state.after(passes, name, made)
        try:
            served, compared, gate, raced = self._measured(after)
        except MachineError as error:
            raise MachineError(f"{name}: {error}") from None
        tried = Tried(
            name=name,
            settings={catalog.name_of(one): dataclasses.asdict(one) for one in passes},
            behind=state.names,
            kept=gate.passed,
            runtime=called(served.bundle.recipe.predict.runtime),
            compared=compared,
            gate=gate,
            speed=raced.second,
            original=raced.first,
            size_mb=speed.size(served.bundle.folder),
        )
        return dataclasses.replace(after, bundle=served.bundle, path=(*state.path, tried))

    def forget(self, state: State) -> None:
        """Take away what was written of a state that nobody goes on from."""
        if state.bundle is not None:
            shutil.rmtree(state.bundle.folder)

    @property
    def size_mb(self) -> float:
        """MiB of the original."""
        return speed.size(self.bundle.folder)

    @property
    def language(self) -> str:
        """That of the data, as the original says."""
        file = self.bundle.folder / reference.FILE
        return read_json(file).get("language", "en") if file.exists() else "en"

    def about(self) -> dict[str, Any]:
        """The original and the rows, as report.json holds them; its speed apart, which is timed beside each step."""
        metric = self.recipe.evaluate.metric
        numbers = self.bundle.task.measures.metrics(self.before.gold, self.before.predictions, self.bundle.labels)
        return {
            "schema": 1,
            "language": report_language(self.recipe.report.language, self.language),
            "name": self.bundle.folder.absolute().parent.name,
            "metric": metric,
            "max_loss": self.max_loss,
            "data": dict(self.rows.described),
            "original": {
                "runtime": called(self.predictor.runtime),
                "value": numbers[metric],
                "size_mb": self.size_mb,
            },
            "cores": len(os.sched_getaffinity(0)),
        }

    def _measured(self, state: State) -> tuple[Served, Compared, Gate, Raced]:
        bundle = self.rewriter.write(state, self.scratch / f"step-{self.count}")
        predictor = Predictor(bundle)
        after = answer(predictor, self.rows.validation, self.progress, title="Answers of the smaller one")
        compared = certificate.compare(self.recipe, self.bundle.labels, self.before, after)
        raced = speed.race(self.predictor, predictor, self.rows.validation, self.progress)
        rows = some(self.rows.validation, CHECKED)
        served = Served(
            bundle=bundle,
            reads=state.made.processor if state.rereads else self.predictor.processor,
            built=[item.logits for item in self._built(state.made, rows)],
            saved=[item.logits for item in self.rewriter.answered(bundle.folder, exactly(), rows)],
            alone=certificate.as_answers(raced.second_alone, raced.rows),
            original_alone=certificate.as_answers(raced.first_alone, raced.rows),
            steady=predictor.runtime.steady,
        )
        gate = certificate.certify(
            self.bundle,
            served,
            compared,
            (self.before, after),
            self.rows.validation,
            max_loss=self.max_loss,
            exact=state.exact,
        )
        return served, compared, gate, raced

    def _built(self, made: Compressible, rows: Sequence[Example]) -> list[Inferred]:
        from tunewright.models.inference import outputs

        made.model.pack()

        def run(windows: Sequence[Mapping[str, np.ndarray]]) -> list[np.ndarray]:
            return outputs(made.model, windows, pad_id=made.processor.pad_id)

        return list(infer(unlabelled(rows), self.bundle.task, made.processor, self.bundle.labels, run))
