"""Weights in smaller forms: what is put away comes back as promised, and the file is really smaller."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tunewright.core.files import read_json
from tunewright.models import lighter, stored
from tunewright.models.inference import outputs
from tunewright.models.layout import load_model, save_model
from tunewright.models.shared import Tensors
from tunewright.testing import materials


def _some(*shape) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(7, 5), (3, 32), (4, 70), (2, 3, 33)])
def test_what_is_stored_sparse_comes_back_bit_for_bit(shape):
    tensor = _some(*shape) * (np.random.default_rng(1).random(shape) > 0.6)
    assert np.array_equal(stored.unpacked(stored.packed(tensor, "sparse")), tensor)


@pytest.mark.parametrize("shape", [(7, 5), (3, 32), (4, 70), (5, 65)])
def test_four_bits_are_off_by_half_a_step_at_most_and_the_second_time_by_nothing(shape):
    tensor = _some(*shape)
    once = stored.rounded(tensor)
    assert np.abs(once - tensor).max() <= 0.51 * np.abs(tensor).max() / stored.MOST
    assert np.array_equal(stored.rounded(once), once)
    assert stored.rounded(np.zeros(shape, np.float32)).any() == np.False_
    few = tensor * 1e-3
    few[0, 0] = 0.0
    assert stored.rounded(few)[0, 0] == 0.0


def test_a_group_has_a_scale_of_its_own():
    tensor = np.ones((1, 64), np.float32)
    tensor[:, :32] = 100.0
    tensor[0, 33] = 0.5
    assert stored.rounded(tensor)[0, 33] == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(("form", "share"), [("sparse", 0.7), ("int4", 0.3)])
def test_the_file_is_smaller_and_opens_to_the_same_network(form, share, tmp_path):
    model = materials.model("pooled").eval()
    save_model(model, tmp_path / "plain", multi_label=False)
    with torch.no_grad():
        for name, value in lighter.weights(model.backbone, words=True).items():
            if form == "sparse":
                value.mul_((torch.rand(value.shape, generator=torch.Generator().manual_seed(0)) > 0.6).float())
            else:
                value.copy_(torch.from_numpy(stored.rounded(value.numpy())))
            lighter.store(model.backbone, name, form)
    save_model(model, tmp_path / "small", multi_label=False)
    names = lighter.forms(model.backbone)
    sizes = [sum(value.nbytes for name, value in _raw(tmp_path / one).items() if name.partition(":")[0].split("bert.")[-1] in names) for one in ("plain", "small")]  # fmt: skip
    assert sizes[1] < share * sizes[0]
    opened = load_model(tmp_path / "small")
    expected = outputs(model, materials.windows(), pad_id=materials.processor().pad_id)
    found = outputs(opened, materials.windows(), pad_id=materials.processor().pad_id)
    assert all(np.array_equal(*pair) for pair in zip(found, expected, strict=True))
    assert lighter.forms(opened.backbone) == names == read_json(tmp_path / "small/config.json")["tunewright"]["stored"]
    tensors = Tensors(tmp_path / "small")
    assert set(tensors) == set(model.backbone.state_dict()) and len(tensors) == len(set(tensors))


def _raw(folder) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(folder / "model.safetensors")


def test_training_leaves_zero_what_is_stored_sparse():
    model = materials.model("pooled")
    name, value = next(iter(lighter.weights(model.backbone, words=False).items()))
    with torch.no_grad():
        value[:, ::2] = 0.0
    lighter.store(model.backbone, name, "sparse")
    batch = {name: torch.from_numpy(array)[None] for name, array in materials.windows()[0].items()}
    with lighter.zeros_kept(model, model.backbone):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(3):
            model(batch).square().sum().backward()
            optimizer.step()
    assert not value[:, ::2].any() and value[:, 1::2].all()
    model(batch).square().sum().backward()
    optimizer.step()
    assert value[:, ::2].any()  # outside, they train as any other


def test_another_form_of_what_is_stored_smaller_is_made_in_the_cache_and_not_in_the_bundle(tmp_path, monkeypatch):
    from tunewright.core import catalog

    pytest.importorskip("onnxruntime")
    monkeypatch.setenv("TUNEWRIGHT_CACHE", str(tmp_path / "cache"))
    model = materials.model("pooled").eval()
    for name in lighter.weights(model.backbone, words=True):
        lighter.store(model.backbone, name, "sparse")
    save_model(model, tmp_path / "bundle" / "model", multi_label=False)
    materials.processor().save(tmp_path / "bundle" / "model")
    runtime = catalog.create("runtimes", {"name": "onnx", "precision": "fp32"})
    runtime.prepare(tmp_path / "bundle")
    assert [path.name for path in (tmp_path / "bundle").iterdir()] == ["model"]
    expected = outputs(model, materials.windows(), pad_id=materials.processor().pad_id)
    for one, other in zip(runtime.open(tmp_path / "bundle")(materials.windows()), expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
    assert [path.name for path in (tmp_path / "bundle").iterdir()] == ["model"]
