"""ONNX Runtime, in 8-bit integers or fp32: for most networks on a CPU, without torch (needs the extra `onnx`)."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from tunewright.core.contracts import Runtime

FILES = {"int8": "onnx/model.int8.onnx", "fp32": "onnx/model.onnx"}


@dataclass(frozen=True)
class Onnx(Runtime):
    """In 8-bit integers a text's answer depends a little on the texts beside it: activations share a scale."""

    precision: Literal["int8", "fp32"] = "int8"  # int8 is about twice as fast and a quarter of the size; fp32 gives the evaluated numbers

    @property
    def exact(self) -> bool:  # type: ignore[override]
        """See Runtime.exact."""
        return self.precision == "fp32"

    def lacks(self, bundle: Path) -> str:
        """See Runtime.lacks."""
        needed = ["onnxruntime"] if self._file(bundle).is_file() else ["onnxruntime", "onnx", "torch"]
        for package in needed:
            if importlib.util.find_spec(package) is None:
                purpose = "" if package == needed[0] else f", and {FILES[self.precision]} has yet to be made"
                return f"the package {package} is not installed{purpose}: pip install 'tunewright[onnx]'"
        return ""

    def prepare(self, bundle: Path) -> None:
        """See Runtime.prepare. Raises ModelError for a network that has no ONNX form."""
        from tunewright.models.onnx_export import export

        export(bundle / "model", exact=bundle / FILES["fp32"], rounded=bundle / FILES["int8"])

    def open(self, bundle: Path) -> Callable[[Sequence[Mapping[str, np.ndarray]]], list[np.ndarray]]:
        """See Runtime.open. A bundle that was made without this runtime is prepared at first use."""
        from tunewright.core.files import read_json
        from tunewright.models.onnx import open_onnx

        if not self._file(bundle).is_file():
            self.prepare(bundle)
        return open_onnx(self._file(bundle), read_json(bundle / "model" / "processor.json")["pad_id"])

    def _file(self, bundle: Path) -> Path:
        return bundle / FILES[self.precision]
