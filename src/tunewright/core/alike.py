"""How alike two texts are to an encoder that reads each by itself. numpy only."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tunewright.core import ranking
from tunewright.core.types import Example


def alone(examples: Sequence[Example], role: str) -> list[Example]:
    """Each example with that text alone, without its label, under a name of its own."""
    return [Example(f"{example.id} {role}", {role: example.inputs[role]}) for example in examples]


def cosines(
    embed: Callable[[Sequence[Example]], np.ndarray], examples: Sequence[Example], roles: Sequence[str]
) -> np.ndarray:
    """(examples, 1) the cosine of the features of each example's two texts; 0 where one has none.

    embed: gives features (examples, hidden); roles: the two inputs.
    """
    if not examples:
        return np.zeros((0, 1), dtype=np.float32)
    first, second = (ranking.unit(embed(alone(examples, role))) for role in roles)
    return np.sum(first * second, axis=1, keepdims=True, dtype=np.float32)
