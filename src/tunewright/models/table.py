"""A static model read with numpy alone: a vector for every piece, then the head. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tunewright.core import catalog
from tunewright.core.contracts import Head
from tunewright.core.files import read_json
from tunewright.models.saved import MARK
from tunewright.models.shared import Tensors

MODEL_TYPE = "static"  # in config.json; a layout of our own, which `transformers` does not know
HEAD = "head.safetensors"  # beside the weights of a backbone that is saved in its own form


@dataclass(frozen=True)
class Table:
    """words (pieces, hidden) are looked up; weight (outputs, hidden), bias (outputs,)."""

    words: np.ndarray
    head: Head
    weight: np.ndarray
    bias: np.ndarray

    def answer(self, texts: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Token ids of every text → its outputs, in order."""
        offsets = np.zeros(len(texts) + 1, dtype=np.int64)
        np.cumsum([len(text) for text in texts], out=offsets[1:])
        return self.head.answer(self.words[np.concatenate(texts)], offsets, self.weight, self.bias)


def lacks(folder: Path) -> str:
    """Why the model in `folder` is no static one; "" when it is."""
    kind = read_json(folder / "config.json").get("model_type")
    return "" if kind == MODEL_TYPE else "it has layers, and this looks vectors up alone"


def read(folder: Path) -> Table:
    """Read what `lacks` found nothing missing in. Tables stay on the disk where they are saved in 32 bits."""
    from safetensors.numpy import load_file

    config, found, last = read_json(folder / "config.json"), Tensors(folder), load_file(folder / HEAD)
    head: Head = catalog.create("heads", config[MARK]["head"])  # type: ignore[assignment]
    weight, bias = (np.array(last[f"output.{name}"], dtype=np.float32) for name in ("weight", "bias"))
    return Table(found["embeddings.weight"], head, weight, bias)
