"""A bundle's network as an ONNX file: in the bundle, or made once in the cache for one that came without it. No torch."""

from __future__ import annotations

import hashlib
import importlib.util
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from tunewright.core.cache import cache_folder
from tunewright.core.errors import MachineError, ModelError
from tunewright.core.files import read_json, sha256
from tunewright.models import table
from tunewright.models.saved import MARK

PRODUCTS = (
    "Gemm",
    "MatMul",
    "FusedMatMul",
    "FusedGemm",
    "MatMulInteger",
    "MatMulIntegerToFloat",
    "DynamicQuantizeMatMul",
)
ROUNDING = "DynamicQuantizeLinear"  # what stands before a product of integers
MAKING = ("onnx", "onnxruntime", "torch")  # packages that make the file


def lacks(bundle: Path, precision: str, package: str, extra: str) -> str:
    """Why the file cannot be run with `package`, which the `extra` brings: something is not installed; "" if nothing."""
    if not table.lacks(bundle / "model"):
        return "a static model is looked up, and the runtime static does that without a file of its own"
    made = _own(bundle, precision).is_file() or _cached(bundle, precision).is_file()
    if _absent([package]):
        return f"the package {package} is not installed: pip install 'tunewright[{extra}]'"
    if not made and (absent := _absent(MAKING)):
        purpose = "with which its ONNX file has yet to be made"
        return f"the package {absent[0]} is not installed, {purpose}: pip install 'tunewright[{extra}]'"
    return ""


def put(bundle: Path, precision: str) -> None:
    """Write the file into the bundle. Raises ModelError for a network that has no ONNX form.

    Not where weights are stored in a smaller form, which this one has not: the file is made in the cache then, at first use.
    """
    if read_json(bundle / "model" / "config.json")[MARK].get("stored"):
        return
    _make(bundle, precision, _own(bundle, precision))


def find(bundle: Path, precision: str) -> Path:
    """The bundle's file, or the one in the cache, which is made if need be. Raises ModelError as `put` does."""
    file = _own(bundle, precision)
    if not file.is_file():
        file = _cached(bundle, precision)
        if not file.is_file():
            _make(bundle, precision, file)
    return file


def pad_id(bundle: Path) -> int:
    """The id that fills shorter windows up."""
    return read_json(bundle / "model" / "processor.json")["pad_id"]


def without_last_map(file: Path) -> bytes:
    """The network up to what its last linear map is applied to, as a serialised ONNX model. No torch.

    Goes back from the output over steps on single numbers (scales, types, the bias) to the product of matrices, in
    floats or in integers; of integers it takes what they are rounded from. Raises MachineError without the package onnx,
    ModelError where there is no such product.
    """
    try:
        import onnx
    except ImportError:
        raise MachineError("Features need the package onnx: pip install 'tunewright[onnx]'.") from None
    model = onnx.load(str(file))
    made_by = {name: node for node in model.graph.node for name in node.output}
    waiting = deque([model.graph.output[0].name])
    while waiting:
        node = made_by.get(waiting.popleft())
        if node is not None and node.op_type in PRODUCTS:
            before = made_by.get(node.input[0])
            features = before.input[0] if before is not None and before.op_type == ROUNDING else node.input[0]
            del model.graph.output[:]
            model.graph.output.append(onnx.helper.make_tensor_value_info(features, onnx.TensorProto.FLOAT, None))
            return model.SerializeToString()
        waiting.extend(node.input if node is not None else ())
    raise ModelError(f"{file} does not end with a linear map, so that it has no features to give.")


def _make(bundle: Path, precision: str, target: Path) -> None:
    from tunewright.models.onnx_export import export

    export(bundle / "model", target, rounded=precision == "int8")


def _absent(packages: Sequence[str]) -> list[str]:
    return [package for package in packages if importlib.util.find_spec(package) is None]


def _own(bundle: Path, precision: str) -> Path:
    return bundle / "onnx" / f"model.{precision}.onnx"


def _cached(bundle: Path, precision: str) -> Path:
    digests = [sha256(path) for path in sorted((bundle / "model").iterdir()) if path.is_file()]
    key = hashlib.sha256("".join(digests).encode()).hexdigest()
    return cache_folder() / "onnx" / f"{key[:24]}.{precision}.onnx"
