"""The runtime openvino: its fp32 gives PyTorch's numbers, its bf16 nearly; a prepared bundle is served without torch."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from bundles import furthest, saved

from tunewright.core import catalog
from tunewright.testing import tiny_backbone

openvino = pytest.importorskip("openvino")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def runtime(precision="fp32"):
    return catalog.create("runtimes", {"name": "openvino", "precision": precision})


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    made = saved(folder, tiny_backbone(folder / "backbone"))
    runtime().prepare(folder)
    return folder, *made


@pytest.mark.parametrize("head", ["pooled", "tokens"])
@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert"])
def test_fp32_gives_the_numbers_of_torch(tmp_path, family, head):
    windows, expected = saved(tmp_path, tiny_backbone(tmp_path / "backbone", family=family), head)
    runtime().prepare(tmp_path)
    assert furthest(runtime().open(tmp_path)(windows), expected) <= 1e-3
    assert runtime().exact and not runtime("bf16").exact


def test_bf16_gives_nearly_the_numbers_of_torch(bundle):
    folder, windows, expected = bundle
    if lacking := runtime("bf16").lacks(folder):
        pytest.skip(lacking)
    found = runtime("bf16").open(folder)(windows)
    size = max(float(np.abs(one).max()) for one in expected)
    assert 0 < furthest(found, expected) <= 0.1 * size


def test_without_its_instructions_there_is_no_bf16(bundle, monkeypatch):
    monkeypatch.setattr(openvino.Core, "get_property", lambda *_: ["FP32", "INT8"])
    assert runtime("bf16").lacks(bundle[0]) == "this processor has no bf16 instructions"
    assert runtime().lacks(bundle[0]) == ""


def test_several_threads_get_the_answers_of_one(bundle):
    folder, windows, _ = bundle
    run = runtime().open(folder)
    expected = run(windows)
    with ThreadPoolExecutor(4) as threads:
        for found in threads.map(run, [windows] * 16):
            assert furthest(found, expected) <= 1e-5


def test_a_prepared_bundle_is_served_without_torch(bundle):
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from tunewright.core import catalog\n"
        "from tunewright.models.processor import Processor\n"
        "folder = Path(sys.argv[1])\n"
        "runtime = catalog.create('runtimes', 'openvino')\n"
        "assert runtime.lacks(folder) == ''\n"
        "(window,), = Processor.load(folder / 'model').encode(['a good film'])\n"
        "assert runtime.open(folder)([window.features])[0].shape == (3,)\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules\n"
    )
    command = [sys.executable, "-c", script, str(bundle[0])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["onnx", "openvino"])
def test_no_library_tells_its_makers_that_a_bundle_was_opened(bundle, tmp_path, name):
    """What they would send, they first keep in the user's home."""
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from tunewright.core import catalog\n"
        "catalog.create('runtimes', {'name': sys.argv[2], 'precision': 'fp32'}).open(Path(sys.argv[1]))\n"
    )
    # Without what would keep them silent, too.
    told = ("ORT_DISABLE_TELEMETRY", "DO_NOT_TRACK", "CI", "TF_BUILD", "JENKINS_URL")
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    environment = {key: value for key, value in os.environ.items() if key not in told} | home
    command = [sys.executable, "-c", script, str(bundle[0]), name]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize(
    ("absent", "said"),
    [
        ("openvino", "the package openvino is not installed: pip install 'tunewright[openvino]'"),
        ("onnx", "the package onnx is not installed, with which its ONNX file has yet to be made"),
    ],
)
def test_it_says_which_package_it_lacks(monkeypatch, tmp_path, absent, said):
    saved(tmp_path, tiny_backbone(tmp_path / "backbone"))
    monkeypatch.setenv("TUNEWRIGHT_CACHE", str(tmp_path / "cache"))
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == absent else find(name))
    assert said in runtime().lacks(tmp_path)
