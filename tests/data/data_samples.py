"""Rows that the data layer's tests share."""

from __future__ import annotations

ENGLISH = [(f"please book a table for {n} people tonight", "book" if n % 2 else "cancel") for n in range(60)]
CHINESE = [(f"今天的天气真好，我们第{n}次去公园散步吧", "好" if n % 2 else "坏") for n in range(60)]


def table(rows: list[tuple[str, ...]], header: tuple[str, ...] = ("text", "label"), delimiter: str = ",") -> str:
    """Rows as CSV text; cells must not hold the delimiter."""
    return "".join(delimiter.join(row) + "\n" for row in [header, *rows])
