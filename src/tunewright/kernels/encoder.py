"""An encoder of BERT's kind that answers in 8-bit integers, without torch: its weights rounded once, then one call a batch.

Weights are rounded per output and activations per token (dynamic quantization; Jacob et al. 2018, section 2.1), so the
answer to a text depends neither on the texts beside it nor on the number of threads.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tunewright.core.errors import MachineError
from tunewright.kernels.library import about, library

ADDRESS = ctypes.c_void_p
MOST = 127  # largest 8-bit weight; symmetric, so that zero stays zero
ROWS = 64  # of a matrix that are rounded together


@dataclass(frozen=True)
class Linear:
    """A linear map: weight (outputs, inputs), bias (outputs,)."""

    weight: np.ndarray
    bias: np.ndarray


@dataclass(frozen=True)
class Norm:
    """A layer normalisation's scale and shift (hidden,)."""

    scale: np.ndarray
    shift: np.ndarray


@dataclass(frozen=True)
class Layer:
    """A layer's parts: query, key and value one below the other in `fused`; then as they are applied."""

    fused: Linear
    attention_output: Linear
    attention_norm: Norm
    up: Linear
    down: Linear
    norm: Norm


@dataclass(frozen=True)
class Weights:
    """A whole encoder in floats: tables of pieces, positions and token types, each (…, hidden); and what follows them.

    layers: gone through once, so that they can be read one by one.
    """

    words: np.ndarray
    positions: np.ndarray
    kinds: np.ndarray
    norm: Norm
    layers: Iterable[Layer]
    heads: int
    epsilon: float
    first_position: int = 0


class _Map(ctypes.Structure):
    _fields_ = (
        ("inputs", ctypes.c_int),
        ("outputs", ctypes.c_int),
        *((name, ADDRESS) for name in ("weights", "scales", "sums", "bias")),
    )


class _Norm(ctypes.Structure):
    _fields_ = (("scale", ADDRESS), ("shift", ADDRESS))


class _Layer(ctypes.Structure):
    _fields_ = (*((name, _Map) for name in ("fused", "mixed", "up", "down")), ("attention", _Norm), ("output", _Norm))


class _Encoder(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int) for name in ("layers", "width", "heads", "inner")),
        ("epsilon", ctypes.c_float),
        *((name, ADDRESS) for name in ("words", "positions", "kinds")),
        ("embeddings", _Norm),
        ("all", ctypes.POINTER(_Layer)),
    )


class Encoder:
    """`encoder(texts) -> hidden states`; the float weights of linear maps are not kept.

    Raises MachineError where the kernels cannot be had.
    """

    def __init__(self, weights: Weights) -> None:
        kernels = library()
        if kernels is None:
            raise MachineError(f"The kernels are needed to answer in 8-bit integers; {about()}.")
        self._kernels = kernels
        self._arrays: list[np.ndarray] = []  # what the addresses point into
        self.width = weights.words.shape[1]
        self.first_position = weights.first_position
        layers = [self._layer(layer) for layer in weights.layers]
        self._encoder = _Encoder(
            len(layers),
            self.width,
            weights.heads,
            layers[0].up.outputs,
            weights.epsilon,
            *(self._address(table, np.float32) for table in (weights.words, weights.positions, weights.kinds)),
            self._norm(weights.norm),
            (_Layer * len(layers))(*layers),
        )

    def __call__(
        self, texts: Sequence[np.ndarray], kinds: Sequence[np.ndarray] | None = None, *, threads: int = 1
    ) -> tuple[np.ndarray, np.ndarray]:
        """Token ids of every text → hidden states (tokens, hidden) one text behind the other, and offsets (texts + 1,).

        kinds: token types of every text; None: all of the first.
        """
        offsets = np.zeros(len(texts) + 1, dtype=np.int64)
        np.cumsum([len(text) for text in texts], out=offsets[1:])
        ids = np.ascontiguousarray(np.concatenate(texts), dtype=np.int32)
        out = np.empty((len(ids), self.width), dtype=np.float32)
        types = None if kinds is None else np.ascontiguousarray(np.concatenate(kinds), dtype=np.int32)
        addresses = [None if array is None else array.ctypes.data for array in (ids, types, offsets)]
        self._kernels.encode(
            ctypes.addressof(self._encoder), *addresses, len(texts), self.first_position, out.ctypes.data, threads
        )
        return out, offsets

    def _layer(self, layer: Layer) -> _Layer:
        maps = (layer.fused, layer.attention_output, layer.up, layer.down)
        return _Layer(*map(self._map, maps), self._norm(layer.attention_norm), self._norm(layer.norm))

    def _norm(self, norm: Norm) -> _Norm:
        return _Norm(self._address(norm.scale, np.float32), self._address(norm.shift, np.float32))

    def _map(self, linear: Linear) -> _Map:
        outputs, inputs = linear.weight.shape
        group = self._kernels.group()
        groups = -(-outputs // group)
        integers = np.zeros((groups * group, inputs), dtype=np.int8)
        scales, bias = (np.zeros(groups * group, dtype=np.float32) for _ in range(2))
        integers[:outputs], scales[:outputs] = rounded(linear.weight)
        bias[:outputs] = linear.bias
        blocks = integers.reshape(groups, group, inputs // 4, 4).transpose(0, 2, 1, 3)
        sums = integers.sum(axis=1, dtype=np.int32)
        places = (self._address(blocks, np.int8), self._address(scales), self._address(sums), self._address(bias))
        return _Map(inputs, outputs, *places)

    def _address(self, array: np.ndarray, dtype: type | None = None) -> int:
        self._arrays.append(np.ascontiguousarray(array, dtype=dtype))
        return self._arrays[-1].ctypes.data


def rounded(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(outputs, inputs) as 8-bit integers, and each output's scale: weight ≈ integers · scale."""
    integers, scales = np.empty(weight.shape, dtype=np.int8), np.empty(len(weight), dtype=np.float32)
    for start in range(0, len(weight), ROWS):  # a few at a time, so that little memory is taken for what lies between
        rows = weight[start : start + ROWS]
        scale = np.maximum(np.abs(rows).max(axis=1), 1e-30) / MOST
        integers[start : start + ROWS] = np.rint(rows / scale[:, None])
        scales[start : start + ROWS] = scale
    return integers, scales
