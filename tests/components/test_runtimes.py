"""The runtime onnx: its fp32 gives PyTorch's numbers, its int8 nearly; a prepared bundle is served without torch."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import numpy as np
import pytest
import torch
from bundles import furthest, saved
from safetensors.torch import load_file, save_file

from tunewright.core import catalog
from tunewright.core.errors import MachineError, ModelError, RecipeError
from tunewright.core.files import write_json
from tunewright.models import onnx_export, onnx_rounding
from tunewright.models.heads import PooledHead
from tunewright.testing import tiny_backbone
from tunewright.testing.tiny import vocabulary, write_tokenizer

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def runtime(precision="int8", **settings):
    return catalog.create("runtimes", {"name": "onnx", "precision": precision, **settings})


@pytest.fixture(autouse=True)
def nothing_kept():
    """Each test's network is traced anew, also where it is the same one."""
    onnx_export.forget()
    yield
    onnx_export.forget()


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


def test_a_network_is_traced_once_for_all_its_forms(monkeypatch, tmp_path):
    traced = []
    trace = onnx_export._trace
    monkeypatch.setattr(onnx_export, "_trace", lambda *arguments: traced.append(1) or trace(*arguments))
    windows, _ = saved(tmp_path, tiny_backbone(tmp_path / "backbone"))
    for one in (runtime(), runtime("fp32"), runtime(static=True, full=0.5)):
        one.prepare(tmp_path, windows)
    assert len(traced) == 1
    assert len(list((tmp_path / "onnx").iterdir())) == 3
    kept = onnx_export._last
    [(file, _)] = kept.values()
    onnx_export.forget()
    assert not file.exists() and not kept


# -------------------------------------------------------------------------------------------------- static scales


def test_with_static_scales_an_answer_does_not_depend_on_the_texts_beside_it(tmp_path):
    windows, expected = saved(tmp_path, tiny_backbone(tmp_path / "backbone"))
    apart = {}
    for static in (False, True):
        made = runtime(static=static)
        made.prepare(tmp_path, windows)
        run = made.open(tmp_path)
        together = run(windows)
        apart[static] = furthest([run([window])[0] for window in windows], together)
        assert furthest(together, expected) <= 0.1 * max(float(np.abs(one).max()) for one in expected)
        assert made.steady is static
    assert apart[True] <= 1e-5 < apart[False]


def spoiled(folder) -> tuple[list, list]:
    """A bundle in whose second layer one unit is so large that rounding loses the others beside it; nothing depends on that one."""
    backbone = tiny_backbone(folder / "backbone")
    weights = dict(load_file(backbone / "model.safetensors"))
    weights["encoder.layer.1.intermediate.dense.bias"][3] = 300.0
    weights["encoder.layer.1.output.dense.weight"][:, 3] = 0.0
    save_file(weights, backbone / "model.safetensors", metadata={"format": "pt"})
    return saved(folder, backbone)


def test_the_products_that_rounding_hurts_most_stay_in_full_precision(tmp_path):
    import onnx

    windows, expected = spoiled(tmp_path)
    errors = {}
    for full in (0.0, 0.2):
        runtime(static=True, full=full).prepare(tmp_path, windows)
        found = runtime(static=True, full=full).open(tmp_path)(windows)
        errors[full] = float(np.mean([np.abs(one - other).mean() for one, other in zip(found, expected, strict=True)]))
    assert errors[0.2] < 0.7 * errors[0.0]
    files = {path.name: onnx.load(str(path)) for path in (tmp_path / "onnx").iterdir()}
    rounded = {name: {n.input[0] for n in file.graph.node if n.op_type == "QuantizeLinear"} for name, file in files.items()}  # fmt: skip
    given_back = rounded["model.int8-static.onnx"] - rounded["model.int8-static-0.2.onnx"]
    assert any("layer.1/intermediate" in name for name in given_back)


def test_no_more_of_the_work_stays_in_full_precision_than_was_asked_for(tmp_path):
    import onnx

    windows, _ = saved(tmp_path, tiny_backbone(tmp_path / "backbone"))
    for full in (0.0, 0.3, 0.9):
        runtime(static=True, full=full).prepare(tmp_path, windows)
    exact = onnx.load(str(onnx_export.exported(tmp_path / "model", next(iter(onnx_export._last)))))
    dynamic = tmp_path / "dynamic.onnx"
    onnx_rounding.round_dynamic(onnx_export.exported(tmp_path / "model", next(iter(onnx_export._last))), dynamic)
    products = {one.gives: one for one in onnx_rounding._products(exact, onnx.load(str(dynamic)))}
    work = sum(one.work for one in products.values())
    largest = max(one.work for one in products.values())
    exactly = {(node.op_type, *node.output) for node in exact.graph.node}
    for full, file in ((0.3, "model.int8-static-0.3.onnx"), (0.9, "model.int8-static-0.9.onnx")):
        nodes = {(node.op_type, *node.output) for node in onnx.load(str(tmp_path / "onnx" / file)).graph.node}
        kept = sum(products[node[1]].work for node in nodes & exactly if node[1] in products)
        assert 0 < kept <= max(largest, full * work)


def test_ranges_come_from_the_rows_and_what_lies_outside_is_cut_off(tmp_path):
    windows, _ = saved(tmp_path, tiny_backbone(tmp_path / "backbone"))
    made = []
    for number, some in enumerate((windows, windows[:1])):
        folder = tmp_path / str(number)
        saved(folder, tmp_path / "backbone")
        runtime(static=True).prepare(folder, some)
        made.append(runtime(static=True).open(folder)(windows))
    assert furthest(*made) > 1e-4


def test_static_scales_need_rows_and_a_bundle_that_came_with_them(tmp_path):
    saved(tmp_path, tiny_backbone(tmp_path / "backbone"))
    with pytest.raises(MachineError, match=r"measured on rows, and there are none\. Take static: false"):
        runtime(static=True).prepare(tmp_path)
    with pytest.raises(MachineError, match=r"made without model\.int8-static\.onnx: .*int8\.static=true"):
        runtime(static=True).open(tmp_path)
    assert not (tmp_path / "onnx").exists()


def test_static_scales_serve_answers_per_token_and_features(tmp_path):
    windows, expected = saved(tmp_path, tiny_backbone(tmp_path / "backbone"), "tokens")
    made = runtime(static=True, full=0.3)
    made.prepare(tmp_path, windows)
    found = made.open(tmp_path)(windows)
    assert furthest(found, expected) <= 0.1 * max(float(np.abs(one).max()) for one in expected)


def test_full_precision_has_no_careful_form_and_int8_one_for_each_share():
    assert runtime("fp32").sparing(0.1) is None
    careful = runtime().sparing(0.25)
    assert (careful.static, careful.full, careful.steady) == (True, 0.25, True)
    assert catalog.create("runtimes", "native").sparing(0.1) is None


@pytest.mark.parametrize("settings", [{"static": True}, {"full": 0.5}])
def test_settings_of_integers_are_refused_where_nothing_is_rounded(settings):
    with pytest.raises(RecipeError, match="settings of precision int8; fp32 rounds nothing"):
        runtime("fp32", **settings)
