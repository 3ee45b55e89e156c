"""Saved models that have much in common, each with what is its own: weights that all of them use lie once. No torch.

In a bundle of several variants, `shared` holds what they have in common. A variant's model folder says in shared.json which
of its tensors and files lie there. Beside a tensor its own file may hold in what it differs:
rows · (shared + up · down) · columns, where up · down is of low rank, as LoRA learns it, and rows and columns are factors. What
rounding makes of that is kept too, so that every tensor comes back bit for bit, and with it the answers of every runtime.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tunewright.core.bundle import INDEX, SHARED, VARIANTS
from tunewright.core.files import read_json
from tunewright.models import stored
from tunewright.models.mapped import Place, mapped, places

if TYPE_CHECKING:
    import torch

WEIGHTS = "model.safetensors"
NEAR = (
    2.0**-18
)  # of its largest number, by how much what a tensor is put together from may be off before the last steps
LOWEST = 4  # a difference counts as of low rank up to this part of what it could be

# "up" (rows, rank) and "down" (rank, columns); "rows" (rows,); "columns" (columns,); "steps": see `_packed`.
KINDS = ("up", "down", "rows", "columns", "steps")
Parts = dict[str, np.ndarray]


def is_variant(folder: Path) -> bool:
    """Whether the saved model in `folder` shares its weights with others."""
    return (folder / INDEX).is_file()


def file_of(folder: Path, name: str) -> Path:
    """Where the file `name` of the saved model in `folder` lies: there, or among what it shares."""
    names = read_json(folder / INDEX)["files"] if is_variant(folder) else {}
    return _common(folder) / Path(names[name]).name if name in names else folder / name


def _common(folder: Path) -> Path:
    variant = next(parent for parent in folder.absolute().parents if parent.parent.name == VARIANTS)
    return variant.parent.parent / SHARED


class Tensors(Mapping[str, np.ndarray]):
    """The tensors of the saved model in `folder`, by name; each is read, and put together, when it is asked for.

    Of those that lie in a file as they are, models that are open at once share the memory. writable: see `mapped`.
    """

    def __init__(self, folder: Path, *, writable: bool = False) -> None:
        self._writable = writable
        self._files = [folder / WEIGHTS]
        self._names: dict[str, str] = {}
        if is_variant(folder):
            self._files.append(_common(folder) / WEIGHTS)
            self._names = read_json(folder / INDEX)["tensors"]
        self._own, *common = (places(file) for file in self._files)
        self._common = common[0] if common else {}

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._names:
            parts = self._stored(name)
            return stored.unpacked(parts) if parts else self._mapped(0, self._own[name])
        shared = self._mapped(1, self._common[self._names[name]])
        parts = {kind: self[f"{name}:{kind}"] for kind in KINDS if f"{name}:{kind}" in self._own}
        return restored(shared, parts) if parts else shared

    def _stored(self, name: str) -> Parts:
        """The parts of a tensor that is stored in a smaller form; {} of any other."""
        own = {kind: f"{name}:{kind}" for kind in stored.kinds() if f"{name}:{kind}" in self._own}
        return {kind: self._mapped(0, self._own[part]) for kind, part in own.items()}

    def _mapped(self, file: int, place: Place) -> np.ndarray:
        return mapped(self._files[file], place, writable=self._writable)

    def __iter__(self) -> Iterator[str]:
        names = dict.fromkeys(name.partition(":")[0] for name in self._own)
        return iter([*self._names, *(name for name in names if name not in self._names)])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def place(self, name: str) -> Place:
        """Its type and shape, and where it, or what it is put together from, lies."""
        if name in self._names:
            return self._common[self._names[name]]
        return self._own[name] if name in self._own else self._own[f"{name}:{stored.SHAPE}"]


def as_torch(folder: Path) -> dict[str, torch.Tensor]:
    """The same as a network takes them."""
    import torch

    return {name: torch.from_numpy(value) for name, value in Tensors(folder, writable=True).items()}


def restored(shared: np.ndarray, parts: Parts) -> np.ndarray:
    """The tensor that `difference` found the parts of, bit for bit: single steps that every machine rounds alike."""
    found = shared.copy()
    for column, row in zip(parts["up"].T, parts["down"], strict=True) if "up" in parts else ():
        found += column[:, None] * row
    if "rows" in parts:
        found *= parts["rows"][:, None]
    if "columns" in parts:
        found *= parts["columns"]
    if "steps" in parts:
        found.view(np.int32)[:] += _unpacked(parts["steps"], found.shape)
    return found


def difference(tensor: np.ndarray, shared: np.ndarray) -> Parts | None:
    """What `restored` makes `tensor` of: {} where both are the same; None where it is made in another way."""
    if tensor.tobytes() == shared.tobytes():
        return {}
    if tensor.ndim != 2 or tensor.dtype != np.float32:
        return None
    for found in (_factors(tensor, shared, axis=1), _factors(tensor, shared, axis=0), _update(tensor, shared)):
        if found and np.abs((made := restored(shared, found)) - tensor).max() <= NEAR * np.abs(tensor).max():
            return {**found, "steps": _packed(tensor.view(np.int32) - made.view(np.int32))}
    return None


def _packed(steps: np.ndarray) -> np.ndarray:
    """By how many of fp32's steps each number is off, compressed: most are 0, the others small and of either sign."""
    unsigned = (steps << 1) ^ (steps >> 31)
    planes = np.ascontiguousarray(unsigned.view(np.uint8).reshape(-1, 4).T)  # the highest bytes are all 0
    return np.frombuffer(zlib.compress(planes.tobytes()), dtype=np.uint8)


def _unpacked(packed: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    planes = np.frombuffer(zlib.decompress(packed.tobytes()), dtype=np.uint8).reshape(4, -1)
    unsigned = np.ascontiguousarray(planes.T).view(np.uint32)
    return ((unsigned >> 1).astype(np.int32) ^ -(unsigned & 1).astype(np.int32)).reshape(shape)


def _factors(tensor: np.ndarray, shared: np.ndarray, axis: int) -> Parts:
    """One factor for each row (axis 1) or column (axis 0), by least squares."""
    square = np.einsum("ij,ij->i" if axis else "ij,ij->j", shared, shared, dtype=np.float64)
    both = np.einsum("ij,ij->i" if axis else "ij,ij->j", tensor, shared, dtype=np.float64)
    factors = np.divide(both, square, out=np.ones_like(square), where=square > 0)
    return {"rows" if axis else "columns": factors.astype(np.float32)}


def _update(tensor: np.ndarray, shared: np.ndarray) -> Parts | None:
    """What was added, as a product, where its rank is low. Some of its rows tell mostly when it is not."""
    added, most = tensor - shared, max(1, min(tensor.shape) // LOWEST)
    rounding = np.finfo(np.float32).eps / 2 * float(np.abs(tensor).max())
    if len(_directions(added[:: max(1, len(added) // (2 * most))], rounding)) > most:
        return None
    found = _directions(added, rounding)
    if len(found) > most:
        return None
    if len(added) > added.shape[1]:
        return {"up": (added @ found.T).astype(np.float32), "down": found.astype(np.float32)}
    return {"up": np.ascontiguousarray(found.T, dtype=np.float32), "down": (found @ added).astype(np.float32)}


def _directions(matrix: np.ndarray, rounding: float) -> np.ndarray:
    """Orthonormal directions (rank, shorter side) of the matrix's shorter side, less those that rounding alone makes."""
    exact = (matrix if len(matrix) > matrix.shape[1] else matrix.T).astype(np.float64)
    squares, directions = np.linalg.eigh(exact.T @ exact)
    noise = rounding * sum(map(math.sqrt, matrix.shape))  # the largest singular value of a matrix of such noise
    return directions.T[np.sqrt(np.maximum(squares, 0)) > noise]
