"""Teach another backbone what the original answers: a smaller one of the packaged, or any folder or hub id."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from tunewright.core.contracts import Compressible, CompressionPass, Evidence, Imitation
from tunewright.core.errors import MachineError, ModelError


@dataclass(frozen=True)
class DistillInto(CompressionPass):
    """The head begins as the linear map of the student's features that comes nearest to the original's logits; then all of
    it learns from the training rows, and from rows without labels where the run had some (Hinton et al. 2015)."""

    replaces: ClassVar[bool] = True
    rereads: ClassVar[bool] = True
    sources: ClassVar[tuple[str, ...]] = ("backbone",)
    backbone: str = "minilm-l6-en"  # the student: a packaged name, a folder, or an id on the model hub
    epochs: Annotated[float, Field(gt=0)] = 5.0  # over the training rows; the best by validation is kept
    temperature: Annotated[float, Field(gt=0)] = 2.0  # over 1 shows what the original holds for second best
    rate: Annotated[float, Field(gt=0)] = 2.0  # learning rate, relative to full fine-tuning: there is more to move

    @classmethod
    def variants(cls) -> tuple[CompressionPass, ...]:
        """None: which backbone suits the data's language is for you to say."""
        return ()

    def lacks(self, given: Compressible) -> str:
        """See CompressionPass.lacks."""
        from tunewright.models.locate import locate

        if not given.model.head_kind.pools:
            return "it answers for every token, and another backbone has other tokens"
        try:
            locate(self.backbone)
        except (ModelError, MachineError) as error:
            return str(error).rstrip(".")
        return ""

    def apply(self, given: Compressible, evidence: Evidence) -> Compressible:
        """See CompressionPass.apply. Raises what `locate` raises for a backbone that is not there."""
        from tunewright.models.backbone import load_backbone
        from tunewright.models.locate import locate
        from tunewright.models.processor import Processor, token_limit

        found, before = locate(self.backbone), given.processor
        backbone = load_backbone(found.folder)
        if getattr(backbone, "pooler", None) is not None:
            backbone.pooler = None  # heads here pool by themselves
        processor = Processor.load(
            found.folder,
            max_tokens=min(before.max_tokens, token_limit(found.folder)),
            overflow=before.overflow,
            stride=before.stride,
            prefix=found.facts.prefix,
        )
        made = Compressible(given.model.on(backbone), processor, given.precision, backbone=found.name)
        return evidence.imitate(evidence.fit_head(made), Imitation(self.epochs, self.temperature, 0.0, self.rate))
