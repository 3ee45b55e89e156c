"""Tensors stay on the disk until they are used."""

import tracemalloc

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from tunewright.models import saved
from tunewright.models.batches import stretches
from tunewright.models.layout import save_model
from tunewright.models.mapped import mapped, places
from tunewright.models.model import build_model
from tunewright.testing import tiny_backbone


@pytest.mark.parametrize("kind", [np.float32, np.float16, np.float64])
def test_a_tensor_is_read_as_it_was_written(tmp_path, kind):
    written = {"a": np.arange(6, dtype=kind).reshape(2, 3), "bb": np.arange(5, dtype=kind) / 4}
    save_file(written, tmp_path / "t.safetensors", metadata={"format": "pt"})
    found = places(tmp_path / "t.safetensors")
    assert found.keys() == written.keys()
    for name, place in found.items():
        tensor = mapped(tmp_path / "t.safetensors", place)
        assert tensor.dtype == np.float32 and np.array_equal(tensor, written[name])


def test_a_table_takes_no_memory(tmp_path):
    save_file({"table": np.ones((4096, 1024), np.float32)}, tmp_path / "t.safetensors")
    tracemalloc.start()
    table = mapped(tmp_path / "t.safetensors", places(tmp_path / "t.safetensors")["table"])
    assert table[4095].sum() == 1024
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < table.nbytes / 10


def test_types_that_numpy_lacks_are_said(tmp_path):
    from tunewright.core import catalog

    folder = tiny_backbone(tmp_path / "backbone")
    save_model(build_model(folder, catalog.create("heads", "pooled"), ("a", "b")), tmp_path / "s", multi_label=False)
    assert saved.lacks(tmp_path / "s") == ""
    from safetensors.torch import load_file
    from safetensors.torch import save_file as save_torch

    weights = {name: value.to(torch.bfloat16) for name, value in load_file(tmp_path / "s/model.safetensors").items()}
    save_torch(weights, tmp_path / "s/model.safetensors")
    assert saved.lacks(tmp_path / "s") == "its weights are saved as BF16"


def test_stretches_keep_the_order_and_hold_at_most_so_many_tokens_or_one_window():
    windows = [{"input_ids": np.zeros(length)} for length in (3, 4, 9, 1, 1, 8)]
    found = [[len(window["input_ids"]) for window in part] for part in stretches(windows, 8)]
    assert found == [[3, 4], [9], [1, 1], [8]]
    assert list(stretches([], 8)) == []
