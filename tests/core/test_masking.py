"""What is personal by its form is replaced, in English and Chinese; what only looks like it stays; places lead back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright.core.masking import KINDS, mask

HIT = {
    "email": [
        "write to anna.smith+work@mail.example.co.uk, please",
        "邮箱是zhang_wei@qq.com，谢谢",
        "发到 ｚｈａｎｇ＠qq.com",
        "<bob@example.org>",
    ],
    "phone": [
        "我的手机是13812345678，打给我",
        "电话：+86 138 1234 5678。",
        "打138-1234-5678或",
        "手机１３８１２３４５６７８",
        "座机010-62345678转",
        "(021) 62345678",
        "call +44 20 7946 0958 now",
        "call (212) 555-0123.",
        "555-223-4567",
        "+1-212-555-0123",
        "008613812345678",
    ],
    "id_card": ["身份证11010519491231002X，", "证件号：440308199901010012", "id 11010519491231002x."],
    "bank_card": [
        "卡号6222021234567890128",
        "card 4111 1111 1111 1111 please",
        "5500-0000-0000-0004",
        "amex 378282246310005",
    ],
    "ip": ["from 192.168.1.17 today", "地址是10.0.0.1。", "at 2001:db8::8a2e:370:7334", "::1 is me", "fe80::1, too"],
}
MISS = [
    "a@b",
    "user@host is local",
    "@zhang and a@ b.com",
    "on 2024-01-15 at 12:30:45",
    "order 138123456789 of 12 digits",
    "编号1381234567少一位",
    "编号12812345678不是手机",
    "13812345678.5 yuan",
    "A13812345678B",
    "version 1.2.3.4.5",
    "256.100.1.1",
    "1.2.3",
    "std::vector<a::b> c::d",
    "at 10:20:30",
    "110105194912310021 has a wrong check digit",
    "身份证110105194913310025月份不对",
    "110105194912310X1",
    "4111 1111 1111 1112 fails Luhn",
    "1234567812345670 begins with 1",
    "411111111111 is too short",
    "总价 12345678 元，共 2000 件",
    "2024-2025",
    "+1 and +12 points",
    "0.123456789012345678",
    "ISBN 978-3-16-148410-0",
]


def _all():
    return [(kind, text) for kind, texts in HIT.items() for text in texts]


@pytest.mark.parametrize(("kind", "text"), _all())
def test_what_is_personal_is_replaced_by_a_sign_for_its_kind(kind, text):
    masked = mask(text)
    assert masked.counts == {kind: 1}
    [item] = masked.items
    assert masked.text == text[: item.start] + item.sign + text[item.end :]
    assert item.sign == f"[{kind.upper()}]" and masked.text[item.at :].startswith(item.sign)
    assert not any(letter.isdigit() for letter in masked.text) or kind == "ip"
    assert mask(masked.text).items == ()


@pytest.mark.parametrize("text", MISS)
def test_what_only_looks_like_it_stays(text):
    assert mask(text).text == text


def test_several_in_one_text_are_each_told_and_nothing_between_them_is_lost():
    text = "王芳 13812345678 / fang@qq.com，身份证11010519491231002X，卡6222021234567890128。"
    masked = mask(text)
    assert masked.text == "王芳 [PHONE] / [EMAIL]，身份证[ID_CARD]，卡[BANK_CARD]。"
    assert set(masked.counts) == set(KINDS) - {"ip"}


def test_what_was_found_otherwise_is_masked_too_and_does_not_break_what_has_a_form():
    text = "王芳 wrote from fang@qq.com to Ann"
    more = [(len(text) - 3, len(text), "per"), (0, 2, "per"), (1, 2, "loc"), (14, 18, "per"), (5, 5, "per")]
    masked = mask(text, more)
    assert masked.text == "[PER] wrote from [EMAIL] to [PER]"
    assert [text[slice(*masked.original(item.at, item.at + len(item.sign)))] for item in masked.items] == ["王芳", "fang@qq.com", "Ann"]  # fmt: skip


def test_places_lead_back_to_the_text_that_was_given():
    text = "call 13812345678 or a@example.org about the card"
    masked = mask(text)
    start = masked.text.index("card")
    assert text[slice(*masked.original(start, start + 4))] == "card"
    assert text[slice(*masked.original(0, 4))] == "call"
    sign = masked.text.index("[PHONE]")
    assert text[slice(*masked.original(sign, sign + 7))] == "13812345678"
    assert text[slice(*masked.original(sign + 2, sign + 4))] == "13812345678"  # a part of it is all of it
    assert masked.original(0, len(masked.text)) == (0, len(text))


@given(st.text(alphabet="0123456789 -.+@:()aX王[]", max_size=60))
def test_whatever_the_text_masking_twice_finds_nothing_new_and_places_stay_in_order(text):
    masked = mask(text)
    assert mask(masked.text).text == masked.text
    places = [masked.original(place, place)[0] for place in range(len(masked.text) + 1)]
    assert places == sorted(places) and all(0 <= place <= len(text) for place in places)
    for item in masked.items:
        assert masked.original(item.at, item.at + len(item.sign)) == (item.start, item.end)


def test_long_texts_of_what_begins_like_it_take_no_long_time():
    for text in ("1" * 100_000, "a." * 50_000, "a" * 100_000 + "@", "1:" * 50_000, "4111 " * 20_000, "+1 " * 30_000):
        masked = mask(text)  # pytest-timeout would end what backtracks without end
        assert masked.original(0, len(masked.text)) == (0, len(text))
