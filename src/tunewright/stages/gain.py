"""How much of a search's gain is luck: choose anew on resampled rows, and judge the choice on the rows left out.

The best of many trials looks better on the rows it was chosen by than it is. Resampling the rows shows by how much,
without training anything again (Tsamardinos, Greasidou and Borboudakis 2018, bootstrap bias correction).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tunewright.core.contracts import Measures
from tunewright.core.statistics import MOST_CELLS, Interval
from tunewright.core.types import Label, Prediction

RESAMPLES = 1000
LEAST_ROWS = 20  # of fewer, those left out are too few to judge by
CONFIDENCE = 0.95


def resampled(
    measures: Measures,
    metric: str,
    gold: Sequence[Label],
    predictions: Sequence[Prediction],
    labels: Sequence[str],
    seed: int,
) -> np.ndarray | None:
    """(2, RESAMPLES): the metric on each resample of the rows, and on the rows that resample leaves out.

    The same seed and number of rows give the same resamples. None where the measures cannot weigh rows, or rows are few.
    """
    rows = len(gold)
    measure = measures.weighed(metric, gold, predictions, labels)
    if measure is None or rows < LEAST_ROWS:
        return None
    draw, chunk, parts = np.random.default_rng(seed), max(1, MOST_CELLS // rows), []
    for start in range(0, RESAMPLES, chunk):
        size = min(chunk, RESAMPLES - start)
        weights = draw.multinomial(rows, np.full(rows, 1 / rows), size=size).astype(float)
        parts.append(np.stack([measure(weights), measure((weights == 0).astype(float))]))
    return np.concatenate(parts, axis=1)


def corrected(own: int, best: int, trials: Sequence[np.ndarray], metric: str) -> Interval:
    """What the trial at index `best` gains over the one at `own`, both of `trials`, each as `resampled` gives it.

    The gain is what choosing anew gains on the rows left out, which has no bias. Its interval is the paired one of the two
    trials on all rows, moved to that gain (as Noma et al. 2021 do, location-shifted).
    """
    inside, outside = np.moveaxis(np.stack(trials), 1, 0)
    chosen, every = np.argmax(inside, axis=0), np.arange(inside.shape[1])
    value = np.mean(outside[chosen, every] - outside[own])
    paired, tail = inside[best] - inside[own], (1 - CONFIDENCE) / 2
    low, high = np.quantile(paired, [tail, 1 - tail]) - np.mean(paired) + value
    return Interval(float(value), float(low), float(high), metric)
