"""ONNX Runtime, in 8-bit integers or fp32: for most networks on a CPU, without torch (needs the extra `onnx`)."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from tunewright.core.contracts import Runtime


@dataclass(frozen=True)
class Onnx(Runtime):
    """In 8-bit integers a text's answer depends a little on the texts beside it: activations share a scale."""

    precision: Literal["int8", "fp32"] = "int8"  # int8 is faster and smaller; fp32 gives the evaluated numbers

    @classmethod
    def variants(cls) -> tuple[Runtime, ...]:
        """See Runtime.variants."""
        return cls(), cls(precision="fp32")

    @property
    def exact(self) -> bool:  # type: ignore[override]
        """See Runtime.exact."""
        return self.precision == "fp32"

    def lacks(self, bundle: Path) -> str:
        """See Runtime.lacks."""
        made = self._file(bundle).is_file() or self._cached(bundle).is_file()
        for package in ("onnxruntime",) if made else ("onnxruntime", "onnx", "torch"):
            if importlib.util.find_spec(package) is None:
                purpose = "" if made else ", with which its ONNX file has yet to be made"
                return f"the package {package} is not installed{purpose}: pip install 'tunewright[onnx]'"
        return ""

    def prepare(self, bundle: Path) -> None:
        """See Runtime.prepare. Raises ModelError for a network that has no ONNX form."""
        self._export(bundle, self._file(bundle))

    def open(self, bundle: Path) -> Callable[[Sequence[Mapping[str, np.ndarray]]], list[np.ndarray]]:
        """See Runtime.open. For a bundle that was made without this runtime, its file is made once, in the cache."""
        from tunewright.core.files import read_json
        from tunewright.models.onnx import open_onnx

        file = self._file(bundle)
        if not file.is_file():
            file = self._cached(bundle)
            if not file.is_file():
                self._export(bundle, file)
        return open_onnx(file, read_json(bundle / "model" / "processor.json")["pad_id"])

    def _export(self, bundle: Path, target: Path) -> None:
        from tunewright.models.onnx_export import export

        export(bundle / "model", target, rounded=not self.exact)

    def _file(self, bundle: Path) -> Path:
        return bundle / "onnx" / f"model.{self.precision}.onnx"

    def _cached(self, bundle: Path) -> Path:
        from tunewright.core.cache import cache_folder
        from tunewright.core.files import sha256

        digests = [sha256(path) for path in sorted((bundle / "model").iterdir()) if path.is_file()]
        key = hashlib.sha256("".join(digests).encode()).hexdigest()
        return cache_folder() / "onnx" / f"{key[:24]}.{self.precision}.onnx"
