"""Tensors of a safetensors file, left on the disk until they are used. numpy only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

TYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16}
OTHERS = {"I64": np.int64, "I32": np.int32, "U8": np.uint8, "BOOL": np.bool_}  # counters and masks of a network


class Place(NamedTuple):
    """Where a tensor lies in the file: its type as safetensors names it, its shape, its first byte."""

    type: str
    shape: tuple[int, ...]
    start: int


def places(file: Path) -> dict[str, Place]:
    """Every tensor's name and place, read from the file's header (safetensors' documentation, "Format")."""
    with open(file, "rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(size))
    header.pop("__metadata__", None)
    return {
        name: Place(about["dtype"], tuple(about["shape"]), 8 + size + about["data_offsets"][0])
        for name, about in header.items()
    }


def mapped(file: Path, place: Place, *, writable: bool = False) -> np.ndarray:
    """The tensor as a float32 array; where it is saved as one, it takes memory only for what is looked at.

    One of whole numbers keeps its type. writable: what is written stays in this array, and the file as it is.
    """
    kind, mode = (TYPES | OTHERS)[place.type], "c" if writable else "r"
    found = np.asarray(np.memmap(file, kind, mode=mode, offset=place.start, shape=place.shape))
    return found.astype(np.float32, copy=False) if place.type in TYPES else found
