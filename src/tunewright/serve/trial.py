"""A version on trial beside the one that answers: which requests it gets, and how its answers compare.

As a canary its answers are returned; as a shadow they are not. Either way the other version answers the same rows, so what
is compared is paired.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunewright.core.types import Prediction

if TYPE_CHECKING:
    from tunewright.serve.repository import Version

CANARY, SHADOW = MODES = ("canary", "shadow")
HEADER = "x-route-key"  # of a caller that wants all of its requests to go one way


@dataclass(frozen=True)
class Trial:
    """percent: of the requests, 0 to 100; id: names it in metrics, since a version may be tried twice."""

    version: Version
    mode: str
    percent: float
    id: str

    def takes(self, key: str) -> bool:
        """Whether it gets the request with this key: a function of the key and the version alone, so the same at every
        worker and every time, and those that 10 percent get are among those that 20 percent get."""
        salted = f"{self.version.id}\0{key}".encode("utf-8", "backslashreplace")
        return int.from_bytes(hashlib.blake2b(salted, digest_size=8).digest()) < self.percent / 100 * 2**64


def new_id(version: Version) -> str:
    """A name for a trial that begins."""
    return f"{version.id}-{secrets.token_hex(3)}"


@dataclass(frozen=True)
class Pair:
    """What both say of one row: scores are those of what each answers."""

    before: object
    after: object
    difference: float  # the score on trial minus the other

    @property
    def agrees(self) -> bool:
        """Whether both give the same answer."""
        return self.before == self.after


def pairs(before: Sequence[Prediction], after: Sequence[Prediction]) -> list[Pair]:
    """The answers of the version in place and of the one on trial, row by row; an abstention is an answer of its own."""
    found = []
    for old, new in zip(before, after, strict=True):
        (was, sure), (now, surer) = old.given, new.given
        found.append(Pair((was, old.decision), (now, new.decision), surer - sure))
    return found
