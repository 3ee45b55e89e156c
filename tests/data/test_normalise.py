"""Texts that people would call the same are the same after normalising, in English and in Chinese."""

from __future__ import annotations

import pytest

from tunewright.data.normalise import key, normalise, normalise_label


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Hello,  World!", "hello world"),
        ("ＡＢＣ１２３", "abc123"),
        ("今天 天气，很好。", "今天天气很好"),
        ("Straße\u200b", "STRASSE"),
        ("你好！", "你好"),
    ],
)
def test_width_case_spaces_and_punctuation_do_not_matter(one: str, other: str) -> None:
    assert normalise(one) == normalise(other)
    assert key([one]) == key([other])


@pytest.mark.parametrize(
    ("one", "other"), [("good 😀", "good 😡"), ("!!!", "???"), ("3.5", "35"), ("a b", "ab"), ("C++", "C")]
)
def test_what_carries_meaning_stays(one: str, other: str) -> None:
    assert normalise(one) != normalise(other)


def test_a_pair_is_not_its_words_in_another_cut() -> None:
    assert key(["a b", "c"]) != key(["a", "b c"])


def test_labels_agree_that_differ_by_case_space_or_width() -> None:
    assert normalise_label("Out Of-Scope ") == normalise_label("out_ofｓｃｏｐｅ")
