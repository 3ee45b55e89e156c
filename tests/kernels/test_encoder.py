"""Answers in 8-bit integers are near those of full precision, and depend on nothing but the text."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from tunewright.core import catalog
from tunewright.kernels import encoder, library
from tunewright.models import saved
from tunewright.models.layout import save_model
from tunewright.models.model import Model

SIZES = {"hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 100}
LENGTHS = (1, 7, 33, 16, 140, 40)  # one longer than what goes through the layers together
PROCESSORS = ("x86-64", "x86-64-v3", "x86-64-v4")

pytestmark = pytest.mark.skipif(library.library() is None, reason=library.about())


def features():
    """The instruction sets of this processor, as Linux names them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return set(next((line for line in lines if line.startswith("flags")), "").split())


def compiled(target, *flags):
    """The kernels for another processor."""
    compiler = next(found for name in library.COMPILERS if (found := shutil.which(name)))
    sources = [str(library.FOLDER / name) for name in library.SOURCES]
    subprocess.run([compiler, *library.FLAGS, *flags, *sources, "-o", str(target)], check=True)
    return library._opened(target)


def network(family="bert", **changes):
    import transformers

    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(family, vocab_size=100, **{**SIZES, **changes})
    config._attn_implementation = "eager"
    backbone = transformers.AutoModel.from_config(config).eval()
    backbone.pooler = None
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    head = catalog.create("heads", "pooled")
    return Model(backbone, head.build(config.hidden_size, 3), head, ("a", "b", "c")).eval()


def texts():
    random = np.random.default_rng(0)
    return [random.integers(5, 100, length) for length in LENGTHS]


def read(model, folder):
    save_model(model, folder, multi_label=False)
    assert saved.lacks(folder) == ""
    return saved.read(folder)


def logits(model, ids, **features):
    batch = {"input_ids": torch.from_numpy(ids)[None], **{k: torch.from_numpy(v)[None] for k, v in features.items()}}
    with torch.inference_mode():
        return model(batch)[0].numpy()


def relative(found, exact):
    return float(np.linalg.norm(np.stack(found) - np.stack(exact)) / np.linalg.norm(np.stack(exact)))


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_logits_are_near_those_of_full_precision(family, tmp_path):
    model = network(family, pad_token_id=1, max_position_embeddings=200)
    stored = read(model, tmp_path)
    hidden, offsets = encoder.Encoder(stored.encoder)(texts())
    found = stored.head.answer(hidden, offsets, stored.weight, stored.bias)
    assert relative(found, [logits(model, ids) for ids in texts()]) < 0.03


def test_token_types_are_seen(tmp_path):
    model = network(max_position_embeddings=200)
    stored = read(model, tmp_path)
    ids, kinds = texts()[2], (np.arange(33) > 12).astype(np.int64)
    exact = logits(model, ids, token_type_ids=kinds)
    rounded = encoder.Encoder(stored.encoder)
    answers = [stored.head.answer(*rounded([ids], given), stored.weight, stored.bias)[0] for given in ([kinds], None)]
    assert relative([answers[0]], [exact]) < 0.03 < relative([answers[1]], [exact])


def test_an_answer_is_the_same_bits_alone_together_and_on_any_number_of_threads(tmp_path):
    rounded = encoder.Encoder(read(network(max_position_embeddings=200), tmp_path).encoder)
    together, offsets = rounded(texts())
    two, _ = rounded(texts(), threads=2)
    assert np.array_equal(together, two)
    for index, ids in enumerate(texts()):
        alone, _ = rounded([ids])
        assert np.array_equal(alone, together[offsets[index] : offsets[index + 1]])


def test_weights_are_rounded_to_the_nearest_step():
    weight = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)
    weight[3] = 0
    integers, scale = encoder.rounded(weight)
    assert integers.dtype == np.int8 and np.abs(integers).max() == 127
    assert np.all(np.abs(integers * scale[:, None] - weight) <= scale[:, None] * 0.5001)


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="names processors of x86-64")
@pytest.mark.parametrize("processor", PROCESSORS)
def test_older_processors_give_the_same_answers(processor, tmp_path, monkeypatch):
    """Without the instructions for bytes, and with shorter vectors: the same texts of the sources, compiled for them."""
    has = features()
    if (processor == "x86-64-v4" and "avx512vl" not in has) or (processor == "x86-64-v3" and "avx2" not in has):
        pytest.skip("this machine cannot run what is compiled for that processor")
    expected, _ = encoder.Encoder(read(network(max_position_embeddings=200), tmp_path / "model").encoder)(texts())
    older = compiled(tmp_path / "older.so", f"-march={processor}")
    monkeypatch.setattr(encoder, "library", lambda: older)
    found, _ = encoder.Encoder(saved.read(tmp_path / "model").encoder)(texts())
    assert relative([found], [expected]) < 1e-2  # a value between two bytes may be rounded the other way


@pytest.mark.slow
@pytest.mark.skipif("amx_int8" not in features(), reason="this processor has no tiles (AMX)")
@pytest.mark.parametrize("sizes", [(48, 100), (64, 128), (80, 200)])
def test_tiles_give_the_very_bits_that_vectors_give(sizes, tmp_path, monkeypatch):
    """Sums of whole numbers are the same in any order: widths below a tile's, of whole tiles, and with some over."""
    changes = {"hidden_size": sizes[0], "intermediate_size": sizes[1], "max_position_embeddings": 200}
    expected, _ = encoder.Encoder(read(network(**changes), tmp_path / "model").encoder)(texts())
    vectors = compiled(tmp_path / "vectors.so", "-march=native", "-mno-amx-int8")
    monkeypatch.setattr(encoder, "library", lambda: vectors)
    found, _ = encoder.Encoder(saved.read(tmp_path / "model").encoder)(texts())
    assert np.array_equal(found, expected)


@pytest.mark.parametrize(
    ("family", "changes", "why"),
    [
        ("bert", {"hidden_act": "relu"}, "its activation is relu, not gelu"),
        ("bert", {"intermediate_size": 102}, "its width is no multiple of four"),
    ],
)
def test_what_is_built_otherwise_is_said(family, changes, why, tmp_path):
    save_model(network(family, **changes), tmp_path, multi_label=False)
    assert saved.lacks(tmp_path) == why


def test_other_forms_are_said(tmp_path):
    from tunewright.models.model import build_model
    from tunewright.testing import tiny_backbone

    folder = tiny_backbone(tmp_path / "backbone", family="distilbert")
    save_model(
        build_model(folder, catalog.create("heads", "pooled"), ("a", "b")), tmp_path / "saved", multi_label=False
    )
    assert saved.lacks(tmp_path / "saved") == "the model is not saved in the form of transformers"
