"""Weights that lie in their file smaller than they are computed with: what is not zero alone, or in four bits. numpy only.

A tensor stored so has, in place of itself, parts that are called NAME:KIND beside it. Opened, it is dense float32 again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

GROUP = 32  # neighbouring inputs that share a scale in four bits
MOST = 7  # largest 4-bit weight; symmetric, so that zero stays zero
SHAPE = "shape"  # the kind that every stored tensor has

Parts = dict[str, np.ndarray]


class Form(NamedTuple):
    """How a tensor (…, inputs) is taken apart, and put together to a shape again."""

    pack: Callable[[np.ndarray], Parts]
    unpack: Callable[[Mapping[str, np.ndarray], tuple[int, ...]], np.ndarray]
    mark: str  # the kind by which its parts are known


def packed(tensor: np.ndarray, form: str) -> Parts:
    """The parts of a float32 tensor in one of FORMS."""
    return {**FORMS[form].pack(tensor), SHAPE: np.array(tensor.shape, dtype=np.int64)}


def unpacked(parts: Mapping[str, np.ndarray]) -> np.ndarray:
    """The tensor of `packed` parts, dense and float32."""
    form = next(form for form in FORMS.values() if form.mark in parts)
    return form.unpack(parts, tuple(int(size) for size in parts[SHAPE]))


def kinds() -> set[str]:
    """What may stand behind the colon of a part's name."""
    return {SHAPE, "values", "scales", *(form.mark for form in FORMS.values())}


def rounded(tensor: np.ndarray) -> np.ndarray:
    """A float32 tensor on the grid that four bits leave: packing it loses nothing more."""
    return unpacked(packed(tensor, "int4"))


def _sparse(tensor: np.ndarray) -> Parts:
    there = tensor.reshape(-1) != 0
    return {"places": np.packbits(there), "values": tensor.reshape(-1)[there]}


def _dense(parts: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    found = np.zeros(int(np.prod(shape)), dtype=np.float32)
    found[np.unpackbits(parts["places"], count=len(found)).astype(bool)] = parts["values"]
    return found.reshape(shape)


def _int4(tensor: np.ndarray) -> Parts:
    rows = tensor.reshape(-1, tensor.shape[-1])
    groups = np.pad(rows, ((0, 0), (0, -rows.shape[1] % GROUP))).reshape(len(rows), -1, GROUP)
    scales = (np.abs(groups).max(axis=2) / MOST).astype(np.float16)
    divisors = np.where(scales > 0, scales, 1).astype(np.float32)
    steps = np.clip(np.rint(groups / divisors[:, :, None]), -MOST, MOST).astype(np.int8).reshape(-1)
    nibbles = (steps + MOST).astype(np.uint8)
    return {"nibbles": nibbles[0::2] | (nibbles[1::2] << 4), "scales": scales}


def _from_int4(parts: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    both = np.asarray(parts["nibbles"])
    steps = np.stack([both & 15, both >> 4], axis=1).reshape(-1).astype(np.float32) - MOST
    scales = np.asarray(parts["scales"], dtype=np.float32)
    rows = (steps.reshape(*scales.shape, GROUP) * scales[:, :, None]).reshape(len(scales), -1)
    return np.ascontiguousarray(rows[:, : shape[-1]]).reshape(shape)


FORMS = {"sparse": Form(_sparse, _dense, "places"), "int4": Form(_int4, _from_int4, "nibbles")}
