"""Mark the entities in a text: spans of characters, each with a label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tunewright.core import spans, units
from tunewright.core.contracts import Measures, Task
from tunewright.core.types import Example, Label, Policy, Prediction, Window
from tunewright.data import marks
from tunewright.data.cell import plain
from tunewright.data.places import located

if TYPE_CHECKING:
    from tunewright.models.processor import Processor


@dataclass(frozen=True)
class TokenClassification(Task):
    """Texts to spans. Rows hold a text with spans, or words with a BIO or BIOES tag each."""

    inputs: ClassVar[tuple[str, ...]] = ("text",)
    target: ClassVar[str] = "spans"
    head: ClassVar[str] = "tokens"
    objective: ClassVar[str] = "cross_entropy"
    measures: ClassVar[Measures] = spans.SpanMeasures()
    metric: ClassVar[str] = "f1"
    baselines: ClassVar[tuple[str, ...]] = ("dictionary",)
    placed: ClassVar[bool] = True

    def read(self, cells: Mapping[str, Any]) -> tuple[dict[str, Any], Label]:
        """See Task.read, and data.marks for what a cell of spans may hold.

        The text may be a list of words; start and end count words then.
        """
        text = located(cells.get("text"))
        return {"text": text.text}, marks.spans(plain(cells.get("spans")), text)

    def outputs(self, labels: Sequence[str]) -> tuple[str, ...]:
        """See Task.outputs: O, then B- and I- of every label."""
        return spans.tags(labels)

    def encode(self, examples: Sequence[Example], processor: Processor, labels: Sequence[str]) -> list[Window]:
        """See Task.encode. "labels" is (tokens,): a unit's tag at its first piece, -100 elsewhere."""
        return list(units.windows(examples, [example.label for example in examples], processor, labels))

    def decode(
        self, logits: np.ndarray, windows: Sequence[Window], labels: Sequence[str], policy: Policy
    ) -> Prediction:
        """See Task.decode. The likeliest lawful tags; the score is that of the least certain one."""
        value, score = units.marked(logits, windows, labels)
        decision = "abstain" if policy.accept is not None and score < policy.accept else "model"
        truncated = sum(part.truncated for part in windows)
        return Prediction(value, score, decision=decision, truncated_tokens=truncated)
