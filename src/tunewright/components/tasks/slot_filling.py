"""Understand requests: one intent for a text, and its slots: spans of characters, each with a name."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tunewright.core import catalog, classes, frames, measures, spans, units
from tunewright.core.contracts import Claims, Measures, Parts, Task
from tunewright.core.errors import LabelError, RecipeError
from tunewright.core.numeric import softmax
from tunewright.core.types import INTENT, Claim, Example, Frame, Label, Policy, Prediction, Window
from tunewright.core.windows import weighted_mean
from tunewright.data import marks
from tunewright.data.cell import is_empty, plain
from tunewright.data.places import located

if TYPE_CHECKING:
    from tunewright.models.processor import Processor


@dataclass(frozen=True)
class SlotFilling(Task):
    """Texts to frames, by one network: tags at the text's tokens, the intent at the special token before them.

    So a plain token classifier holds both (Chen, Zhuo and Wang 2019, section 3.2).
    """

    inputs: ClassVar[tuple[str, ...]] = ("text",)
    targets: ClassVar[tuple[str, ...]] = ("intent", "slots")  # type: ignore[assignment]
    head: ClassVar[str] = "tokens"
    objective: ClassVar[str] = "intent_and_slots"
    measures: ClassVar[Measures] = frames.FrameMeasures()
    metric: ClassVar[str] = "accuracy"
    baselines: ClassVar[tuple[str, ...]] = ("by_parts",)
    placed: ClassVar[bool] = True

    @property
    def claims(self) -> Claims:  # type: ignore[override]
        """See Task.claims: the intent and the slots."""
        return _Claims()

    @property
    def parts(self) -> Parts:  # type: ignore[override]
        """See Task.parts."""
        made = (catalog.create("tasks", name) for name in ("text_classification", "token_classification"))
        return frames.FrameParts(*made)  # type: ignore[arg-type]

    def read(self, cells: Mapping[str, Any]) -> tuple[dict[str, Any], Label]:
        """See Task.read, and data.marks for what a cell of slots may hold. An intent without slots is a whole label."""
        text = located(cells.get("text"))
        found = marks.spans(plain(cells.get("slots")), text) or ()
        intent = plain(cells.get("intent"))
        if is_empty(intent):
            if found:
                raise LabelError("The row has slots and no intent. Give it one, or leave both empty.")
            return {"text": text.text}, None
        if wrong := next((span.label for span in found if span.label.startswith(INTENT)), None):
            raise LabelError(f"The slot {wrong!r:.40} begins with {INTENT}, which marks intents. Rename it.")
        return {"text": text.text}, Frame(classes.one(intent), found)

    def outputs(self, labels: Sequence[str]) -> tuple[str, ...]:
        """See Task.outputs: O, B- and I- of every slot, then the intents."""
        return (*spans.tags(frames.slots(labels)), *(INTENT + intent for intent in frames.intents(labels)))

    def encode(self, examples: Sequence[Example], processor: Processor, labels: Sequence[str]) -> list[Window]:
        """See Task.encode. "labels" is (tokens,): the intent at the first token, a unit's tag at its first piece, else -100."""
        if not processor.opens:
            raise RecipeError(
                "slot_filling reads the intent at the special token before a text, as [CLS] or <s>, and this backbone's "
                "texts begin without one. Choose another model.backbone, as those that `tunewright list backbones` names."
            )
        gold = [None if example.label is None else example.label.slots for example in examples]
        found = units.windows(examples, gold, processor, frames.slots(labels))
        intents, tags = [label for label in labels if label.startswith(INTENT)], len(spans.tags(frames.slots(labels)))
        for window in found:
            if (example := examples[window.example]).label is not None:
                intent = measures.encode_labels([INTENT + example.label.intent], intents, [example.id])[0]
                window.features["labels"][0] = tags + intent
        return list(found)

    def decode(
        self, logits: np.ndarray, windows: Sequence[Window], labels: Sequence[str], policy: Policy
    ) -> Prediction:
        """See Task.decode. The likeliest intent, by the mean of the windows' logits, and the likeliest lawful tags.

        Each has its own softmax. The score is the least of the intent's probability and those of the tags; `scores` are the
        intents'.
        """
        names, tags = frames.intents(labels), len(spans.tags(frames.slots(labels)))
        logits = np.asarray(logits, dtype=np.float64)
        found, sure = units.marked(logits[:, :tags], windows, frames.slots(labels))
        probabilities = _intents(logits[:, tags:], windows)
        best = int(np.argmax(probabilities))
        score = min(float(probabilities[best]), sure)
        return Prediction(
            value=Frame(names[best], found),
            score=score,
            scores=dict(zip(names, probabilities.tolist(), strict=True)),
            decision=policy.decision(score),
            truncated_tokens=sum(part.truncated for part in windows),
        )


def _intents(outputs: np.ndarray, windows: Sequence[Window]) -> np.ndarray:
    """(intents,) their probabilities, from the outputs of all tokens of one example's windows."""
    starts = itertools.accumulate((len(part.offsets) for part in windows[:-1]), initial=0)
    return softmax(weighted_mean(windows, [outputs[start] for start in starts]))


class _Claims(Claims):
    """The intent, and each of the slots."""

    def of(self, prediction: Prediction) -> list[Claim]:
        frame = prediction.value
        return [Claim("intent", frame.intent), *units.of_spans("slots", frame.slots)]

    def chances(
        self, claims: Sequence[Claim], logits: np.ndarray, windows: Sequence[Window], labels: Sequence[str]
    ) -> list[float]:
        logits, tags = np.asarray(logits, dtype=np.float64), len(spans.tags(frames.slots(labels)))
        intents = dict(zip(frames.intents(labels), _intents(logits[:, tags:], windows).tolist(), strict=True))
        placed = units.as_spans([claim for claim in claims if claim.places])
        slots = iter(units.chances(logits[:, :tags], windows, frames.slots(labels), placed))
        return [next(slots) if claim.places else intents[claim.label] for claim in claims]


def sample(folder: Any) -> list[dict[str, Any]]:
    """Rows for the conformance suite (tunewright/testing/conformance.py)."""
    return [
        {"text": "play a good song", "intent": "Play", "slots": [{"start": 7, "end": 16, "label": "song"}]},
        {"text": "来一首好听的歌", "intent": "播放", "slots": {"song": "好听的歌"}},
        {"text": ["😀", "ok", "!"], "intent": "Greet", "slots": ["O", "O", "O"]},
        {"text": "x", "intent": "Greet", "slots": []},
        {"text": "  slow  ", "intent": "Play", "slots": {"song": ["slow"]}},
        {"text": "bad " * 60, "intent": "播放", "slots": [[0, 3, "mood"], [236, 239, "song"]]},
        {"text": "坏 bad 好 good", "intent": "Greet", "slots": {"mood": ["坏", "good"], "song": "bad"}},
    ]
