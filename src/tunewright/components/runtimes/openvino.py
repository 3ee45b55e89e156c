"""OpenVINO, in bf16 or fp32: for most networks on a CPU, without torch (needs the extra `openvino`)."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tunewright.core.contracts import Outputs, Runtime
from tunewright.core.run import cores

if TYPE_CHECKING:
    from tunewright.models.batches import Features

BATCH_TOKENS = 512  # padded tokens at a time; larger batches were slower
PRECISIONS = {"fp32": "f32", "bf16": "bf16"}  # as OpenVINO calls them


@dataclass(frozen=True)
class Openvino(Runtime):
    """It runs the fp32 ONNX file, and rounds by itself where it computes in bf16."""

    precision: Literal["fp32", "bf16"] = "fp32"  # bf16 rounds to about three digits, and needs its instructions

    @classmethod
    def variants(cls) -> tuple[Runtime, ...]:
        """See Runtime.variants."""
        return cls(), cls(precision="bf16")

    @property
    def exact(self) -> bool:  # type: ignore[override]
        """See Runtime.exact."""
        return self.precision == "fp32"

    def lacks(self, bundle: Path) -> str:
        """See Runtime.lacks."""
        from tunewright.models import onnx_files

        if missing := onnx_files.lacks(bundle, onnx_files.FP32, package="openvino", extra="openvino"):
            return missing
        if self.exact or "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            return ""
        return "this processor has no bf16 instructions"

    def prepare(self, bundle: Path, usual: Sequence[Features] = ()) -> None:
        """See Runtime.prepare. Raises ModelError for a network that has no ONNX form."""
        from tunewright.models import onnx_files

        onnx_files.put(bundle, onnx_files.FP32)

    def open(self, bundle: Path) -> Outputs:
        """See Runtime.open. For a bundle that was made without this runtime, its file is made once, in the cache."""
        from tunewright.models import onnx_files

        return self._compiled(str(onnx_files.find(bundle, onnx_files.FP32)), bundle)

    def features(self, bundle: Path) -> Outputs:
        """See Runtime.features: the graph without its last map (needs the package onnx)."""
        from tunewright.models import onnx_files

        cut = onnx_files.without_last_map(onnx_files.find(bundle, onnx_files.FP32))
        return self._compiled(_core().read_model(model=cut), bundle)

    def _compiled(self, network: Any, bundle: Path) -> Outputs:
        from tunewright.models import onnx_files
        from tunewright.models.batches import in_batches

        settings = {"INFERENCE_PRECISION_HINT": PRECISIONS[self.precision], "INFERENCE_NUM_THREADS": cores()}
        compiled = _core().compile_model(network, "CPU", settings)
        names = [found.get_any_name() for found in compiled.inputs]
        request, alone = compiled.create_infer_request(), threading.Lock()

        def run(batch: dict[str, np.ndarray]) -> np.ndarray:
            with alone:  # the request's memory is one
                return request.infer({name: batch[name] for name in names})[0].copy()

        pad_id = onnx_files.pad_id(bundle)
        return lambda windows: in_batches(run, windows, pad_id, BATCH_TOKENS)


def _core() -> Any:
    # Without this package OpenVINO reports nothing; with it, each import is told to its makers.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino.Core()
