"""Numbers as people read them: shares in percent, differences in points, times and sizes with their unit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tunewright.stages.wording import is_share

NONE = "–"


def count(value: Any) -> str:
    """A whole number with thousands apart: 12,345."""
    return NONE if value is None else f"{round(value):,}"


def percent(value: Any, digits: int = 1) -> str:
    """A share as percent: 0.912 → 91.2%."""
    return NONE if value is None else f"{100 * value:.{digits}f}%"


def measure(value: Any, metric: str = "accuracy") -> str:
    """A metric's value as its kind is read: 91.2%, or 0.912 where it is no share."""
    if value is None:
        return NONE
    return percent(value) if is_share(metric) else f"{value:.3f}"


def difference(value: Any, metric: str = "accuracy") -> str:
    """A difference with its sign, in percentage points for shares: +3.1."""
    if value is None:
        return NONE
    text = f"{100 * value:+.1f}" if is_share(metric) else f"{value:+.3f}"
    return text[1:] if text.strip("+-0.") == "" else text


def between(interval: Mapping[str, Any] | None, metric: str = "accuracy") -> str:
    """An interval's ends: 90.2%–92.1%."""
    if not interval or interval.get("low") is None or interval.get("high") is None:
        return NONE
    low, high = (measure(interval[key], metric) for key in ("low", "high"))
    return f"{low}{' … ' if low.startswith('-') else '–'}{high}"


def number(value: Any) -> str:
    """Any plain value, short: whole numbers with thousands apart, others with four figures, the rest as text."""
    if value is None:
        return NONE
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:.4g}"


def word(value: Any) -> str:
    """A recipe's value in a few words: text as it is, a component by its name and settings, all else as JSON."""
    if isinstance(value, Mapping) and "name" in value:
        settings = ", ".join(f"{key} {word(item)}" for key, item in value.items() if key != "name")
        return f"{value['name']} ({settings})" if settings else str(value["name"])
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def short(text: str, most: int = 18) -> str:
    """A text that fits under a tick."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def size(mebibytes: Any) -> str:
    """A size given in MiB: 812 MiB, 1.6 GiB."""
    if mebibytes is None:
        return NONE
    return f"{mebibytes:,.0f} MiB" if mebibytes < 1024 else f"{mebibytes / 1024:.1f} GiB"


def duration(seconds: Any, units: tuple[str, str, str] = ("h", "min", "s")) -> str:
    """A time: 4.2 s, 3 min 12 s, 1 h 5 min; `units` are the language's words for hour, minute, second."""
    if seconds is None:
        return NONE
    hour, minute, second = units
    if seconds < 60:
        return f"{seconds:.1f} {second}" if seconds < 10 else f"{seconds:.0f} {second}"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} {minute} {whole % 60} {second}"
    return f"{whole // 3600} {hour} {whole % 3600 // 60} {minute}"
