"""Which words texts are made of: the tokens that each holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tunewright.core.contracts import Signal, Traffic
from tunewright.core.drift import Drift, bucket_counts, compare_buckets, learn_buckets
from tunewright.core.types import Note


@dataclass(frozen=True)
class Wording(Signal):
    """In how many texts each token occurs, tokens counted together by a hash: many small differences are one large one."""

    title: ClassVar[Note] = Note("wording of texts", "文本用词")
    of_texts: ClassVar[bool] = True

    def learn(self, usual: Traffic) -> Mapping[str, Any] | None:
        """See Signal.learn."""
        return learn_buckets(usual.tokens)

    def sketch(self, traffic: Traffic, usual: Mapping[str, Any]) -> np.ndarray:
        """See Signal.sketch: rows with a token in each bucket."""
        return bucket_counts(traffic.tokens)

    def compare(self, usual: Mapping[str, Any], sketch: np.ndarray, rows: int) -> Drift:
        """See Signal.compare."""
        return compare_buckets(usual, sketch, rows)
