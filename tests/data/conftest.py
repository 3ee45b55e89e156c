"""Small data for the data layer's tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tunewright.core import catalog
from tunewright.core.recipe import Data, Recipe
from tunewright.data.dataset import Dataset
from tunewright.data.prepare import prepare


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Dataset]:
    """Prepare data: make("a,b\\n…", test="…", split=…) writes the texts into files and returns the Dataset."""

    def build(train: str | bytes, *, task: Any = "text_classification", seed: int = 13, out: str = "out", **data: Any):
        for name, content in (
            ("train", train),
            *((name, data.get(name)) for name in ("validation", "test", "unlabelled")),
        ):
            if content is not None:
                path = tmp_path / f"{name}.csv"
                path.write_bytes(content.encode() if isinstance(content, str) else content)
                data[name] = str(path)
        task = catalog.create("tasks", task) if isinstance(task, (str, dict)) else task
        return prepare(Recipe(task, Data(**data), seed=seed), tmp_path / out)

    return build
