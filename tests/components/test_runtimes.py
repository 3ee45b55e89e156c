"""The runtime onnx: its fp32 gives PyTorch's numbers, its int8 nearly; a prepared bundle is served without torch."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import numpy as np
import pytest
import torch
from bundles import furthest, saved
from safetensors.torch import save_file

from tunewright.core import catalog
from tunewright.core.errors import ModelError
from tunewright.core.files import write_json
from tunewright.models.heads import PooledHead
from tunewright.testing import tiny_backbone
from tunewright.testing.tiny import vocabulary, write_tokenizer

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def runtime(precision="int8"):
    return catalog.create("runtimes", {"name": "onnx", "precision": precision})


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    made = saved(folder, tiny_backbone(folder / "backbone"))
    for precision in ("int8", "fp32"):
        runtime(precision).prepare(folder)
    return folder, *made


@pytest.mark.parametrize("head", ["pooled", "tokens"])
@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert"])
def test_fp32_gives_the_numbers_of_torch_and_int8_nearly(tmp_path, family, head):
    windows, expected = saved(tmp_path, tiny_backbone(tmp_path / "backbone", family=family), head)
    for precision in ("int8", "fp32"):
        runtime(precision).prepare(tmp_path)
    assert furthest(runtime("fp32").open(tmp_path)(windows), expected) <= 1e-3
    size = max(float(np.abs(one).max()) for one in expected)
    assert furthest(runtime("int8").open(tmp_path)(windows), expected) <= 0.1 * size
    assert runtime("fp32").exact and not runtime("int8").exact


def test_static_embeddings_run_too(tmp_path):
    backbone = tmp_path / "backbone"
    backbone.mkdir()
    write_tokenizer(backbone)
    table = torch.randn(len(vocabulary()), 16, generator=torch.Generator().manual_seed(0))
    save_file({"embeddings.weight": table}, backbone / "model.safetensors")
    write_json(backbone / "config.json", {"model_type": "static", "vocab_size": len(table), "hidden_size": 16})
    windows, expected = saved(tmp_path, backbone)
    for precision in ("int8", "fp32"):
        runtime(precision).prepare(tmp_path)
    assert furthest(runtime("fp32").open(tmp_path)(windows), expected) <= 1e-3
    assert furthest(runtime("int8").open(tmp_path)(windows), expected) <= 0.05


def test_a_prepared_bundle_is_served_without_torch(bundle):
    folder, *_ = bundle
    script = (
        "import sys, numpy\n"
        "from pathlib import Path\n"
        "from tunewright.core import catalog\n"
        "from tunewright.models.processor import Processor\n"
        "folder = Path(sys.argv[1])\n"
        "for precision in ('int8', 'fp32'):\n"
        "    runtime = catalog.create('runtimes', {'name': 'onnx', 'precision': precision})\n"
        "    assert runtime.lacks(folder) == ''\n"
        "    (window,), = Processor.load(folder / 'model').encode(['a good film'])\n"
        "    assert runtime.open(folder)([window.features])[0].shape == (3,)\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_for_a_bundle_made_without_it_the_file_is_made_once_and_the_bundle_stays_as_it_is(monkeypatch, tmp_path):
    monkeypatch.setenv("TUNEWRIGHT_CACHE", str(tmp_path / "cache"))
    windows, expected = saved(tmp_path, tiny_backbone(tmp_path / "backbone"))
    before = sorted(path.name for path in tmp_path.iterdir())
    assert furthest(runtime("fp32").open(tmp_path)(windows), expected) <= 1e-3
    (made,) = (tmp_path / "cache" / "onnx").iterdir()
    stamp = made.stat().st_mtime_ns
    runtime("fp32").open(tmp_path)
    assert made.stat().st_mtime_ns == stamp
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*before, "cache"])


def test_files_are_the_same_bytes_each_time_and_hold_no_path(tmp_path, bundle):
    folder, *_ = bundle
    saved(tmp_path, folder / "backbone")
    for precision in ("int8", "fp32"):
        runtime(precision).prepare(tmp_path)
    for path in (folder / "onnx").iterdir():
        content = path.read_bytes()
        assert content == (tmp_path / "onnx" / path.name).read_bytes()
        assert str(folder).encode() not in content and b"site-packages" not in content


@pytest.mark.parametrize(
    ("absent", "prepared", "said"),
    [
        ("onnxruntime", True, "the package onnxruntime is not installed: pip install 'tunewright[onnx]'"),
        ("onnxruntime", False, "the package onnxruntime is not installed"),
        ("onnx", False, "the package onnx is not installed, with which its ONNX file has yet to be made"),
        ("torch", False, "the package torch is not installed, with which its ONNX file has yet to be made"),
        ("torch", True, ""),
    ],
)
def test_it_says_which_package_it_lacks(monkeypatch, tmp_path, bundle, absent, prepared, said):
    saved(tmp_path, bundle[0] / "backbone")
    monkeypatch.setenv("TUNEWRIGHT_CACHE", str(tmp_path / "cache"))
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == absent else find(name))
    lacking = runtime().lacks(bundle[0] if prepared else tmp_path)
    assert said in lacking and bool(said) == bool(lacking)


def test_a_network_that_computes_otherwise_as_onnx_is_refused_and_leaves_nothing(monkeypatch, tmp_path):
    saved(tmp_path, tiny_backbone(tmp_path / "backbone"))
    plain = PooledHead.features
    monkeypatch.setattr(PooledHead, "features", lambda self, hidden, mask: plain(self, hidden, mask) * int(mask.sum()))
    with pytest.raises(ModelError, match="cannot be written as ONNX: its logits there are not those of PyTorch"):
        runtime().prepare(tmp_path)
    assert [path.name for path in tmp_path.rglob("*") if "onnx" in path.name and path.is_file()] == []


def test_a_network_that_cannot_be_exported_ends_with_one_message(monkeypatch, tmp_path, capfd):
    saved(tmp_path, tiny_backbone(tmp_path / "backbone"))

    def features(self, hidden, mask):
        mean = (hidden * mask.unsqueeze(-1)).sum(dim=1, keepdim=True).squeeze(1)
        return torch.nn.functional.layer_norm(mean, mean.shape[-1:])

    monkeypatch.setattr(PooledHead, "features", features)
    capfd.readouterr()
    with pytest.raises(ModelError, match=r"The model in .* cannot be written as ONNX"):
        runtime().prepare(tmp_path)
    assert capfd.readouterr() == ("", "")


def test_steps_that_cannot_be_joined_stay_as_they_are(monkeypatch, tmp_path):
    import onnxruntime.transformers.optimizer as optimizer

    def broken(*_, **__):
        raise KeyError("no such node")

    monkeypatch.setattr(optimizer, "optimize_model", broken)
    windows, expected = saved(tmp_path, tiny_backbone(tmp_path / "backbone"))
    runtime("fp32").prepare(tmp_path)
    assert furthest(runtime("fp32").open(tmp_path)(windows), expected) <= 1e-3
