"""Personal numbers and addresses in a text, each replaced by a sign for its kind; and places there and back.

Found by their form, and where there is a check digit by that too (ISO 7064 MOD 11-2 for Chinese identity cards,
ISO/IEC 7812-1 for bank cards), so that an order number seldom passes for one. Names have no form: who can find them hands their places in.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

# Full-width forms as Chinese keyboards make them; each is one character, so that places stay.
_NARROW = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9_%+-][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![A-Za-z0-9-]|@)"
)
_IPV4 = re.compile(r"(?<![\dA-Za-z.])(?:\d{1,3}\.){3}\d{1,3}(?![\dA-Za-z]|\.\d)")
_IPV6 = re.compile(r"(?<![0-9A-Za-z:.])[0-9A-Fa-f:]{3,39}(?:(?<=:)\d{1,3}(?:\.\d{1,3}){3})?(?![0-9A-Za-z:]|\.\d)")
_ID_CARD = re.compile(r"(?<![0-9A-Za-z])[1-8]\d{16}[\dXx](?![0-9A-Za-z])")
_BANK_CARD = re.compile(r"(?<![0-9A-Za-z])(?<!\d[ .-])[2-6]\d{3}(?:[ -]?\d{2,6}){2,4}(?![0-9A-Za-z]|[ .-]\d)")
_PHONE = re.compile(
    r"(?<![0-9A-Za-z+])(?<!\d[.-])(?:"
    r"(?:(?:\+|00)?86[ -]?)?1[3-9]\d(?:\d{8}|[ -]\d{4}[ -]\d{4})"  # Chinese mobile
    r"|(?:\(0\d{2,3}\) ?|0\d{2,3}-)[2-9]\d{6,7}"  # Chinese landline
    r"|\+[1-9]\d{0,2}(?:[ .-]?\(?\d{1,4}\)?){2,6}"  # abroad, as E.164 has it
    r"|(?:\([2-9]\d{2}\) ?|[2-9]\d{2}[-. ])[2-9]\d{2}[-.]\d{4}"  # North America
    r")(?![0-9A-Za-z]|[.-]\d)"
)
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


class Item(NamedTuple):
    """What was replaced: its kind, its characters in the text as it was, and where its sign begins in the masked one."""

    kind: str
    start: int
    end: int
    at: int

    @property
    def sign(self) -> str:
        """What stands in its place."""
        return f"[{self.kind.upper()}]"


@dataclass(frozen=True)
class Masked:
    """A text without what was found in it."""

    text: str
    items: Sequence[Item] = ()

    @property
    def counts(self) -> Counter[str]:
        """How many there were of each kind."""
        return Counter(item.kind for item in self.items)

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Where the characters `start` to `end` of the masked text stand in the one that was given; a part of a sign is
        all that it stands for."""
        return self._place(start, last=False), self._place(end, last=True)

    def _place(self, place: int, *, last: bool) -> int:
        moved = 0
        for item in self.items:
            behind = item.at + len(item.sign)
            if place < item.at or (last and place == item.at):
                break
            if place < behind:
                return item.end if last else item.start
            moved = item.end - behind
        return place + moved


def mask(text: str, more: Iterable[tuple[int, int, str]] = ()) -> Masked:
    """The text with signs for e-mail addresses, phone numbers, Chinese identity cards, bank cards and IP addresses.

    more: stretches (start, end, kind) that were found otherwise, as names by a model; where one overlaps with what has a
    form, or with one before it, that stays.
    """
    rest = text.translate(_NARROW)
    found: list[tuple[int, int, str]] = []
    for kind, places in _FINDERS:
        own = list(places(rest))
        found += [(start, end, kind) for start, end in own]
        for start, end in own:  # nothing else is found in what has been
            rest = rest[:start] + "\0" * (end - start) + rest[end:]
    for start, end, kind in sorted(more):
        if start < end and not any(start < other and one < end for one, other, _ in found):
            found.append((start, end, kind))
    parts, items, last, length = [], [], 0, 0
    for start, end, kind in sorted(found):
        item = Item(kind, start, end, length + start - last)
        parts += [text[last:start], item.sign]
        items.append(item)
        last, length = end, item.at + len(item.sign)
    return Masked("".join([*parts, text[last:]]), tuple(items))


def _matching(
    pattern: re.Pattern[str], holds: Callable[[str], bool] = bool
) -> Callable[[str], Iterator[tuple[int, int]]]:
    return lambda text: (match.span() for match in pattern.finditer(text) if holds(match[0]))


def _is_ip(text: str) -> bool:
    if ":" in text and not any(letter.isdigit() for letter in text):  # a::b is code
        return False
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_id_card(text: str) -> bool:
    """A date of birth that has been or will be, and the check character of ISO 7064 MOD 11-2 (GB 11643)."""
    try:
        year = date(int(text[6:10]), int(text[10:12]), int(text[12:14])).year
    except ValueError:
        return False
    total = sum(int(digit) * weight for digit, weight in zip(text, _WEIGHTS, strict=False))
    return 1850 <= year <= 2100 and "10X98765432"[total % 11] == text[17].upper()


def _is_bank_card(text: str) -> bool:
    """13 to 19 digits with the check digit of ISO/IEC 7812-1 (Luhn's)."""
    digits = [int(letter) for letter in text if letter.isdigit()]
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]
    return 13 <= len(digits) <= 19 and (sum(doubled) + sum(digits[-1::-2])) % 10 == 0


def _is_phone(text: str) -> bool:
    """What begins with + has 8 to 15 digits (E.164)."""
    return not text.startswith("+") or 8 <= sum(map(str.isdigit, text)) <= 15


_FINDERS: tuple[tuple[str, Callable[[str], Iterator[tuple[int, int]]]], ...] = (
    ("email", _matching(_EMAIL)),
    ("ip", _matching(_IPV4, _is_ip)),
    ("ip", _matching(_IPV6, _is_ip)),
    ("id_card", _matching(_ID_CARD, _is_id_card)),
    ("bank_card", _matching(_BANK_CARD, _is_bank_card)),
    ("phone", _matching(_PHONE, _is_phone)),
)
KINDS = tuple(dict.fromkeys(kind for kind, _ in _FINDERS))
