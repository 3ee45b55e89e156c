"""One folder per label, each file in it one example."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tunewright.core.contracts import Reader, Row
from tunewright.core.errors import DataError, TunewrightError
from tunewright.data import encoding as files

_SPLITS = {
    "train": "train", "training": "train", "valid": "validation", "validation": "validation", "val": "validation",
    "dev": "validation", "test": "test", "testing": "test",
}  # fmt: skip
_MEDIA = frozenset(
    (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".wav", ".mp3", ".flac", ".ogg", ".m4a")
)


@dataclass(frozen=True)
class Folder(Reader):
    """Files in folders named after their labels: text files give "text", images and sounds give "path"."""

    encoding: str = "auto"  # auto: found for every file; or one that all share

    suffixes: ClassVar[tuple[str, ...]] = ()

    def recognises(self, source: str) -> bool:
        """See Reader.recognises."""
        if not os.path.isdir(source) or any(Path(source, name).exists() for name in _SAVED):
            return False
        return bool(_folders(Path(source)))

    def read(self, source: str) -> Iterator[Row]:
        """See Reader.read. The rows of a folder with train and test inside are those of train."""
        root = Path(_splits(source).get("train", source))
        for label in _folders(root):
            for path in sorted(path for path in (root / label).rglob("*") if path.is_file()):
                if not path.name.startswith("."):
                    yield self._row(path, str(path.relative_to(root)), label)

    def describe(self, source: str) -> dict[str, Any]:
        """See Reader.describe."""
        first = next(self.read(source), None)
        if first is None:
            raise DataError(
                f"{source} holds folders, and no files in them: one folder per label, with one file per text."
            )
        splits = _splits(source)
        return {"columns": list(first.values) or ["text", "label"], **({"splits": splits} if splits else {})}

    def _row(self, path: Path, name: str, label: str) -> Row:
        if path.suffix.lower() in _MEDIA:
            return Row(1, {"path": str(path), "label": label}, file=name)
        try:
            with files.reading(path):
                text = files.read_text(path, files.check_encoding(self.encoding, path)) if path.stat().st_size else ""
        except TunewrightError:
            return Row(1, {}, "garbled: not a text file, or its encoding is not known", file=name)
        garbled = files.MARK in text or "\0" in text
        return Row(1, {"text": text, "label": label}, "garbled: bytes that do not decode" if garbled else "", file=name)


# What marks a folder as a saved data set rather than one of labels.
_SAVED = ("dataset_dict.json", "dataset_info.json", "state.json")


def _folders(root: Path) -> list[str]:
    return sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith((".", "__")))


def _splits(source: str) -> dict[str, str]:
    """Split → folder, where a folder holds train and others rather than labels; {} elsewhere."""
    found = {
        _SPLITS[name.lower()]: str(Path(source, name)) for name in _folders(Path(source)) if name.lower() in _SPLITS
    }
    whole = len(found) == len(_folders(Path(source))) and "train" in found
    return found if whole and all(_folders(Path(folder)) for folder in found.values()) else {}
