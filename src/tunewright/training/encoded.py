"""Encoded windows on disk, memory-mapped: tokenized once, read by index, memory independent of their number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tunewright.core.errors import DamagedFile
from tunewright.core.files import read_json, write_json, writing_folder
from tunewright.core.types import Window

PADDING = {"labels": -100}  # what a feature that runs along the tokens is padded with; 0 elsewhere


@dataclass(frozen=True)
class EncodedSplit:
    """Windows in a folder: one flat file a feature, with offsets for those that run along the tokens.

    lengths: tokens of every window (special ones included); examples: each window's example index; shapes: of a feature
    of one window, or of one of its tokens where it runs along them.
    """

    folder: Path
    lengths: np.ndarray
    examples: np.ndarray
    values: Mapping[str, np.ndarray]
    offsets: Mapping[str, np.ndarray]
    shapes: Mapping[str, tuple[int, ...]]
    pad_id: int

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[Window]:
        """Each window as `write_encoded` takes it."""
        for index, (example, length) in enumerate(zip(self.examples, self.lengths, strict=True)):
            features = {name: self._one(name, index) for name in self.values}
            yield Window(int(example), features, int(length))

    def batch(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """The features of these windows, padded to the longest: name → (windows, …)."""
        return {name: self._stacked(name, indices) for name in self.values}

    def ids(self, indices: np.ndarray) -> list[int]:
        """The example indices of these windows, for messages."""
        return sorted({int(self.examples[i]) for i in indices})

    def _one(self, name: str, index: int) -> np.ndarray:
        if name not in self.offsets:
            return self.values[name][index]
        first, end = self.offsets[name][index : index + 2]
        return self.values[name][first:end]

    def _stacked(self, name: str, indices: np.ndarray) -> np.ndarray:
        values = self.values[name]
        if name not in self.offsets:
            return np.stack([values[i] for i in indices])
        offsets = self.offsets[name]
        longest = max(int(offsets[i + 1] - offsets[i]) for i in indices)
        pad = self.pad_id if name == "input_ids" else PADDING.get(name, 0)
        dtype = np.int64 if np.issubdtype(values.dtype, np.integer) else values.dtype
        result = np.full((len(indices), longest, *self.shapes[name]), pad, dtype=dtype)
        for row, i in enumerate(indices):
            piece = values[offsets[i] : offsets[i + 1]]
            result[row, : len(piece)] = piece
        return result


def write_encoded(windows: Iterable[Window], folder: Path, pad_id: int) -> EncodedSplit:
    """Stream `windows` to `folder`, atomically, and open it. Features that are 1-D integers, or 2-D, run along the tokens."""
    with writing_folder(folder) as temporary:
        writer = _Writer(temporary)
        for window in windows:
            writer.add(window)
        writer.close(pad_id)
    return open_encoded(folder)


def open_encoded(folder: Path) -> EncodedSplit:
    """Open what write_encoded wrote."""
    about = read_json(folder / "encoded.json")
    values, offsets, shapes = {}, {}, {}
    for name, feature in about["features"].items():
        shapes[name] = tuple(feature["shape"])
        flat = _map(folder / f"{name}.bin", feature["dtype"])
        values[name] = flat.reshape(-1, *shapes[name])
        if feature["ragged"]:
            offsets[name] = np.fromfile(folder / f"{name}.offsets", dtype=np.int64)
            if len(values[name]) != offsets[name][-1]:
                raise DamagedFile(f"{folder / name}.bin was cut off. Remove {folder}: it is written anew.")
    return EncodedSplit(
        folder=folder,
        lengths=np.fromfile(folder / "lengths", dtype=np.int32),
        examples=np.fromfile(folder / "examples", dtype=np.int64),
        values=values,
        offsets=offsets,
        shapes=shapes,
        pad_id=about["pad_id"],
    )


def _map(path: Path, dtype: str) -> np.ndarray:
    return np.memmap(path, dtype=dtype, mode="r") if path.stat().st_size else np.zeros(0, dtype=dtype)


class _Writer:
    """Appends windows to flat files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = {name: open(folder / name, "wb") for name in ("lengths", "examples")}  # noqa: SIM115
        self.features: dict[str, dict] = {}
        self.ends: dict[str, int] = {}

    def add(self, window: Window) -> None:
        first = next(iter(window.features.values()))
        self.files["lengths"].write(np.int32(first.shape[0] if first.ndim else 1).tobytes())
        self.files["examples"].write(np.int64(window.example).tobytes())
        for name, value in window.features.items():
            value = np.asarray(value)
            if name not in self.features:
                self._open(name, value)
            if self.features[name]["ragged"]:
                self.ends[name] += len(value)
                self.files[f"{name}.offsets"].write(np.int64(self.ends[name]).tobytes())
            self.files[f"{name}.bin"].write(value.astype(self.features[name]["dtype"]).tobytes())

    def _open(self, name: str, value: np.ndarray) -> None:
        integer = np.issubdtype(value.dtype, np.integer)
        ragged = value.ndim == 2 or (integer and value.ndim == 1)
        dtype = ("int32" if ragged else "int64") if integer else "float32"
        self.features[name] = {"dtype": dtype, "shape": list(value.shape[ragged:]), "ragged": ragged}
        self.files[f"{name}.bin"] = open(self.folder / f"{name}.bin", "wb")  # noqa: SIM115
        if ragged:
            self.ends[name] = 0
            self.files[f"{name}.offsets"] = open(self.folder / f"{name}.offsets", "wb")  # noqa: SIM115
            self.files[f"{name}.offsets"].write(np.int64(0).tobytes())

    def close(self, pad_id: int) -> None:
        for file in self.files.values():
            file.close()
        write_json(self.folder / "encoded.json", {"features": self.features, "pad_id": pad_id})
