"""Tags that depend on the tag before them, as a linear chain (CRF, Lafferty et al. 2001). numpy only.

Of `count` tags a unit has count + count² outputs: one for each tag, then one for each pair of a tag and the one before it. Its
score for tag b after a is the sum of both, so that what stands in the text weighs on tags and on steps between them (Ma and
Hovy 2016, section 2.3). Before the first unit any tag may stand.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np


def size(count: int) -> int:
    """Outputs a unit for so many tags."""
    return count + count**2


def tags_of(outputs: int) -> int:
    """How many tags have so many outputs a unit. Raises ValueError where no number of tags has."""
    count = (math.isqrt(1 + 4 * outputs) - 1) // 2
    if count < 1 or size(count) != outputs:
        raise ValueError(f"{outputs} outputs are not those of tags and of pairs of them")
    return count


def names(tags: Sequence[str]) -> tuple[str, ...]:
    """The outputs' names, in order."""
    return (*tags, *(f"{before}>{tag}" for before in tags for tag in tags))


def pairs(before: np.ndarray, tags: np.ndarray, count: int) -> np.ndarray:
    """The output of each unit's pair, given the tag before it and its own (units,)."""
    return count + before * count + tags


def scores(outputs: np.ndarray) -> np.ndarray:
    """(units, tags before, tags) from outputs (units, size)."""
    count = tags_of(outputs.shape[1])
    return outputs[:, None, :count] + outputs[:, count:].reshape(-1, count, count)


def best(scores: Iterable[np.ndarray]) -> np.ndarray:
    """(units,) the tags of the path with the highest sum (Viterbi 1967). scores: of each unit (tags before, tags)."""
    reached, came = 0.0, []
    for unit in scores:
        paths = np.expand_dims(reached, -1) + unit
        came.append(np.argmax(paths, axis=0))
        reached = np.max(paths, axis=0)
    path = [int(np.argmax(reached))] if came else []
    for before in came[:0:-1]:
        path.append(int(before[path[-1]]))
    return np.array(path[::-1], dtype=np.int64)


def probabilities(scores: np.ndarray) -> np.ndarray:
    """(units, tags) each tag's share of all paths through its unit, by the forward and the backward pass."""
    forward, backward = np.zeros(scores.shape[::2]), np.zeros(scores.shape[::2])
    reached = np.zeros(scores.shape[1])
    for unit in range(len(scores)):
        forward[unit] = reached = _summed(reached[:, None] + scores[unit], axis=0)
    for unit in range(len(scores) - 1, 0, -1):
        backward[unit - 1] = _summed(scores[unit] + backward[unit], axis=1)
    both = forward + backward
    return np.exp(both - _summed(both, axis=1)[:, None])


def _summed(logs: np.ndarray, axis: int) -> np.ndarray:
    """log of the sum of exp along an axis; -inf where all are."""
    most = np.max(logs, axis=axis, keepdims=True)
    most = np.where(np.isfinite(most), most, 0.0)
    with np.errstate(divide="ignore"):
        return np.squeeze(most, axis) + np.log(np.sum(np.exp(logs - most), axis=axis))
