"""Divide logits by one temperature, so that scores mean what they say (Guo et al. 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from tunewright.core.contracts import Calibrator
from tunewright.core.numeric import negative_log_likelihood

COLDEST, HOTTEST = 0.05, 20.0


@dataclass(frozen=True)
class Temperature(Calibrator):
    """The temperature with the least negative log-likelihood. It changes no answer, only how sure it is."""

    prior: Annotated[float, Field(ge=0, allow_inf_nan=False)] = (
        1.0  # weight of "about 1" (in rows), so that few or all-right rows give no extreme; 0 turns it off
    )

    def fit(self, logits: np.ndarray, gold: np.ndarray, multi_label: bool) -> tuple[np.ndarray, np.ndarray]:
        """See Calibrator.fit. One temperature between 0.05 and 20 for all labels; the shift is 0."""
        from scipy.optimize import minimize_scalar

        logits, gold = np.asarray(logits, dtype=np.float64), np.asarray(gold)
        if len(logits) == 0:
            return np.ones(()), np.zeros(())

        def cost(log_temperature: float) -> float:
            loss = np.sum(negative_log_likelihood(logits * np.exp(-log_temperature), gold))
            return float(loss + self.prior * log_temperature**2 / 2)

        bounds = (np.log(COLDEST), np.log(HOTTEST))
        found = minimize_scalar(cost, bounds=bounds, method="bounded", options={"xatol": 1e-6})
        return np.asarray(np.exp(-found.x)), np.zeros(())
