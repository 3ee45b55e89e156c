"""Give a text one label, or several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from tunewright.core import classes
from tunewright.core.beside import Beside
from tunewright.core.contracts import Measures
from tunewright.core.errors import LabelError, listing
from tunewright.core.hierarchy import HierarchyMeasures, path, settled
from tunewright.core.ordinal import KAPPA, OrdinalMeasures, middle
from tunewright.core.types import Example, Label, Policy, Prediction, Window
from tunewright.data.cell import is_empty, plain

if TYPE_CHECKING:
    from tunewright.models.processor import Processor

JOIN = "\n"  # between texts of several columns


@dataclass(frozen=True)
class TextClassification(classes.LabelTask):
    """Texts to label names. The label column holds one name, or several when `multi_label`."""

    multi_label: bool = False  # whether a text can have several labels, or none
    separator: Annotated[str, Field(min_length=1)] = (
        "|"  # between the labels of one cell when multi_label; JSON lists are understood as well
    )
    texts: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "text",
    )  # what is read of a row, as [title, body]: several columns become one text, in this order; one of them may be empty

    target: ClassVar[str] = "label"
    baselines: ClassVar[tuple[str, ...]] = ("majority", "tfidf", "linear_probe")

    levels: Annotated[str, Field(min_length=1)] | None = (
        None  # what stands between the levels of a label, as "/" in science/physics; null: labels have no levels
    )
    ordinal: bool = False  # labels have an order: that of data.labels, or of the numbers they are
    numeric: tuple[str, ...] = ()  # columns of numbers that are read beside the text, as [price]
    categorical: tuple[str, ...] = ()  # columns of names that are read beside the text, as [brand]
    known: dict[str, tuple[float | str, ...]] | Literal["auto"] = (
        "auto"  # what these columns hold: a mean and a deviation, or the names; auto: what training rows do
    )

    def __post_init__(self) -> None:
        """Refuse settings that contradict each other."""
        if len(forms := [name for name in ("multi_label", "levels", "ordinal") if getattr(self, name)]) > 1:
            raise ValueError(f"{' and '.join(forms)} cannot go together: each says what a label is. Keep one of them.")
        if len({*self.texts, self.target}) <= len(self.texts):
            raise ValueError(
                f"texts names a column twice, or {self.target!r}, which is what is predicted: {listing(self.texts)}."
            )
        if len(set(columns := [*self.numeric, *self.categorical])) < len(columns):
            raise ValueError(f"numeric and categorical name a column twice: {listing(columns)}.")

    @property
    def inputs(self) -> tuple[str, ...]:  # type: ignore[override]
        """See Task.inputs."""
        return tuple(self.texts)

    @property
    def beside(self) -> Beside:
        """See Task.beside."""
        return Beside(self.numeric, self.categorical, {} if self.known == "auto" else self.known)

    @property
    def needed(self) -> tuple[tuple[str, ...], ...]:
        """See Task.needed: one of the texts."""
        return (self.inputs,)

    @property
    def metric(self) -> str:  # type: ignore[override]
        """See Task.metric."""
        if self.levels is not None:
            return "hierarchical_f1"
        if self.ordinal:
            return KAPPA
        return "micro_f1" if self.multi_label else "accuracy"

    @property
    def measures(self) -> Measures:  # type: ignore[override]
        """See Task.measures, core.classes, core.hierarchy and core.ordinal."""
        if self.levels is not None:
            return HierarchyMeasures(separator=self.levels)
        return OrdinalMeasures() if self.ordinal else super().measures

    def choose(self, probabilities: np.ndarray) -> int:
        """See LabelTask.choose; of labels with an order the one in the middle of what is likely."""
        return middle(probabilities) if self.ordinal else super().choose(probabilities)

    def encode(self, examples: Sequence[Example], processor: Processor, labels: Sequence[str]) -> list[Window]:
        """See LabelTask.encode; with the vector of the columns beside the text."""
        windows, beside = super().encode(examples, processor, labels), self.beside
        if not beside.columns:
            return windows
        vectors = [beside.vector(example.columns) for example in examples]
        return [replace(one, features={**one.features, "beside": vectors[one.example]}) for one in windows]

    def decode(
        self, logits: np.ndarray, windows: Sequence[Window], labels: Sequence[str], policy: Policy
    ) -> Prediction:
        """See LabelTask.decode; where labels have levels, an ancestor that is sure enough stands in for its label."""
        found = super().decode(logits, windows, labels, policy)
        return found if self.levels is None else settled(found, self.levels, policy.accept)

    def read(self, cells: Mapping[str, Any]) -> tuple[dict[str, Any], Label]:
        """See Task.read. An empty cell is unknown; an empty list, when multi_label, says that no label applies."""
        return {"text": self._text(cells)}, self._label(plain(cells.get("label")))

    def _text(self, cells: Mapping[str, Any]) -> Any:
        """The cell, or what stands in several of them, one after the other."""
        if len(self.texts) == 1:
            return cells.get(self.texts[0])
        return JOIN.join(str(cells[role]).strip() for role in self.texts if not is_empty(cells.get(role)))

    def _label(self, value: Any) -> Label:
        if is_empty(value):
            return None
        if self.multi_label:
            parts = classes.several(value, self.separator)
            return tuple(sorted({classes.one(part) for part in parts if not is_empty(part)}))
        if isinstance(value, (list, tuple)) and len(value) == 1:
            value = value[0]
        if self.levels is not None:
            return path(classes.several(value, self.levels), self.levels)
        if isinstance(value, (list, tuple)):
            raise LabelError(
                f"One label is expected, and the cell holds {len(value)}: {value!r:.80}. "
                "Set task: {name: text_classification, multi_label: true} when a text can have several."
            )
        return classes.one(value)
