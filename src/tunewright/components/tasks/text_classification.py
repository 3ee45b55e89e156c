"""Give a text one label, or several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import Field

from tunewright.core import classes
from tunewright.core.errors import LabelError
from tunewright.core.types import Label
from tunewright.data.cell import is_empty, plain


@dataclass(frozen=True)
class TextClassification(classes.LabelTask):
    """Texts to label names. The label column holds one name, or several when `multi_label`."""

    multi_label: bool = False  # whether a text can have several labels, or none
    separator: Annotated[str, Field(min_length=1)] = (
        "|"  # between the labels of one cell when multi_label; JSON lists are understood as well
    )

    inputs: ClassVar[tuple[str, ...]] = ("text",)
    target: ClassVar[str] = "label"
    baselines: ClassVar[tuple[str, ...]] = ("majority", "tfidf", "linear_probe")

    @property
    def metric(self) -> str:  # type: ignore[override]
        """See Task.metric."""
        return "micro_f1" if self.multi_label else "accuracy"

    def read(self, cells: Mapping[str, Any]) -> tuple[dict[str, Any], Label]:
        """See Task.read. An empty cell is unknown; an empty list, when multi_label, says that no label applies."""
        return {"text": cells.get("text")}, self._label(plain(cells.get("label")))

    def _label(self, value: Any) -> Label:
        if is_empty(value):
            return None
        if self.multi_label:
            parts = classes.several(value, self.separator)
            return tuple(sorted({classes.one(part) for part in parts if not is_empty(part)}))
        if isinstance(value, (list, tuple)) and len(value) == 1:
            value = value[0]
        if isinstance(value, (list, tuple)):
            raise LabelError(
                f"One label is expected, and the cell holds {len(value)}: {value!r:.80}. "
                "Set task: {name: text_classification, multi_label: true} when a text can have several."
            )
        return classes.one(value)
