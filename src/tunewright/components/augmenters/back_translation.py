"""Translate texts into another language and back: other words, much the same meaning (Sennrich et al. 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from tunewright.core.contracts import Augmenter
from tunewright.core.edits import Edit, Edits, Passage
from tunewright.data.language import script

SCRIPTS = {"en": "Latin", "zh": "Han"}


@dataclass(frozen=True)
class BackTranslation(Augmenter):
    """Two models, one a direction. For data in two languages, name it twice, with `texts` en and zh."""

    there: str = (
        ""  # folder or hub id of a translation model (Marian, T5, …) from the texts' language; none is packaged
    )
    back: str = ""  # the same for the way back
    prompts: tuple[str, str] = (
        "",
        "",
    )  # put before a text there and back, as T5 wants: "translate English to German: "
    texts: Literal["all", "en", "zh"] = "all"  # those that are translated, by their script; others get no copy
    beams: Annotated[int, Field(ge=1, le=20)] = 4  # best translations back; a copy is one of them, drawn at random

    rewrites: ClassVar[bool] = True
    sources: ClassVar[tuple[str, ...]] = ("there", "back")

    def open(self) -> Edits:
        """See Augmenter.open."""
        from tunewright.models.language_models import Translator

        there, back = (
            Translator(getattr(self, name), f"data.augment: back_translation.{name}") for name in ("there", "back")
        )
        return lambda passages: self._edits(there, back, passages)

    def _edits(self, there: Any, back: Any, passages: Sequence[Passage]) -> list[list[Edit]]:
        edits: list[list[Edit]] = [[] for _ in passages]
        wanted = [index for index, passage in enumerate(passages) if self._takes(passage)]
        first = there.translate([self.prompts[0] + passages[index].text for index in wanted])
        done = [(index, made[0]) for index, made in zip(wanted, first, strict=True) if made]
        second = back.translate([self.prompts[1] + text for _, text in done], beams=self.beams)
        for (index, _), made in zip(done, second, strict=True):
            if made:
                passage = passages[index]
                edits[index] = [Edit(0, len(passage.text), made[int(passage.draw.integers(len(made)))])]
        return edits

    def _takes(self, passage: Passage) -> bool:
        return not passage.fixed and self.texts in (
            "all",
            *(k for k, v in SCRIPTS.items() if v == script(passage.text)),
        )
