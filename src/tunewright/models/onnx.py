"""A network in ONNX form as a function over windows, by ONNX Runtime on a CPU. No torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tunewright.core.errors import MachineError
from tunewright.core.run import cores
from tunewright.models.batches import Features, in_batches

BATCH_TOKENS = 1024  # padded tokens at a time; larger batches hold more padding, and are no faster
SILENT = 4  # of ONNX Runtime's levels: only what ends the process; errors come as exceptions


def open_onnx(file: Path | bytes, pad_id: int) -> Callable[[Sequence[Features]], list[np.ndarray]]:
    """The network in `file`, or serialised, as a function from windows to what it gives, one float32 array a window."""
    opened = session(file)
    names = [found.name for found in opened.get_inputs()]

    def run(batch: dict[str, np.ndarray]) -> np.ndarray:
        return opened.run(None, {name: batch[name] for name in names})[0]

    return lambda windows: in_batches(run, windows, pad_id, BATCH_TOKENS)


def session(file: Path | bytes) -> Any:
    """The network in `file`, or serialised, as an `onnxruntime.InferenceSession` on this process's cores."""
    try:
        import onnxruntime
    except ImportError:
        raise MachineError("ONNX models need a package: pip install 'tunewright[onnx]'.") from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = SILENT
    options.intra_op_num_threads = cores()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting threads leave others the cores
    return onnxruntime.InferenceSession(
        file if isinstance(file, bytes) else str(file), options, providers=["CPUExecutionProvider"]
    )
