"""The language of texts is found by script, and by letters where scripts are shared."""

from __future__ import annotations

import pytest

from tunewright.data.language import language


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("今天的天气真好", "zh"),
        ("今日はいい天気ですね", "ja"),
        ("오늘 날씨가 좋네요", "ko"),
        ("Привет, как дела? Сегодня очень хорошая погода", "ru"),
        ("what is the weather like in paris tomorrow morning", "en"),
        ("Der Hund läuft schnell durch den Wald und freut sich", "de"),
        ("12345 !!!", "und"),
        ("", "und"),
    ],
)
def test_a_text_has_its_language(text: str, code: str) -> None:
    assert language([text] * 3).code == code


def test_mixed_texts_have_shares() -> None:
    found = language(["今天的天气真好，我们去公园"] * 3 + ["what is the weather like in paris tomorrow morning"])
    assert found.code == "zh"
    assert found.shares == {"zh": 0.75, "en": 0.25}
    assert found.name == "Chinese"
    assert set(found.scripts) == {"Han", "Latin"}
