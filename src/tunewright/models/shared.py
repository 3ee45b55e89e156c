"""Saved models that have much in common, each with what is its own: weights that all of them use lie once. No torch.

In a bundle of several variants, `shared` holds what they have in common. A variant's model folder says in shared.json which
of its tensors and files lie there. Beside a tensor its own file may hold in what it differs:
rows · (shared + up · down) · columns, where up · down is of low rank, as LoRA learns it, and rows and columns are factors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tunewright.core.bundle import INDEX, SHARED, VARIANTS
from tunewright.core.files import read_json
from tunewright.models.mapped import Place, mapped, places

if TYPE_CHECKING:
    import torch

WEIGHTS = "model.safetensors"
ROUNDING = 2.0**-22  # of its largest number, by how much a tensor that is put together may be off: fp32's last two bits
LOWEST = 4  # a difference counts as of low rank up to this part of what it could be

Parts = dict[str, np.ndarray]  # "up" (rows, rank) and "down" (rank, columns), "rows" (rows,), "columns" (columns,)


def is_variant(folder: Path) -> bool:
    """Whether the saved model in `folder` shares its weights with others."""
    return (folder / INDEX).is_file()


def file_of(folder: Path, name: str) -> Path:
    """Where the file `name` of the saved model in `folder` lies: there, or among what it shares."""
    names = read_json(folder / INDEX)["files"] if is_variant(folder) else {}
    return _common(folder) / names[name] if name in names else folder / name


def _common(folder: Path) -> Path:
    variant = next(parent for parent in folder.absolute().parents if parent.parent.name == VARIANTS)
    return variant.parent.parent / SHARED


class Tensors(Mapping[str, np.ndarray]):
    """The tensors of the saved model in `folder`, by name; each is read, and put together, when it is asked for."""

    def __init__(self, folder: Path) -> None:
        self._files = [folder / WEIGHTS]
        self._names: dict[str, str] = {}
        if is_variant(folder):
            self._files.append(_common(folder) / WEIGHTS)
            self._names = read_json(folder / INDEX)["tensors"]
        self._own, *common = (places(file) for file in self._files)
        self._common = common[0] if common else {}

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._names:
            return mapped(self._files[0], self._own[name])
        shared = mapped(self._files[1], self._common[self._names[name]])
        kinds = {kind: f"{name}:{kind}" for kind in ("up", "down", "rows", "columns")}
        return restored(shared, {kind: self[own] for kind, own in kinds.items() if own in self._own})

    def __iter__(self) -> Iterator[str]:
        return iter([*self._names, *(name for name in self._own if name.partition(":")[0] not in self._names)])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def place(self, name: str) -> Place:
        """Its type and shape, and where it, or what it is put together from, lies."""
        return self._common[self._names[name]] if name in self._names else self._own[name]


def as_torch(folder: Path) -> dict[str, torch.Tensor]:
    """The same in memory, as a network takes them."""
    import torch

    return {name: torch.from_numpy(np.array(value)) for name, value in Tensors(folder).items()}


def restored(shared: np.ndarray, parts: Parts) -> np.ndarray:
    """The tensor that `difference` found the parts of."""
    found = shared + parts["up"] @ parts["down"] if "up" in parts else shared
    if "rows" in parts:
        found = parts["rows"][:, None] * found
    return found * parts["columns"] if "columns" in parts else found


def difference(tensor: np.ndarray, shared: np.ndarray) -> Parts | None:
    """What `restored` makes `tensor` of: none where both are the same; None where the whole tensor takes less space."""
    if np.array_equal(tensor, shared):
        return {}
    if tensor.ndim != 2:
        return None
    for found in (_factors(tensor, shared, axis=1), _factors(tensor, shared, axis=0), _update(tensor, shared)):
        if found and _off(restored(shared, found), tensor) <= ROUNDING:
            return found
    return None


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


def _off(found: np.ndarray, tensor: np.ndarray) -> float:
    return float(np.abs(found - tensor).max() / np.abs(tensor).max())
