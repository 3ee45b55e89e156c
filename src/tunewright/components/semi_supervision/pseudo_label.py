"""Take sure answers for labels, and train again with them (pseudo-labels, Lee 2013)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from tunewright.core.contracts import Adopted, Scored, SemiSupervision


@dataclass(frozen=True)
class PseudoLabel(SemiSupervision):
    """The scores are calibrated on validation. Of the two models, without and with these rows, validation keeps the better."""

    adopts: ClassVar[bool] = True
    threshold: Annotated[float, Field(gt=0, lt=1)] | Literal["auto"] = (
        "auto"  # least score of an answer that is taken; auto: the least from which validation is right often enough
    )
    accuracy: Annotated[float, Field(gt=0, le=1)] = 0.95  # how often that is: a wrong label costs more than a row less
    balance: Annotated[float, Field(ge=1)] = (
        2.0  # a label has at most so many times its share of the training rows among those taken: one must not swamp all
    )

    def adopt(self, scored: Scored) -> Adopted:
        """See SemiSupervision.adopt. The surest rows of a label go first where it has too many."""
        threshold = self._from(scored.validation, scored.right) if self.threshold == "auto" else self.threshold
        sure = np.flatnonzero(scored.unlabelled >= (np.inf if threshold is None else threshold))
        rows, counts = self._balanced(sure, scored)
        return Adopted(rows, {"threshold": threshold, "sure": len(sure), "labels": counts})

    def _from(self, scores: np.ndarray, right: np.ndarray) -> float | None:
        """The least score such that of all answers that reach it the wanted share is right; None where there is none."""
        order = np.argsort(-scores, kind="stable")
        falling, share = scores[order], np.cumsum(right[order]) / np.arange(1, len(order) + 1)
        whole = np.append(falling[1:] < falling[:-1], True)  # equal scores are taken together
        enough = np.flatnonzero(whole & (share >= self.accuracy))
        return float(falling[enough[-1]]) if len(enough) else None

    def _balanced(self, sure: np.ndarray, scored: Scored) -> tuple[np.ndarray, dict[str, int]]:
        """Those of the sure rows that are taken, rising, and how many of each label."""
        most = {label: max(1, int(self.balance * share * len(sure))) for label, share in scored.shares.items()}
        counts: Counter[str] = Counter()
        taken = []
        for row in sure[np.argsort(-scored.unlabelled[sure], kind="stable")].tolist():
            names = scored.names[row]
            if all(counts[name] < most.get(name, 0) for name in names):
                counts.update(names)
                taken.append(row)
        return np.array(sorted(taken), dtype=np.int64), dict(sorted(counts.items()))
