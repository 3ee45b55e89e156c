"""Begin with a linear probe: the best head for the backbone as it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tunewright.core.contracts import Beginning, Start
from tunewright.core.linear import fit_for


@dataclass(frozen=True)
class Probe(Start):
    """Logistic regression on pooled features, or least squares for numbers; its penalty is chosen on validation."""

    def head(self, given: Beginning) -> tuple[np.ndarray, np.ndarray] | None:
        """See Start.head."""
        train, validation = given.features(given.train), given.features(given.validation)
        fit = fit_for(given.task, train, given.train, validation, given.validation, given.labels)
        return fit.weight, fit.bias
