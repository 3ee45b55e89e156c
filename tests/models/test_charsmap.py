"""The compiled trie gives every character the form it was given, and leaves the others alone."""

from __future__ import annotations

import sys
import unicodedata

from tokenizers import normalizers

from tunewright.models.charsmap import precompiled


def test_every_character_becomes_its_form():
    kept = "abc中文éß😀 "
    forms = {"\t": " ", "\x01": "", "①": "1", "㎏": "kg", "ａ": "a", "𝒜": "A", "ﷺ": "صلى الله"}
    normalizer = normalizers.Precompiled(precompiled(forms))
    for character, form in forms.items():
        assert normalizer.normalize_str(f"中{character}文") == f"中{form}文"
    assert normalizer.normalize_str(kept) == kept


def test_all_compatibility_characters_of_unicode_fit():
    forms = {}
    for code in range(0x80, sys.maxunicode + 1):
        form = unicodedata.normalize("NFKC", chr(code))
        # Marks join the character before them into one grapheme, which the library looks up by its first character.
        if form != chr(code) and not unicodedata.combining(chr(code)) and not 0xD800 <= code < 0xE000:
            forms[chr(code)] = form
    normalizer = normalizers.Precompiled(precompiled(forms))
    assert len(forms) > 4000
    for code in [*range(1, 0xD800), *range(0xE000, 0x30000)]:
        assert normalizer.normalize_str(chr(code)) == forms.get(chr(code), chr(code)), hex(code)
