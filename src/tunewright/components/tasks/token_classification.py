"""Mark the entities in a text: spans of characters, each with a label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tunewright.core import chains, spans, units
from tunewright.core.contracts import Claims, Measures, Task
from tunewright.core.types import Example, Label, Policy, Prediction, Window
from tunewright.data import marks
from tunewright.data.cell import plain
from tunewright.data.places import located

if TYPE_CHECKING:
    from tunewright.models.processor import Processor


@dataclass(frozen=True)
class TokenClassification(Task):
    """Texts to spans. Rows hold a text with spans, or words with a BIO or BIOES tag each."""

    crf: bool = (
        False  # learn the tags of a text as one sequence: steps from tag to tag have weights too, tags × tags of them
    )

    inputs: ClassVar[tuple[str, ...]] = ("text",)
    target: ClassVar[str] = "spans"
    head: ClassVar[str] = "tokens"
    measures: ClassVar[Measures] = spans.SpanMeasures()
    metric: ClassVar[str] = "f1"
    baselines: ClassVar[tuple[str, ...]] = ("dictionary",)
    placed: ClassVar[bool] = True

    @property
    def objective(self) -> str:  # type: ignore[override]
        """See Task.objective."""
        return "crf" if self.crf else "cross_entropy"

    @property
    def claims(self) -> Claims:  # type: ignore[override]
        """See Task.claims: the spans."""
        return units.SpanClaims(chained=self.crf)

    def read(self, cells: Mapping[str, Any]) -> tuple[dict[str, Any], Label]:
        """See Task.read, and data.marks for what a cell of spans may hold.

        The text may be a list of words; start and end count words then.
        """
        text = located(cells.get("text"))
        return {"text": text.text}, marks.spans(plain(cells.get("spans")), text)

    def outputs(self, labels: Sequence[str]) -> tuple[str, ...]:
        """See Task.outputs: O, then B- and I- of every label; under crf, then the pairs of them (core/chains.py)."""
        tags = spans.tags(labels)
        return chains.names(tags) if self.crf else tags

    def encode(self, examples: Sequence[Example], processor: Processor, labels: Sequence[str]) -> list[Window]:
        """See Task.encode. "labels" is (tokens,): a unit's tag, or pair, at its first piece, -100 elsewhere."""
        gold = [example.label for example in examples]
        return list(units.windows(examples, gold, processor, labels, chained=self.crf))

    def decode(
        self, logits: np.ndarray, windows: Sequence[Window], labels: Sequence[str], policy: Policy
    ) -> Prediction:
        """See Task.decode. The likeliest lawful tags; the score is that of the least certain one."""
        value, score = units.marked(logits, windows, labels, chained=self.crf)
        decision = policy.decision(score)
        truncated = sum(part.truncated for part in windows)
        return Prediction(value, score, decision=decision, truncated_tokens=truncated)
