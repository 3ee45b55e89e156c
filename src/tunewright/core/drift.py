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
BINS = 20  # that a number is cut into, at quantiles; their order counts, so that many cost nothing
DIRECTIONS = 8  # of vectors that are compared at most: those in which usual ones differ most
LEAST_SPREAD = 0.01  # of the widest direction's, that a direction must have
STEADY = 0.001  # added to each feature's spread, as a share of the mean one
DIGITS = 8  # after the point, of means and covariances that are kept
SHARED_BY = 2  # rows that must hold a number before it is remembered
ROWS_A_FEATURE = 5  # rows that it takes to know one feature's spread
BUCKETS = 2048  # that pieces fall into by their hash: a vocabulary has many times more, so that none says which it was
RARE = 0.03  # share of rows: buckets of fewer count for less, as theirs are mostly chance
LEAST_P = 1e-300  # nothing is surer
GRAM_ROWS = 1000  # of which is learned how buckets go together


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
    random = np.random.default_rng(seed)
    return Drift(_permuted(statistic, pooled, now, rows, random, lambda: _far_out(pooled, now, rows)), distance)


def compare_ordered(before: np.ndarray, now: np.ndarray, seed: int = 0) -> Drift:
    """Counts in bins that have an order, (bins,) each, held against each other.

    The statistic is that of Anderson and Darling for two samples with ties (Scholz and Stephens 1987): it sees at once
    that numbers are larger, or lie further apart, and with more rows any other difference. p is that of a permutation
    test, as in `compare_counts`; far out it is that of the statistic's largest component (Zolotarev 1961). distance:
    Kolmogorov's, the share of rows on the other side of some edge.
    """
    from scipy.stats import chi2

    before, now = np.asarray(before, dtype=np.int64), np.asarray(now, dtype=np.int64)
    there = before + now > 0
    before, now = before[there], now[there]
    rows, total = int(now.sum()), int(now.sum() + before.sum())
    if not rows or rows == total or len(now) < 2:
        return Drift(1.0, 0.0)
    pooled = before + now
    below = np.cumsum(pooled)[:-1]
    weights = pooled[:-1] / (below * (total - below))

    def statistic(counts: np.ndarray) -> np.ndarray:
        apart = total * np.cumsum(counts, axis=-1)[..., :-1] - rows * below
        return np.sum(weights * apart.astype(float) ** 2, axis=-1) * (total - 1) / (total * rows * (total - rows))

    distance = np.max(np.abs(np.cumsum(now)[:-1] / rows - np.cumsum(before)[:-1] / (total - rows)))
    p = _permuted(
        statistic,
        pooled,
        now,
        rows,
        np.random.default_rng(seed),
        lambda: float(min(1.0, np.sqrt(3) * chi2.sf(2 * statistic(now), 1))),
    )
    return Drift(p, float(distance))


def _permuted(
    statistic: Callable[[np.ndarray], np.ndarray],
    pooled: np.ndarray,
    now: np.ndarray,
    rows: int,
    random: np.random.Generator,
    far_out: Callable[[], float],
) -> float:
    """The share of tables with the same margins that are at least as far apart; where none is found, what `far_out` says."""
    found, hits, drawn = statistic(now) - 1e-9, 0, 0
    while drawn < DRAWS:
        tables = random.multivariate_hypergeometric(pooled, rows, size=AT_A_TIME, method="marginals")
        far = np.flatnonzero(statistic(tables) >= found)
        if hits + len(far) >= HITS:
            return HITS / (drawn + int(far[HITS - hits - 1]) + 1)
        hits, drawn = hits + len(far), drawn + AT_A_TIME
    least = (hits + 1) / (drawn + 1)
    return least if hits else min(least, far_out())


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
    """The mean of features of a like spread, (features,) each, held against the earlier mean: Hotelling's test, the spread
    being the earlier rows'. distance: how many spreads the means lie apart, the mean of all features, 1 at most.
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
    spread = max(float(np.trace(covariance)) / size, 1e-12)
    return Drift(p, float(min(1.0, np.sqrt(np.mean(difference**2) / spread))))


def combined(p: Sequence[float]) -> float:
    """Several tests as one that is held against the same limit as each, `limit_of_each`: 1 / the sum of all 1 / p. It is no
    larger than the least p, and smaller where several are small (harmonic mean p, Wilson 2019)."""
    return 1 / sum(1 / max(one, LEAST_P) for one in p) if len(p) else 1.0


def limit_of_each(level: float, tests: int) -> float:
    """The p below which a single test, or all of them `combined`, comes about by chance no more often than `level`, however
    they depend on each other: 1 / p is so heavy-tailed that its sum is of the same form (Wilson 2019, equation 4)."""
    from scipy.stats import landau

    if tests < 2:
        return level
    sum_of_all = landau.isf(level, loc=np.log(tests) + 0.874 + np.log(np.pi / 2), scale=np.pi / 2)
    return float(1 / tests / sum_of_all)


def level_of_each(level: float, overlaps: Sequence[float]) -> float:
    """The level of each of several looks, of which every one shares a part of its rows with the one before (`overlaps`, one
    fewer than looks), so that all of them together come about by chance no more often than `level`.

    Hunter's bound (1976): the sum of their levels less that of each with the one before, a normal variable and the next,
    whose correlation is taken to be the part's alone. Sums of squares depend on each other so, means and shares more.
    """
    from scipy.special import ndtr, ndtri

    nodes, weights = np.polynomial.legendre.leggauss(200)
    each = level
    for _ in range(30):
        least = -float(ndtri(each / 2))
        at = least + (nodes + 1) * 4  # what lies further out is nothing
        density = np.exp(-(at**2) / 2) / np.sqrt(2 * np.pi) * weights * 4
        both = [2 * float(density @ ndtr((part * at - least) / np.sqrt(1 - part**2))) for part in overlaps]
        each = level / (1 + sum(max(0.0, 1 - one / each) for one in both))
    return each


def cut(values: np.ndarray) -> np.ndarray:
    """Where to cut numbers into bins of about as many rows: the edges between them. A value that many rows share has a bin
    of its own."""
    inner = np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1]) if len(values) else np.zeros(0)
    return np.unique(np.concatenate([inner, np.nextafter(inner, -np.inf)]))


def binned(values: np.ndarray, edges: Sequence[float]) -> np.ndarray:
    """How many values lie in each bin, (edges + 1,)."""
    return np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1).astype(float)


def learn_directions(vectors: np.ndarray) -> dict[str, Any] | None:
    """Where vectors (rows, numbers) lie: their mean, and the directions in which they differ most (principal components),
    with mean and covariance of `along` these; None: too few rows, or all alike."""
    if len(vectors) < 2 * ROWS_A_FEATURE or not vectors.shape[1]:
        return None
    centre = vectors.mean(axis=0)
    _, widths, directions = np.linalg.svd(vectors - centre, full_matrices=False)
    most = min(DIRECTIONS, len(vectors) // ROWS_A_FEATURE - 1)
    kept = (widths**2 > LEAST_SPREAD * widths[0] ** 2)[:most]
    if not widths[0] or not kept.any():
        return None
    spreads = widths[:most][kept] / np.sqrt(len(vectors))
    usual: dict[str, Any] = {"rows": len(vectors), "centre": centre.round(DIGITS)}
    usual["spread"] = float(np.sqrt(np.sum(widths**2) / len(vectors)))
    usual["directions"] = (directions[:most][kept] / spreads[:, None]).round(DIGITS)
    found = along(vectors, usual)
    return {**usual, "mean": found.mean(axis=0).round(DIGITS), "covariance": np.cov(found, rowvar=False).round(DIGITS)}


def along(vectors: np.ndarray, usual: Mapping[str, Any]) -> np.ndarray:
    """How far vectors lie along each direction, and how far from the mean in all: (rows, directions + 1)."""
    apart = vectors - usual["centre"]
    far = np.linalg.norm(apart, axis=1, keepdims=True) / usual["spread"]
    return np.concatenate([apart @ usual["directions"].T, far], axis=1)


def bucket_counts(rows: Sequence[np.ndarray]) -> np.ndarray:
    """In how many rows some piece falls into each bucket, by its hash: (BUCKETS,)."""
    found = np.zeros(BUCKETS)
    for row in rows:
        found[np.unique(_buckets(row))] += 1
    return found


def _buckets(row: np.ndarray) -> np.ndarray:
    return (hashed(row) % np.uint64(BUCKETS)).astype(np.int64)


def hashed(numbers: np.ndarray) -> np.ndarray:
    """64 bits for each number (splitmix64, Steele et al. 2014)."""
    mixed = numbers.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))


def learn_buckets(rows: Sequence[np.ndarray]) -> dict[str, Any] | None:
    """In how many rows some piece falls into each bucket, and how buckets go together: the moments of the sum that
    `compare_buckets` looks at, from inner products of different rows. None: too few rows, or all alike."""
    if len(rows) < 2 * ROWS_A_FEATURE:
        return None
    some = rows[:: -(-len(rows) // GRAM_ROWS)]
    held, many = np.zeros((len(some), BUCKETS), dtype=np.float32), len(some)
    for place, row in enumerate(some):
        held[place, _buckets(row)] = 1
    share = held.mean(axis=0)
    apart = (held - share) / np.sqrt(share + RARE)
    gram = apart @ apart.T
    sizes = np.diag(gram).copy()
    first = float(sizes.sum()) / (many - 1)
    np.fill_diagonal(gram, 0)
    second = float(np.sum(gram**2)) / (many * (many - 1))
    third = float(np.sum((gram @ gram) * gram)) / (many * (many - 1) * (many - 2))
    if first <= 0 or second <= 0:
        return None
    # as much as a chi-squared variable can have, where so few rows say nothing of it
    third = max(third, second**2 / first)
    return {
        "rows": len(rows),
        "counts": bucket_counts(rows).astype(int),
        "spread": 2 * second / first**2,
        "sizes": float(sizes.var() / first**2),
        "free": second**3 / third**2,
    }


def compare_buckets(usual: Mapping[str, Any], now: np.ndarray, rows: int) -> Drift:
    """In how many rows something falls into each bucket, (buckets,), where a row is in many, against what `learn_buckets` gave.

    The statistic is Pearson's over all buckets, rare ones weighted down. Rows and not buckets are drawn, so its mean is
    exact; its variance is that of the usual rows (Rao and Scott 1981), more for few rows as some hold more than others, and
    its form a chi-squared one of the same skewness (Buckley and Eagleson 1988). distance: by how much shares differ beyond
    chance, against their spread, 1 at most.
    """
    from scipy.stats import chi2

    before, rows_before = np.asarray(usual["counts"]), usual["rows"]
    both, total = 1 / max(1, rows) + 1 / rows_before, rows + rows_before
    share = (before + now) / total
    weights = 1 / (share + RARE)
    expected = float(np.sum(weights * share * (1 - share))) * both * total / (total - 1)
    if not rows or expected <= 0:
        return Drift(1.0, 0.0)
    found = float(np.sum(weights * (np.asarray(now) / rows - before / rows_before) ** 2)) / expected
    variance = usual["spread"] + usual["sizes"] * (rows**-3 + rows_before**-3) / both**2
    free = usual["free"]
    p = float(chi2.sf(free + (found - 1) * np.sqrt(2 * free / variance), free))
    return Drift(p, float(min(1.0, np.sqrt(max(0.0, found - 1) * both))))


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
