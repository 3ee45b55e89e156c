"""Texts become windows; no token is lost or counted twice; offsets stay in the user's text."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest

from tunewright.core.errors import ModelError, RecipeError
from tunewright.models.processor import Processor, TooLong, count, token_limit
from tunewright.testing.tiny import tiny_backbone, vocabulary

ENGLISH = "the movie was good and the price is not bad "
CHINESE = "今天天气很好我们去看电影"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_backbone(tmp_path_factory.mktemp("tiny"))


def open_processor(folder, **settings):
    return Processor.load(folder, **settings)


def text_ids(processor, text):
    return processor.tokenizer.encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize("text", ["", ENGLISH, CHINESE, "mixed 中文 and English，混合"])
def test_a_short_text_is_one_window_between_special_tokens(folder, text):
    processor = open_processor(folder)
    (window,) = processor.encode([text])[0]
    cls, sep = vocabulary().index("[CLS]"), vocabulary().index("[SEP]")
    assert window.input_ids.tolist() == [cls, *text_ids(processor, text), sep]
    assert window.attention_mask.tolist() == [1] * len(window.input_ids)
    assert (window.tokens, window.shared, window.truncated) == (len(text_ids(processor, text)), 0, 0)
    assert set(window.features) == {"input_ids", "attention_mask", "token_type_ids"}


@pytest.mark.parametrize("text", [ENGLISH * 20, CHINESE * 20])
@pytest.mark.parametrize(("max_tokens", "stride"), [(16, 4), (16, 0), (9, 100), (3, 16), (128, 16)])
def test_windows_of_a_long_text_hold_every_token_and_count_it_once(folder, text, max_tokens, stride):
    processor = open_processor(folder, max_tokens=max_tokens, stride=stride)
    windows = processor.encode([text])[0]
    joined = [int(piece) for window in windows for piece in window.input_ids[1 + window.shared : -1]]
    assert joined == text_ids(processor, text)
    assert all(len(window.input_ids) <= max_tokens for window in windows)
    assert count([windows]) == (len(joined), len(joined), 0, len(windows))
    assert len(windows) > 1


def test_neighbouring_windows_share_the_stride(folder):
    windows = open_processor(folder, max_tokens=16, stride=4).encode([CHINESE * 5])[0]
    for left, right in itertools.pairwise(windows):
        assert left.input_ids[-1 - right.shared : -1].tolist() == right.input_ids[1 : 1 + right.shared].tolist()
        assert right.shared == 4


@pytest.mark.parametrize("text", [ENGLISH * 20, CHINESE * 20])
def test_truncation_counts_what_it_cuts_off(folder, text):
    processor = open_processor(folder, max_tokens=16, overflow="truncate")
    (window,) = processor.encode([text])[0]
    total = len(text_ids(processor, text))
    assert (window.tokens, window.truncated) == (14, total - 14)
    assert count([[window]]) == (total, 14, total - 14, 1)


def test_refusing_names_the_place_in_the_list_the_length_and_what_to_do(folder):
    processor = open_processor(folder, max_tokens=16, overflow="refuse")
    with pytest.raises(TooLong) as caught:
        processor.encode(["good", CHINESE * 5])
    assert caught.value.index == 1
    assert "Text 1 has 60 tokens, and a window holds 14" in str(caught.value)
    assert "set data.overflow to split or truncate" in str(caught.value)


def test_the_place_is_right_beyond_the_first_chunk(folder):
    processor = open_processor(folder, max_tokens=16, overflow="refuse")
    with pytest.raises(TooLong) as caught:
        processor.encode(["good"] * 1500 + [CHINESE * 5])
    assert caught.value.index == 1500


@pytest.mark.parametrize("text", ["Good  MOVIE, very good.", "今天天气很好，very good！", "😀 好 é"])
def test_offsets_are_characters_of_the_text(folder, text):
    for prefix in ("", "query: "):
        (window,) = open_processor(folder, prefix=prefix).encode([text])[0]
        pieces = [text[start:end].lower() for start, end in window.offsets if end > start]
        assert "".join(pieces) == "".join(text.lower().split())


def test_a_prefix_opens_every_window_and_is_no_token_of_the_text(folder):
    plain = open_processor(folder, max_tokens=20)
    prefixed = open_processor(folder, max_tokens=20, prefix="query: ")
    prefix = text_ids(plain, "query:")
    windows = prefixed.encode([CHINESE * 5])[0]
    assert all(window.input_ids[1 : 1 + len(prefix)].tolist() == prefix for window in windows)
    assert all(not window.offsets[: 1 + len(prefix)].any() for window in windows)
    assert count([windows]).seen == count([plain.encode([CHINESE * 5])[0]]).seen == 60


def test_a_saved_processor_gives_the_same_windows_and_opens_with_transformers(folder, tmp_path):
    from transformers import AutoTokenizer

    processor = open_processor(folder, max_tokens=24, stride=3, overflow="truncate", prefix="query: ")
    processor.save(tmp_path)
    again, theirs = Processor.load(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    assert (again.max_tokens, again.stride, again.overflow, again.prefix) == (24, 3, "truncate", "query: ")
    for text in ("good movie", CHINESE, ""):
        ids = processor.encode([text])[0][0].input_ids.tolist()
        assert again.encode([text])[0][0].input_ids.tolist() == ids
        assert theirs(text)["input_ids"] == ids
    assert theirs.pad_token_id == processor.pad_id
    assert theirs.model_max_length == 24


def test_a_pair_gets_token_types_and_says_which_text_a_token_is_of(folder):
    (window,) = open_processor(folder).encode(["good movie"], ["今天好"])[0]
    assert window.token_type_ids.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert window.second.tolist() == [False] * 4 + [True] * 3 + [False]
    assert window.tokens == 5


@pytest.mark.parametrize(("first", "second"), [(40, 3), (3, 40), (40, 40), (40, 0), (0, 40)])
def test_windows_of_a_long_pair_hold_every_token_of_both_and_count_it_once(folder, first, second):
    processor = open_processor(folder, max_tokens=19, stride=2)
    windows = processor.encode(["好" * first], ["坏" * second])[0]
    counted = count([windows])
    assert (counted.seen, counted.truncated) == (first + second, 0)
    assert all(len(window.input_ids) <= 19 for window in windows)
    for text, of_second in (("好" * first, False), ("坏" * second, True)):
        held = {int(at) for window in windows for at in window.offsets[:, 0][_own(window, of_second)]}
        assert held == set(range(len(text)))


def _own(window, of_second):
    return (window.second == of_second) & (window.offsets[:, 1] > 0)


def test_truncating_a_pair_leaves_the_short_text_whole(folder):
    processor = open_processor(folder, max_tokens=19, overflow="truncate")
    (window,) = processor.encode(["好" * 40], ["坏" * 3])[0]
    assert int(window.second.sum()) == 3
    assert (window.tokens, window.truncated) == (16, 27)


def test_models_without_token_types_get_none(tmp_path):
    for family in ("roberta", "distilbert"):
        (window,) = Processor.load(tiny_backbone(tmp_path / family, family=family)).encode(["good"], ["bad"])[0]
        assert window.token_type_ids is None
        assert "token_type_ids" not in window.features


def test_the_limit_leaves_out_positions_that_cannot_be_used(folder, tmp_path):
    assert token_limit(folder) == 128
    (tmp_path / "config.json").write_text('{"max_position_embeddings": 514, "pad_token_id": 1}')
    assert token_limit(tmp_path) == 512
    (tmp_path / "config.json").write_text('{"n_positions": 1024}')
    assert token_limit(tmp_path) == 1024


def test_windows_longer_than_the_model_reads_are_refused(folder):
    with pytest.raises(RecipeError, match=r"data\.max_tokens is 512, and .* reads at most 128 tokens"):
        open_processor(folder, max_tokens=512)


def test_windows_without_room_for_text_are_refused(folder):
    with pytest.raises(RecipeError, match=r"2 of them are the model's special tokens: set at least 3"):
        open_processor(folder, max_tokens=2)
    with pytest.raises(RecipeError, match=r"a pair needs 3 special tokens: set at least 5"):
        open_processor(folder, max_tokens=4).encode(["a"], ["b"])


def test_lengths_are_those_of_the_whole_texts(folder):
    processor = open_processor(folder, max_tokens=16)
    assert processor.lengths(["", CHINESE, CHINESE * 5]).tolist() == [2, 14, 62]
    assert processor.lengths([]).dtype == np.int64


def test_half_an_emoji_is_no_crash(folder):
    (window,) = open_processor(folder).encode(["好\ud83d电"])[0]
    assert window.tokens == 3
    assert window.offsets.tolist() == [[0, 0], [0, 1], [1, 2], [2, 3], [0, 0]]


def test_known_ids(folder):
    processor = open_processor(folder)
    assert processor.pad_id == 0
    assert processor.unknown_id == 1


def test_a_folder_without_a_tokenizer_says_what_it_holds(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"holds no tokenizer\.json.*It holds: config\.json.*save_pretrained"):
        Processor.load(tmp_path)


def test_a_broken_tokenizer_is_named(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(ModelError, match=r"tokenizer\.json is no tokenizer that can be read"):
        Processor.load(tmp_path)


def test_an_older_vocabulary_file_is_converted(tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(vocabulary()))
    (tmp_path / "config.json").write_text('{"model_type": "bert", "type_vocab_size": 2, "max_position_embeddings": 64}')
    (window,) = Processor.load(tmp_path).encode(["good 今天"])[0]
    pieces = vocabulary()
    assert [pieces[piece] for piece in window.input_ids] == ["[CLS]", "good", "今", "天", "[SEP]"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_encodes_in_silence(folder):
    code = (
        "import os; from tunewright.models.processor import Processor; "
        f"p = Processor.load({str(folder)!r}); p.encode(['good'] * 100); child = os.fork(); p.encode(['bad'] * 100); "
        "child or os._exit(0); assert os.waitpid(child, 0)[1] == 0"
    )
    environment = {name: value for name, value in os.environ.items() if name != "TOKENIZERS_PARALLELISM"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")


def test_it_needs_no_torch(folder):
    code = (
        "import sys; from tunewright.models.processor import Processor; "
        f"Processor.load({str(folder)!r}).encode(['good']); "
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
