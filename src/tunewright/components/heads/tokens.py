"""One answer per token: a linear map on every hidden state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tunewright.models.per_token import PerToken


@dataclass(frozen=True)
class Tokens(PerToken):
    """What entity recognition needs; saved as a plain `transformers` token classifier."""

    transformers_class: ClassVar[str] = "AutoModelForTokenClassification"
