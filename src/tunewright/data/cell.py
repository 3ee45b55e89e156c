"""What a table's cell, or an input, may hold instead of a text: nothing, or characters that are none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tunewright.core.errors import listing
from tunewright.core.names import is_empty


def nothing_in(values: Mapping[str, Any], columns: Mapping[str, str], needed: Iterable[Sequence[str]]) -> str:
    """Why a row's values say too little, "" where they suffice: of each group of roles one column must not be empty.

    columns: role → column, of the roles that the data have; needed: see Task.needed.
    """
    for group in needed:
        names = [columns[role] for role in group if role in columns]
        if all(is_empty(values.get(name)) for name in names):
            if len(names) > 1:
                return f"columns {listing(map(repr, names))} are empty"
            return f"column {names[0]!r} is empty" if names[0] in values else f"no column {names[0]!r}"
    return ""


def plain(value: Any) -> Any:
    """A cell as plain Python: numpy's numbers and arrays become numbers and lists."""
    return value.tolist() if hasattr(value, "tolist") else value


def is_unicode(value: Any) -> bool:
    """Whether a value can be written as UTF-8: a lone surrogate, which JSON may hold, cannot, wherever it stands."""
    if isinstance(value, str):
        if value.isascii():
            return True
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            return False
    if isinstance(value, Mapping):
        return all(map(is_unicode, value)) and all(map(is_unicode, value.values()))
    return all(map(is_unicode, value)) if isinstance(value, (list, tuple)) else True
