"""What is told of texts without a model: their units, how rare each is, where sentences end."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable

from tunewright.core import spans

# Up to a full stop that no letter or digit follows, to a Chinese one wherever it stands, or to a line's end.
_SENTENCE = re.compile(r"\S.*?(?:[.!?]+[\"'”’)]*(?=\s)|[。！？；]+[”’」』）]*|$)", re.MULTILINE)


def units(text: str) -> list[str]:
    """The units of a text (core/spans.py) in order, in small letters."""
    return [text[start:end].lower() for start, end in spans.bounds(text)]


def rarity(texts: Iterable[str]) -> dict[str, float]:
    """Unit → the logarithm of how many texts there are for one that has it."""
    found = [frozenset(units(text)) for text in texts]
    counts = Counter(unit for own in found for unit in own)
    return {unit: math.log(1 + len(found) / count) for unit, count in counts.items()}


def sentences(text: str) -> list[tuple[int, int]]:
    """The characters of each sentence: start, and end which is not part of it."""
    return [match.span() for match in _SENTENCE.finditer(text)]
