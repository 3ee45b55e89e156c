"""What a cell says: nothing, a name, or yes or no."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunewright.core.errors import LabelError

# What a cell, or a label, calls yes and no, in small letters; the first of each is how we write it.
YES, NO = ("1", "yes", "true", "y", "是"), ("0", "no", "false", "n", "否")


def is_empty(value: Any) -> bool:
    """Whether a value says nothing: None, not-a-number, or white space alone."""
    return value is None or value != value or not str(value).strip()


def one(value: Any) -> str:
    """A cell's value as a label name: 3 and 3.0 are "3"; white space around a name is none of it."""
    if isinstance(value, (list, tuple, Mapping)):
        raise LabelError(f"A label is a name or a number, not {value!r:.80}.")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()
