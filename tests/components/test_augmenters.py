"""What is special about an augmenter; what all of them promise is tested in test_conformance.py."""

import sys

import numpy as np
import pytest

from tunewright.core import catalog
from tunewright.core.edits import Passage, applied
from tunewright.core.errors import MachineError, ModelError, RecipeError
from tunewright.data import words
from tunewright.testing.tiny import tiny_masked_lm, tiny_seq2seq


def changed(name, text, draws=12, fixed=(), **settings):
    """The different forms that some draws give a text."""
    edits = catalog.create("augmenters", {"name": name, **settings}).open()
    passages = [Passage(text, fixed, np.random.default_rng(draw)) for draw in range(draws)]
    return {applied(text, sorted(found)) for found in edits(passages)}


@pytest.mark.parametrize(
    ("slip", "expected"),
    [
        ("swap", {"mvoie", "moive", "movei"}),
        ("omit", {"mvie", "moie", "move"}),
        ("double", {"moovie", "movvie", "moviie"}),
        ("neighbour", {f"m{o}vie" for o in "iklp"} | {f"mo{v}ie" for v in "bcfg"} | {f"mov{i}e" for i in "ujko"}),
    ],
)
def test_a_slip_is_one_key_inside_a_word(slip, expected):
    found = changed("typo", "movie", draws=60, slips=(slip,))
    assert found <= expected and len(found) >= 2


def test_a_neighbouring_key_keeps_case_and_width():
    assert changed("typo", "MOVIE", slips=("neighbour",)) == {
        text.upper() for text in changed("typo", "movie", slips=("neighbour",))
    }
    wide = changed("typo", "ＡＢＣＤ", slips=("neighbour",))
    assert all(0xFF21 <= ord(letter) <= 0xFF3A for text in wide for letter in text)


def test_chinese_slips_swap_omit_or_double_a_character():
    assert changed("typo", "喜欢", draws=40) == {"欢喜", "欢", "喜喜欢"}


def test_words_swap_drop_or_come_twice_in_both_languages():
    text = "good film"
    assert changed("swap_delete_insert", text, operations=("swap",)) == {"film good"}
    assert changed("swap_delete_insert", text, operations=("delete",)) == {"good", "film"}
    twice = changed("swap_delete_insert", text, operations=("insert",), draws=40)
    assert twice == {"good good film", "good film film", "good film good"}
    assert "手机这个很便宜" in changed("swap_delete_insert", "这个手机很便宜", operations=("swap",), draws=40)


def test_the_only_word_of_a_text_is_never_left_out():
    assert changed("swap_delete_insert", "film", operations=("delete",)) == {"film"}
    assert "" not in changed("swap_delete_insert", "good film", operations=("delete",), share=1.0)


def test_a_homophone_sounds_the_same_and_is_a_word_where_there_is_one():
    from pypinyin import lazy_pinyin

    found = changed("homophone", "手机", draws=40)
    assert "收集" in found
    assert {tuple(lazy_pinyin(text)) for text in found} == {("shou", "ji")}
    assert changed("homophone", "a good film 😀") == {"a good film 😀"}


def test_homophones_can_be_held_to_the_tone():
    from pypinyin import Style, pinyin

    found = changed("homophone", "权力", draws=40, tones=True) - {"权力"}
    assert found and {str(pinyin(text, style=Style.TONE)) for text in found} == {str(pinyin("权力", style=Style.TONE))}


def test_synonyms_come_from_a_table_of_ones_own_in_the_case_of_the_word(tmp_path):
    table = tmp_path / "own.txt"
    table.write_text("Aa01A01= film movie\n喜欢，喜爱\n", encoding="gb18030")
    assert changed("synonym", "FILM 喜欢", table=str(table), share=1.0) == {"MOVIE 喜爱"}
    assert changed("synonym", "Film or not, by Film", table=str(table), share=1.0) == {"Movie or not, by Film"}


def test_a_covered_word_is_filled_in_with_another_of_its_kind(tmp_path):
    model = str(tiny_masked_lm(tmp_path / "lm"))
    found = changed("masked_lm", "Good 电影", model=model, share=1.0)
    assert len(found) > 3
    for text in found:
        english, chinese = text.split()
        assert english.isascii() and english[0].isupper() and len(chinese) == 2 and not chinese.isascii()
        assert english != "Good" and chinese[0] != "电" and chinese[1] != "影"


def test_translations_replace_the_texts_of_the_script_that_is_asked_for(tmp_path):
    models = {"there": str(tiny_seq2seq(tmp_path / "a")), "back": str(tiny_seq2seq(tmp_path / "b", seed=1))}
    assert "a good film" not in changed("back_translation", "a good film", texts="en", **models)
    assert changed("back_translation", "a good film", texts="zh", **models) == {"a good film"}
    assert changed("back_translation", "good " * 200, **models) == {"good " * 200}  # longer than the network reads
    plain, prompted = (changed("back_translation", "a film", prompts=p, **models) for p in (("", ""), ("bad ", "")))
    assert plain != prompted
    assert len(changed("back_translation", "a good film", beams=1, **models)) == 1


def test_an_augmenter_without_its_model_says_what_to_give(tiny_backbone, tmp_path):
    for name, setting in (("masked_lm", "model"), ("back_translation", "there")):
        with pytest.raises(RecipeError, match=rf"data.augment: \w+\.{setting} is needed: a folder, or a hub id"):
            catalog.create("augmenters", name).open()
    with pytest.raises(ModelError, match=r"has no weights for cls.* AutoModelForMaskedLM is needed"):
        catalog.create("augmenters", {"name": "masked_lm", "model": str(tiny_backbone)}).open()
    with pytest.raises(ModelError, match="cannot be opened"):
        lm = str(tiny_masked_lm(tmp_path / "lm"))
        catalog.create("augmenters", {"name": "back_translation", "there": lm, "back": lm}).open()


@pytest.mark.parametrize(("name", "package"), [("homophone", "pypinyin"), ("swap_delete_insert", "rjieba")])
def test_a_missing_package_is_told_with_the_extra_that_brings_it(monkeypatch, name, package):
    monkeypatch.setitem(sys.modules, package, None)
    words.jieba.cache_clear()
    with pytest.raises(MachineError, match=r"pip install 'tunewright\[augment\]'"):
        changed(name, "这个手机很便宜")
