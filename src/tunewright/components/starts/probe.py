"""Begin with a linear probe: the best head for the backbone as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tunewright.core.contracts import Beginning, Start
from tunewright.core.linear import fit_for
from tunewright.core.types import Note


@dataclass(frozen=True)
class Probe(Start):
    """Logistic regression on pooled features, or least squares for numbers; its penalty is chosen on validation."""

    why: ClassVar[Note] = Note(
        "a linear probe is a good head before the first step", "线性探针在第一步之前就是不错的输出层"
    )

    def head(self, given: Beginning) -> tuple[np.ndarray, np.ndarray] | None:
        """See Start.head."""
        train, validation = given.features(given.train), given.features(given.validation)
        fit = fit_for(given.task, train, given.train, validation, given.validation, given.labels)
        return fit.weight, fit.bias
