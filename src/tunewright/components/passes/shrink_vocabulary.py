"""Drop the vectors of pieces that the language of the data never uses; answers to its rows stay the very same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tunewright.core.contracts import Compressible, CompressionPass, Evidence
from tunewright.core.types import Example
from tunewright.data.language import language, script

CHUNK = 1024  # rows that are tokenized at a time


@dataclass(frozen=True)
class ShrinkVocabulary(CompressionPass):
    """A text is cut into the pieces there are, so texts unlike the rows at hand may be cut finer than before.

    Special pieces and single characters of every script stay, so each text still has tokens.
    """

    exact: ClassVar[bool] = True
    keep: Literal["scripts", "used"] = (
        "scripts"  # beside pieces of the rows at hand: all of their scripts, or no others
    )
    least: Annotated[float, Field(gt=0, le=1)] = 0.1  # of the rows' letters, the share that makes a script theirs

    def lacks(self, given: Compressible) -> str:
        """See CompressionPass.lacks."""
        from tunewright.models import vocabulary

        if not hasattr(given.model.backbone, "set_input_embeddings"):
            return "its table of words cannot be exchanged"
        return vocabulary.lacks(given.processor)

    def apply(self, given: Compressible, evidence: Evidence) -> Compressible:
        """See CompressionPass.apply."""
        from tunewright.models import vocabulary
        from tunewright.models.smaller import keep_words

        learned, judged = (_used(rows, given, evidence) for rows in (evidence.train, evidence.validation))
        kept = vocabulary.needed(given.processor).union(*learned)
        if self.keep == "scripts":
            rows = [*evidence.train, *evidence.validation]
            texts = [" ".join(map(str, row.inputs.values())) for row in rows]
            theirs = {name for name, share in language(texts).scripts.items() if share >= self.least}
            names = enumerate(map(vocabulary.bare, vocabulary.pieces(given.processor)))
            kept |= {index for index, name in names if name and (script(name) in theirs or not _has_letters(name))}
        if judged and (unseen := sum(not own <= kept for own in judged)):
            evidence.progress.say(
                f"{unseen} of {len(judged)} validation rows have pieces that nothing else asks for. They are kept too; of new "
                "texts about as large a share will be cut finer than before."
            )
        kept = kept.union(*judged)
        processor, order = vocabulary.without(given.processor, kept)
        keep_words(given.model.backbone, order)
        return replace(given, processor=processor)


def _has_letters(piece: str) -> bool:
    return any(character.isalpha() for character in piece)


def _used(rows: Sequence[Example], given: Compressible, evidence: Evidence) -> list[set[int]]:
    """The ids of each row's tokens."""
    found: list[set[int]] = [set() for _ in rows]
    with evidence.progress.task("Looking for the pieces that are used", total=len(rows)) as step:
        for start in range(0, len(rows), CHUNK):
            part = [Example(row.id, row.inputs, columns=row.columns) for row in rows[start : start + CHUNK]]
            for window in evidence.task.encode(part, given.processor, evidence.labels):
                found[start + window.example].update(window.features["input_ids"].tolist())
            step(len(part))
    return found
