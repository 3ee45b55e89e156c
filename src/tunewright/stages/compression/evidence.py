"""What compression passes go by: the original's answers, the loss of training rows, and training towards those answers."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tunewright.core import catalog
from tunewright.core.contracts import Compressible, Evidence, Imitation, Outputs, Task
from tunewright.core.linear import fit_ridge
from tunewright.core.numeric import spread
from tunewright.core.progress import Progress
from tunewright.core.recipe import Recipe
from tunewright.core.types import Example, Policy, Window
from tunewright.models.batches import Features
from tunewright.models.members import together
from tunewright.predict.infer import infer
from tunewright.stages.assemble import LARGE_VOCABULARY, objective_of
from tunewright.stages.embed import joined
from tunewright.training import precision
from tunewright.training.encoded import EncodedSplit, write_encoded
from tunewright.training.parameters import auto_learning_rate
from tunewright.training.passes import BATCH, mean_loss

if TYPE_CHECKING:
    from tunewright.models.model import Model

VALUED = 256  # validation rows that `Evidence.value` looks at: it is asked often
LEARNED = 2048  # training rows that `Evidence.losses` looks at
FITTED = 10_000  # and `Evidence.fit_head`
PENALTIES = (1.0, 10.0, 100.0, 1000.0)  # of its map, from strong to weak: the targets are numbers without noise


@dataclass(frozen=True)
class Lessons:
    """The original network, and rows to learn from and to judge on.

    others: networks that vote with it, which read texts as it does; the mean of their outputs is what the original says.
    """

    original: Compressible
    others: Sequence[Model]
    recipe: Recipe
    labels: tuple[str, ...]
    policy: Policy
    train: Sequence[Example]
    validation: Sequence[Example]
    folder: Path  # for encoded rows and checkpoints
    device: str
    progress: Progress

    @property
    def task(self) -> Task:
        """What is predicted."""
        return self.recipe.task

    def evidence(self) -> Evidence:
        """As passes are given it."""
        return Evidence(
            task=self.task,
            labels=self.labels,
            train=self.train,
            validation=self.validation,
            losses=self._losses,
            value=self._value,
            imitate=self._imitate,
            hidden=self._hidden,
            fit_head=self._fit_head,
            progress=self.progress,
        )

    # ------------------------------------------------------------------------------------------- how good it is

    def _value(self, given: Compressible) -> tuple[float, float]:
        rows = some(self.validation, VALUED)
        said, before = self._logits([given], rows), self._said
        far = np.mean([np.abs(one - other).mean() for (one, _), (other, _) in zip(said, before, strict=True)])
        predictions = [self.task.decode(logits, windows, self.labels, self.policy) for logits, windows in said]
        numbers = self.task.measures.metrics([row.label for row in rows], predictions, self.labels)
        return float(numbers[self.recipe.evaluate.metric]), -float(far)

    @cached_property
    def _said(self) -> list[tuple[np.ndarray, Sequence[Window]]]:
        """What the original says of the rows that `_value` looks at."""
        return self._logits(self._teachers, some(self.validation, VALUED))

    @property
    def _teachers(self) -> list[Compressible]:
        return [self.original, *(dataclasses.replace(self.original, model=model) for model in self.others)]

    def _logits(
        self, voting: Sequence[Compressible], rows: Sequence[Example]
    ) -> list[tuple[np.ndarray, Sequence[Window]]]:
        """Each row's logits, the mean of what these say, and its windows."""
        from tunewright.models.inference import outputs

        run = self._mean(voting, outputs)
        found = infer(unlabelled(rows), self.task, voting[0].processor, self.labels, run)
        return [(item.logits, item.windows) for item in found]

    def _mean(self, voting: Sequence[Compressible], function: Callable[..., list[np.ndarray]]) -> Outputs:
        """What `function` of models.inference gives for windows: the mean over these networks."""
        for one in voting:
            one.model.to(self.device).pack()  # anew: it may have lost parts

        def run(one: Compressible) -> Outputs:
            def answer(windows: Sequence[Features]) -> list[np.ndarray]:
                with precision.autocast(self.device, self.recipe.train.precision):
                    return function(one.model, windows, pad_id=one.processor.pad_id, device=self.device)

            return answer

        return together([run(one) for one in voting])

    def _hidden(self, given: Compressible, windows: Sequence[Features]) -> list[np.ndarray]:
        from tunewright.models.inference import hidden

        return self._mean([given], hidden)(windows)

    def _fit_head(self, given: Compressible) -> Compressible:
        import torch

        rows = (some(self.train, FITTED), some(self.validation, LEARNED))
        features = [self._pooled(given, part) for part in rows]
        logits = [np.stack([said for said, _ in self._logits(self._teachers, part)]) for part in rows]
        fit = fit_ridge(features[0], logits[0], features[1], logits[1], path=PENALTIES)
        given.model.start_head(*(torch.from_numpy(part).to(self.device) for part in (fit.weight, fit.bias)))
        return given

    def _pooled(self, given: Compressible, rows: Sequence[Example]) -> np.ndarray:
        from tunewright.models.inference import pooled

        windows = self.task.encode(list(unlabelled(rows)), given.processor, self.labels)
        return joined(np.stack(self._mean([given], pooled)([window.features for window in windows])), windows)

    # --------------------------------------------------------------------------------------------- what it is for

    def _losses(self, given: Compressible) -> Iterator[Any]:
        import torch

        objective = objective_of(self.recipe)
        windows = self._encoded(self._with_labels(some(self.train, LEARNED)), given, "labelled")
        given.model.to(self.device).pack()
        order = np.argsort(windows.lengths, kind="stable")
        batches = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
        with self.progress.task("Measuring what the loss depends on", total=len(batches)) as step:
            for indices in batches:
                arrays = windows.batch(indices)
                batch = {name: torch.from_numpy(value).to(self.device) for name, value in arrays.items()}
                with precision.autocast(self.device, self.recipe.train.precision):
                    yield objective.loss(given.model(batch), batch["labels"], None).mean()
                step(1)

    def _with_labels(self, rows: Sequence[Example]) -> list[Example]:
        """Rows with the original's answer where they have no label."""
        if all(row.label is not None for row in rows):
            return list(rows)
        said = (
            self.task.decode(logits, windows, self.labels, Policy()).value
            for logits, windows in self._logits(self._teachers, rows)
        )
        return [row if row.label is not None else dataclasses.replace(row, label=value) for row, value in zip(rows, said, strict=True)]  # fmt: skip

    def _encoded(self, rows: Sequence[Example], given: Compressible, name: str) -> EncodedSplit:
        windows = self.task.encode(rows, given.processor, self.labels)
        return write_encoded(windows, self._place(name), given.processor.pad_id)

    def _place(self, name: str) -> Path:
        number = sum(1 for _ in self.folder.glob(f"{name}-*"))
        return self.folder / f"{name}-{number}"

    # -------------------------------------------------------------------------------------------- training towards it

    def _imitate(self, given: Compressible, how: Imitation) -> Compressible:
        from tunewright.models.lighter import zeros_kept
        from tunewright.models.surgery import hidden_size, layers, word_embeddings
        from tunewright.training.distillation import Answers
        from tunewright.training.loop import Job, fit
        from tunewright.training.record import recording

        folder, model = self._place("imitation"), given.model
        folder.mkdir(parents=True)
        width, whole = hidden_size(model.backbone), hidden_size(self.original.model.backbone)
        hidden = how.hidden if width == whole and not self.others else 0.0
        splits = {name: self._targets(rows, given, folder / name, hidden > 0) for name, rows in self._texts()}
        model.to(self.device).requires_grad_(True)
        words = word_embeddings(model.backbone)
        words.requires_grad_(words.num_embeddings <= LARGE_VOCABULARY or not layers(model.backbone))
        model.pack()
        scores = "none" if not self.task.scored else "yes_or_no" if self.task.multi_label else "choice"
        objective = Answers(len(self.task.outputs(self.labels)), scores, how.temperature, hidden)
        train = dataclasses.replace(
            self.recipe.train, method=catalog.create("methods", "full"), regularisers=(), epochs=how.epochs,
            evaluate_every=min(1.0, how.epochs), early_stopping=None, unlabelled=None, ensemble=None,
        )  # fmt: skip
        with (
            recording(folder, (), {}) as record,
            model.telling(),
            zeros_kept(model, model.backbone),
            self._attending(given, how, states=how.states if width == whole else 0.0),
        ):
            job = Job(
                model=model,
                windows=splits["train"],
                settings=train,
                objective=objective,
                class_weights=None,
                learning_rate=auto_learning_rate(width, None, how.rate),
                precision=train.precision,
                device=self.device,
                seed=self.recipe.seed,
                folder=folder,
                record=record,
                progress=self.progress,
                evaluate=lambda: {"loss": mean_loss(model, objective, splits["validation"], self.device)},
                metric="loss",
                row=lambda index: self.train[index].id,
                start=lambda: None,
            )
            fitted = fit(job)
        if not fitted.best_step:
            self.progress.say(
                "No step of distillation brought validation rows nearer to the original: the network stays."
            )
        return dataclasses.replace(given, model=model.eval())

    def _attending(self, given: Compressible, how: Imitation, states: float) -> AbstractContextManager[None]:
        """A further term of the loss, where one is asked for: it compares token by token, so both have to read the same ones."""
        import torch

        from tunewright.models.relations import imitating

        if not (how.attention or states):
            return nullcontext()
        tokenizers = [one.processor.tokenizer for one in (given, self.original)]
        names = (tokenizers[0].id_to_token(index) for index in range(tokenizers[0].get_vocab_size()))
        found = [tokenizers[1].token_to_id(name) if name is not None else None for name in names]
        pieces = torch.tensor([0 if index is None else index for index in found], device=self.device)
        original = self.original.model.to(self.device)
        return imitating(given.model, original, pieces, attention=how.attention, states=states)

    def _texts(self) -> list[tuple[str, Sequence[Example]]]:
        return [("train", self.train), ("validation", some(self.validation, LEARNED))]

    def _targets(self, rows: Sequence[Example], given: Compressible, folder: Path, features: bool) -> EncodedSplit:
        """The rows' windows as `given` reads them, each with what the original says of it, to disk."""
        from tunewright.models.inference import told

        outputs, original = len(self.task.outputs(self.labels)), self.original
        ask = self._mean(self._teachers, told)

        def windows() -> Iterator[Window]:
            with self.progress.task("Asking the original", total=len(rows)) as step:
                for start in range(0, len(rows), BATCH * BATCH):
                    part = list(unlabelled(rows[start : start + BATCH * BATCH]))
                    mine, theirs = (self.task.encode(part, one.processor, self.labels) for one in (given, original))
                    said = ask([window.features for window in theirs])
                    for window, target in zip(mine, self._for_each(mine, theirs, said), strict=True):
                        target = target if features else target[..., :outputs]
                        yield Window(start + window.example, {**window.features, "labels": target}, window.tokens)
                    step(len(part))

        return write_encoded(windows(), folder, given.processor.pad_id)

    def _for_each(
        self, mine: Sequence[Window], theirs: Sequence[Window], said: Sequence[np.ndarray]
    ) -> Iterator[np.ndarray]:
        """What was said of the other's windows for each of mine; of the whole text where they are not as many."""
        for part, others in zip(_by_example(mine), _by_example(theirs), strict=True):
            own = [said[place] for place in others]
            same = len(part) == len(others)
            yield from own if same else [self.task.join([theirs[place] for place in others], own)] * len(part)


def _by_example(windows: Sequence[Window]) -> list[list[int]]:
    """The places of each example's windows."""
    found: list[list[int]] = [[] for _ in range(windows[-1].example + 1)] if windows else []
    for place, window in enumerate(windows):
        found[window.example].append(place)
    return found


def some(rows: Sequence[Example], most: int) -> list[Example]:
    """At most so many rows, from all over."""
    return [rows[place] for place in spread(len(rows), most)]


def unlabelled(rows: Sequence[Example]) -> Iterator[Example]:
    """The rows as the model is shown them."""
    return (dataclasses.replace(row, label=None) for row in rows)


def copied(given: Compressible) -> Compressible:
    """The same with modules of its own, which a pass may change."""
    return dataclasses.replace(given, model=copy.deepcopy(given.model))
