"""Two answers per token: whether the answer to a question starts there, and whether it ends there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tunewright.models.per_token import PerToken


@dataclass(frozen=True)
class StartEnd(PerToken):
    """A linear map on every hidden state (Devlin et al. 2019, section 4.2); saved as a plain `transformers` model for
    question answering."""

    transformers_class: ClassVar[str] = "AutoModelForQuestionAnswering"
