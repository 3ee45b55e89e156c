"""Whether new rows are drawn like earlier ones, from sums alone: tests whose p-values hold for few rows as well. numpy and scipy.

What is kept of rows adds up (counts, sums of features), so that windows are made of smaller ones and no row is kept.
"""

from __future__ import annotations

import base64
import functools
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

HITS = 10  # tables at least as far apart after which a p-value is known well enough
DRAWS, AT_A_TIME = 10_000, 1000  # tables drawn at most, and together
EXPECTED = 5  # rows that a category must be expected to have, before the chi-squared test counts it by itself
BINS = 10  # that a number is cut into, at quantiles: enough to see its form, few enough for 100 rows
FEATURES = 64  # random features of a vector at most: more see finer differences and need more rows
FEATURES_A_NUMBER = 4  # of a vector of few numbers: more would say the same again
# Added to each feature's spread, as a share of the mean one: directions of nearly none are far from normal, and without it
# p-values of 0.002 are five times as frequent as they should be. With it they are a little too large.
STEADY = 0.05
DIGITS = 8  # after the point, of means and covariances that are kept
SHARED_BY = 2  # rows that must hold a number before it is remembered
ROWS_A_FEATURE = 5  # rows that it takes to know one feature's spread


@dataclass(frozen=True)
class Drift:
    """How rows differ from earlier ones. p: how often as large a difference comes about by chance alone; distance: how
    large it is, in [0, 1] (0: alike)."""

    p: float
    distance: float


def compare_counts(before: np.ndarray, now: np.ndarray, seed: int = 0) -> Drift:
    """Counts of the same categories, (categories,) each, held against each other.

    p is that of a permutation test on Pearson's statistic: tables with the same margins are drawn until HITS are at least
    as far apart (Besag and Clifford 1991), so it holds however rare a category is. distance: total variation.
    """
    before, now = np.asarray(before, dtype=np.int64), np.asarray(now, dtype=np.int64)
    there = before + now > 0
    before, now = before[there], now[there]
    rows, total = int(now.sum()), int(now.sum() + before.sum())
    if not rows or rows == total:
        return Drift(1.0, 0.0)
    pooled = before + now
    expected = pooled * (rows / total)

    def statistic(counts: np.ndarray) -> np.ndarray:
        return np.sum((counts - expected) ** 2 / expected, axis=-1)

    distance = 0.5 * float(np.sum(np.abs(now / rows - before / (total - rows))))
    return Drift(_permuted(statistic, pooled, now, rows, np.random.default_rng(seed)), distance)


def _permuted(
    statistic: Callable[[np.ndarray], np.ndarray],
    pooled: np.ndarray,
    now: np.ndarray,
    rows: int,
    random: np.random.Generator,
) -> float:
    found, hits, drawn = statistic(now) - 1e-9, 0, 0
    while drawn < DRAWS:
        tables = random.multivariate_hypergeometric(pooled, rows, size=AT_A_TIME, method="marginals")
        far = np.flatnonzero(statistic(tables) >= found)
        if hits + len(far) >= HITS:
            return HITS / (drawn + int(far[HITS - hits - 1]) + 1)
        hits, drawn = hits + len(far), drawn + AT_A_TIME
    least = (hits + 1) / (drawn + 1)
    return least if hits else min(least, _far_out(pooled, now, rows))


def _far_out(pooled: np.ndarray, now: np.ndarray, rows: int) -> float:
    """The p-value of a table that no drawn one comes near: of the chi-squared test, rare categories counted as one."""
    from scipy.stats import chi2

    rare = pooled * min(rows, pooled.sum() - rows) < EXPECTED * pooled.sum()
    pooled, now = (np.append(counts[~rare], counts[rare].sum()) for counts in (pooled, now))
    pooled, now = pooled[pooled > 0], now[pooled > 0]
    share = rows / pooled.sum()
    square = float(np.sum((now - pooled * share) ** 2 / (pooled * share * (1 - share))))
    return float(chi2.sf(square, len(pooled) - 1)) if len(pooled) > 1 else 1.0


def compare_occurrences(before: np.ndarray, rows_before: int, now: np.ndarray, rows: int) -> Drift:
    """In how many rows each name occurs, where a row may hold several: the least p of all names, times their number.

    Each is Fisher's exact test, so nothing is assumed of how names go together. distance: the largest difference of a
    share.
    """
    from scipy.stats import hypergeom

    before, now = np.asarray(before, dtype=np.int64), np.asarray(now, dtype=np.int64)
    if not rows or not rows_before or not len(now):
        return Drift(1.0, 0.0)
    table = hypergeom(rows + rows_before, before + now, rows)
    p = 2 * np.minimum(table.cdf(now), table.sf(now - 1))
    distance = np.max(np.abs(now / rows - before / rows_before))
    return Drift(float(min(1.0, p.min() * len(now))), float(distance))


def compare_means(mean: np.ndarray, covariance: np.ndarray, rows_before: int, sums: np.ndarray, rows: int) -> Drift:
    """The mean of bounded features, (features,) each, held against the earlier mean: Hotelling's test, the spread being the
    earlier rows'. On random features this is the test of smoothed characteristic functions (Chwialkowski et al. 2015,
    section 3), a maximum mean discrepancy made comparable. distance: that of the means, against the largest possible.
    """
    from scipy.stats import f

    if not rows:
        return Drift(1.0, 0.0)
    size = len(mean)
    difference = np.asarray(sums) / rows - mean
    steady = covariance + (STEADY * np.trace(covariance) / size + 1e-12) * np.eye(size)
    square = float(difference @ np.linalg.solve(steady, difference)) / (1 / rows + 1 / rows_before)
    free = rows_before - size
    p = float(f.sf(square * free / (size * (rows_before - 1)), size, free))
    return Drift(p, float(min(1.0, np.sqrt(np.mean(difference**2)) / 2)))


def cut(values: np.ndarray) -> np.ndarray:
    """Where to cut numbers into bins of about as many rows: the edges between them. A value that many rows share has a bin
    of its own."""
    inner = np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1]) if len(values) else np.zeros(0)
    return np.unique(np.concatenate([inner, np.nextafter(inner, -np.inf)]))


def binned(values: np.ndarray, edges: Sequence[float]) -> np.ndarray:
    """How many values lie in each bin, (edges + 1,)."""
    return np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1).astype(float)


def learn_features(vectors: np.ndarray) -> dict[str, Any] | None:
    """Mean and spread of random features of vectors (rows, numbers), as many as the rows can bear; None: too few rows."""
    features = min(FEATURES, len(vectors) // ROWS_A_FEATURE, FEATURES_A_NUMBER * vectors.shape[1])
    if features < 2 or not vectors.shape[1]:
        return None
    usual = {"rows": len(vectors), "width": kernel_width(vectors), "features": features}
    found = features_of(vectors, usual)
    return {**usual, "mean": found.mean(axis=0).round(DIGITS), "covariance": np.cov(found, rowvar=False).round(DIGITS)}


def features_of(vectors: np.ndarray, usual: Mapping[str, Any]) -> np.ndarray:
    """Random Fourier features of a Gaussian kernel (Rahimi and Recht 2007): (rows, features) in [-1, 1], always the same."""
    random = np.random.default_rng(vectors.shape[1])
    directions = random.standard_normal((vectors.shape[1], FEATURES))[:, : usual["features"]]
    phases = random.uniform(0, 2 * np.pi, FEATURES)[: usual["features"]]
    return np.cos(vectors @ directions / usual["width"] + phases)


def kernel_width(vectors: np.ndarray, most: int = 500) -> float:
    """The median distance of two rows, of `most` at most, evenly taken: the usual width of a Gaussian kernel."""
    some = vectors[:: max(1, len(vectors) // most)][:most]
    squares = np.sum(some**2, axis=1)
    between = np.maximum(0, squares[:, None] + squares[None] - 2 * some @ some.T)[np.triu_indices(len(some), 1)]
    return float(np.sqrt(np.median(between))) if len(between) and np.median(between) > 0 else 1.0


def widely_known(rows: Sequence[np.ndarray]) -> tuple[str, np.ndarray]:
    """The numbers that stand in two rows at least, packed; and each row's share of numbers that no two others hold."""
    own, times = zip(*(np.unique(row, return_counts=True) for row in rows), strict=True) if rows else ((), ())
    most = int(max((row.max(initial=-1) for row in own), default=-1))
    holding = np.zeros(most + 1, dtype=np.int64)
    for row in own:
        holding[row] += 1
    shares = [_share(count, holding[row] <= SHARED_BY) for row, count in zip(own, times, strict=True)]
    return _packed(holding >= SHARED_BY), np.array(shares)


def unknown_shares(rows: Sequence[np.ndarray], known: str) -> np.ndarray:
    """Each row's share of numbers that are not among the known ones, (rows,)."""
    there = _unpacked(known)
    return np.array([_share(np.ones(len(row)), ~_among(row, there)) for row in rows])


def _share(weights: np.ndarray, chosen: np.ndarray) -> float:
    return float(weights[chosen].sum() / weights.sum()) if len(weights) else 0.0


def _among(row: np.ndarray, there: np.ndarray) -> np.ndarray:
    inside = row < len(there)
    return inside & there[np.where(inside, row, 0)] if len(there) else inside & False


def _packed(bits: np.ndarray) -> str:
    return base64.b64encode(zlib.compress(np.packbits(bits).tobytes(), 9)).decode("ascii")


@functools.lru_cache(maxsize=64)
def _unpacked(text: str) -> np.ndarray:
    return np.unpackbits(np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype=np.uint8)).astype(bool)
