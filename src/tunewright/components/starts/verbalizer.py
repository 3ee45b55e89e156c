"""Begin with what a masked language model says: which label's word suits each text best (PET, Schick and Schütze 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from tunewright.core import linear
from tunewright.core.contracts import Beginning, Start, Task
from tunewright.core.described import as_words, check_labels
from tunewright.core.measures import encode_labels

if TYPE_CHECKING:
    from tunewright.models.cloze import Cloze

KEY = "train.start"


@dataclass(frozen=True)
class Verbalizer(Start):
    """The texts that train are read and their labels are not; those of validation choose how strictly the head follows,
    and calibrate. The head learns what the language model said, which is not needed any more once it is saved.

    Labels are taken to be about as frequent as one another: that is what calibrates the words.
    """

    model: str = (
        ""  # folder or hub id of a model with its head for masked words (BERT, RoBERTa, …); no package brings one
    )
    template: str = "{mask}: {}"  # {} is the text, {mask} the word that is looked for, as "{} It was {mask}."
    words: tuple[
        tuple[str, str], ...
    ] = ()  # pairs of a label and a word for it, one token each; a label may have several; others have their names

    goes_on: ClassVar[bool] = False
    sources: ClassVar[tuple[str, ...]] = ("model",)

    def suits(self, task: Task) -> bool:
        """See Start.suits: labels for a single text."""
        return task.scored and not task.multi_label and len(task.inputs) == 1

    def check(self, labels: Sequence[str]) -> None:
        """See Start.check: words are of labels, the model opens, and each word is one token of it."""
        check_labels([label for label, _ in self.words], labels, f"{KEY}.words")
        self._open(self._spoken(labels))

    def head(self, given: Beginning) -> tuple[np.ndarray, np.ndarray] | None:
        """See Start.head."""
        spoken = self._spoken(given.labels)
        [role] = given.task.inputs
        cloze = self._open(spoken, given.device)
        with given.progress.task("Asking the masked language model", total=len(given.train)) as step:
            said = cloze.ask([str(example.inputs[role]) for example in given.train], step)
        del cloze  # before features take memory
        shares = label_shares(said, [given.labels.index(label) for label, _ in spoken], len(given.labels))
        validation = encode_labels([example.label for example in given.validation], given.labels)
        features = given.features(given.train), given.features(given.validation)
        fit = linear.fit_linear(features[0], shares, features[1], validation, labels=len(given.labels), shares=True)
        return fit.weight, fit.bias

    def _spoken(self, labels: Sequence[str]) -> list[tuple[str, str]]:
        """Every label with each of its words."""
        own = {label for label, _ in self.words}
        return [*self.words, *((label, as_words(label)) for label in labels if label not in own)]

    def _open(self, spoken: Sequence[tuple[str, str]], device: str = "cpu") -> Cloze:
        from tunewright.models.cloze import Cloze

        return Cloze(self.model, self.template, [word for _, word in spoken], KEY, device)


def label_shares(said: np.ndarray, owners: Sequence[int], labels: int) -> np.ndarray:
    """(texts, labels) how much each label is a text's, 1 in all. said: (texts, words) probabilities; owners: words' labels.

    Each word's mean probability over the texts is divided out, as a word that is likely everywhere says nothing (contextual
    calibration, Zhao et al. 2021, over texts as Hu et al. 2022, section 3.3); then a label's words are averaged.
    """
    words = said / said.mean(axis=0)
    words /= words.sum(axis=1, keepdims=True)
    belongs = np.equal.outer(np.asarray(owners), np.arange(labels)).astype(np.float64)
    found = words @ (belongs / belongs.sum(axis=0))
    return found / found.sum(axis=1, keepdims=True)
