"""How much a key may ask for: requests and rows, a minute and a day. Words such as "rows/day" name the four."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from tunewright.core.errors import UsageError, listing, nearest

PERIODS = {"minute": 60, "day": 86_400}  # seconds; each begins where the clock's (UTC) does
COUNTED = ("requests", "rows")
QUOTAS = tuple(f"{what}/{period}" for what in COUNTED for period in PERIODS)


def parse(words: Iterable[str]) -> dict[str, int]:
    """Quotas from words as rows/day=1000. Raises UsageError."""
    found = {}
    for word in words:
        name, _, number = word.partition("=")
        if name not in QUOTAS:
            raise UsageError(f"There is no quota {name!r:.40}.{nearest(name, QUOTAS)} Quotas: {listing(QUOTAS)}.")
        if not (number.isascii() and number.isdigit()) or not 0 < int(number[:20]) < 10**15:
            raise UsageError(f"--quota {name} needs a whole number from 1, as {name}=1000.")
        found[name] = int(number)
    return found


def are(given: Any) -> bool:
    """Whether this is a mapping of quotas to numbers."""
    if not isinstance(given, Mapping):
        return False
    return all(name in QUOTAS and type(number) is int and number > 0 for name, number in given.items())


def windows(quotas: Mapping[str, int], what: str, now: float) -> list[tuple[str, int, int, int]]:
    """(period, number of the window that `now` is in, quota, seconds until it ends) of the quotas on requests or rows."""
    found = []
    for period, seconds in PERIODS.items():
        if (most := quotas.get(f"{what}/{period}")) is not None:
            number = int(now // seconds)
            found.append((period, number, most, math.ceil((number + 1) * seconds - now)))
    return found
