"""ONNX Runtime, in 8-bit integers or fp32: for most networks on a CPU, without torch (needs the extra `onnx`)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tunewright.core.contracts import Outputs, Runtime


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
        from tunewright.models import onnx_files

        return onnx_files.lacks(bundle, self.precision, package="onnxruntime", extra="onnx")

    def prepare(self, bundle: Path) -> None:
        """See Runtime.prepare. Raises ModelError for a network that has no ONNX form."""
        from tunewright.models import onnx_files

        onnx_files.put(bundle, self.precision)

    def open(self, bundle: Path) -> Outputs:
        """See Runtime.open. For a bundle that was made without this runtime, its file is made once, in the cache."""
        from tunewright.models import onnx_files
        from tunewright.models.onnx import open_onnx

        return open_onnx(onnx_files.find(bundle, self.precision), onnx_files.pad_id(bundle))

    def features(self, bundle: Path) -> Outputs:
        """See Runtime.features: the graph without its last map (needs the package onnx)."""
        from tunewright.models import onnx_files
        from tunewright.models.onnx import open_onnx

        cut = onnx_files.without_last_map(onnx_files.find(bundle, self.precision))
        return open_onnx(cut, onnx_files.pad_id(bundle))
