"""Freed memory: kept for the next step instead of fetched again page by page, or given back to the system."""

from __future__ import annotations

import contextlib
import ctypes
import gc
from collections.abc import Iterator

# Parameters of glibc's mallopt(3), and their defaults.
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
DEFAULT = 128 * 1024
LARGE = 1 << 30


@contextlib.contextmanager
def kept_blocks() -> Iterator[None]:
    """Inside, blocks that are freed stay with this process; afterwards they are given back. Does nothing without glibc.

    A step frees and asks for the same sizes again and again; without this each of them costs the system's zeroing of
    every page.
    """
    library = _glibc()
    if library is None:
        yield
        return
    library.mallopt(MMAP_THRESHOLD, LARGE)
    library.mallopt(TRIM_THRESHOLD, LARGE)
    try:
        yield
    finally:
        library.mallopt(MMAP_THRESHOLD, DEFAULT)
        library.mallopt(TRIM_THRESHOLD, DEFAULT)
        library.malloc_trim(0)


def give_back() -> None:
    """Give freed blocks back to the system now, those of objects that only hold one another among them.

    Where what comes next asks for other sizes than what came before; else they would count beside it.
    """
    gc.collect()
    if (library := _glibc()) is not None:
        library.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
