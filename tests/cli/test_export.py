"""`tunewright export`: another form of the network, proven to answer the same."""

import json

import numpy as np
import pytest

from tunewright.core import catalog
from tunewright.core.bundle import open_bundle
from tunewright.predict.predictor import Predictor
from tunewright.stages.compression import speed

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture(autouse=True)
def little_measuring(monkeypatch):
    monkeypatch.setattr(speed, "memory", lambda bundle, examples: 1.0)
    monkeypatch.setattr(speed, "ALONE", 12)


def test_onnx_answers_as_it_was_evaluated_and_the_bundle_answers_from_it(tiny_run, tmp_path, command):
    code, out, err = command("export", tiny_run, "--format", "onnx", "--out", tmp_path / "onnx", "--json")
    found = json.loads(out)
    assert code == 0 and found["bundle"] == str(tmp_path / "onnx"), err
    assert found["certificate"]["passed"] and found["certificate"]["flips"] == 0
    assert found["certificate"]["max_abs"] <= 1e-3
    assert (tmp_path / "onnx/onnx/model.fp32.onnx").is_file()
    assert catalog.name_of(Predictor(open_bundle(tmp_path / "onnx")).runtime) == "onnx"


def test_the_plain_layout_is_a_format_too(tiny_run, tmp_path, command):
    code, out, _ = command("export", tiny_run, "--format", "safetensors", "--out", tmp_path / "plain", "--quiet")
    assert (code, out.strip()) == (0, str(tmp_path / "plain"))
    assert (tmp_path / "plain/model/model.safetensors").is_file()


def test_a_file_that_answers_otherwise_is_refused(tiny_run, tmp_path, command, monkeypatch):
    real = catalog.find("runtimes", "onnx").open

    def off(self, bundle):
        run = real(self, bundle)
        return lambda windows: [logits + np.float32(0.01) for logits in run(windows)]

    monkeypatch.setattr(catalog.find("runtimes", "onnx"), "open", off)
    code, _, err = command("export", tiny_run, "--format", "onnx", "--out", tmp_path / "onnx")
    assert (
        code == 2
        and "As onnx it does not answer as it was evaluated" in err
        and "largest logit difference is 0.01" in err
    )
    assert not (tmp_path / "onnx").exists()


def test_an_unknown_format_is_said_with_the_nearest(tiny_run, tmp_path, command):
    code, _, err = command("export", tiny_run, "--format", "onx", "--out", tmp_path / "out")
    assert code == 3 and "There is no format 'onx'. Did you mean 'onnx'? Known: onnx, openvino, safetensors." in err
