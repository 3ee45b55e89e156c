"""The form of a text by which two rows count as the same: for duplicates, conflicts and leakage."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable


class _Punctuation(dict[int, str]):
    """What str.translate puts for a character, found out when it is first met.

    Only punctuation goes: symbols such as emoji, + and $ carry meaning and stay.
    """

    def __missing__(self, code: int) -> str:
        category = unicodedata.category(chr(code))
        blank = category[0] in "PZ" or category == "Cc"
        self[code] = " " if blank else "" if category == "Cf" else chr(code)
        return self[code]


_PUNCTUATION = _Punctuation()
_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_BETWEEN_HAN = re.compile(rf"(?<=[{_HAN}]) (?=[{_HAN}])")
_NOT_WORD_ASCII = re.compile(r"""[\x00-\x20\x7f!"#%&'()*,\-./:;?@\[\\\]_{}]+""")


def normalise(text: str) -> str:
    """Return `text` without differences of width, case, spacing and punctuation; Chinese keeps no inner spaces.

    A text that is nothing but punctuation keeps it, so that "!!!" and "???" stay two texts.
    """
    if text.isascii():
        folded = text.lower()
        return _NOT_WORD_ASCII.sub(" ", folded).strip() or " ".join(folded.split())
    folded = unicodedata.normalize("NFKC", text).casefold()
    plain = _BETWEEN_HAN.sub("", " ".join(folded.translate(_PUNCTUATION).split()))
    return plain or " ".join(folded.split())


def key(texts: Iterable[str]) -> int:
    """Return 64 bits that stand for the normalised `texts` of one row. Ten million rows then take 80 MB.

    Two different texts share a key with a probability below 10⁻⁵ among ten million.
    """
    joined = "\x1f".join(normalise(text) for text in texts)
    return int.from_bytes(hashlib.blake2b(joined.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def normalise_label(label: str) -> str:
    """Return a label without differences of case, space and width: labels that agree here are spelled alike."""
    return re.sub(r"[\s_\-]+", "", unicodedata.normalize("NFKC", label).casefold())
