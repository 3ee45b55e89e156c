"""ONNX Runtime, in 8-bit integers or fp32: for most networks on a CPU, without torch (needs the extra `onnx`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from tunewright.core.contracts import Outputs, Runtime
from tunewright.core.errors import RecipeError

if TYPE_CHECKING:
    from tunewright.models.batches import Features
    from tunewright.models.onnx_files import Form


@dataclass(frozen=True)
class Onnx(Runtime):
    """In 8-bit integers with dynamic scales a text's answer depends a little on the texts beside it, which share them; static
    ones are measured when the bundle is made."""

    precision: Literal["int8", "fp32"] = "int8"  # int8 is faster and smaller; fp32 gives the evaluated numbers
    static: bool = (
        False  # int8's scales: dynamic ones suit every text and need no rows; static ones are measured beforehand
    )
    full: Annotated[float, Field(ge=0, lt=1)] = (
        0.0  # of static int8: share of the work, where rounding hurts most, in fp32
    )

    def __post_init__(self) -> None:
        if self.precision == "fp32" and (self.static or self.full):
            raise RecipeError("onnx: static and full are settings of precision int8; fp32 rounds nothing.")

    @classmethod
    def variants(cls) -> tuple[Runtime, ...]:
        """See Runtime.variants."""
        return cls(), cls(precision="fp32")

    @property
    def exact(self) -> bool:  # type: ignore[override]
        """See Runtime.exact."""
        return self.precision == "fp32"

    @property
    def steady(self) -> bool:  # type: ignore[override]
        """See Runtime.steady."""
        return self.exact or self._form.static

    def sparing(self, full: float) -> Runtime | None:
        """See Runtime.sparing."""
        return None if self.exact else replace(self, static=True, full=full)

    def lacks(self, bundle: Path) -> str:
        """See Runtime.lacks."""
        from tunewright.models import onnx_files

        return onnx_files.lacks(bundle, self._form, package="onnxruntime", extra="onnx")

    def prepare(self, bundle: Path, usual: Sequence[Features] = ()) -> None:
        """See Runtime.prepare. Raises ModelError for a network that has no ONNX form."""
        from tunewright.models import onnx_files

        onnx_files.put(bundle, self._form, usual)

    def open(self, bundle: Path) -> Outputs:
        """See Runtime.open. For a bundle that was made without this runtime, its file is made once, in the cache."""
        from tunewright.models import onnx_files
        from tunewright.models.onnx import open_onnx

        return open_onnx(onnx_files.find(bundle, self._form), onnx_files.pad_id(bundle))

    def features(self, bundle: Path) -> Outputs:
        """See Runtime.features: the graph without its last map (needs the package onnx)."""
        from tunewright.models import onnx_files
        from tunewright.models.onnx import open_onnx

        cut = onnx_files.without_last_map(onnx_files.find(bundle, self._form))
        return open_onnx(cut, onnx_files.pad_id(bundle))

    @property
    def _form(self) -> Form:
        from tunewright.models.onnx_files import Form

        return Form(self.precision, self.static or self.full > 0, self.full)
