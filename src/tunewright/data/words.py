"""Where the words of a text stand, in English, Chinese, or both at once."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any

from tunewright.core.edits import Place
from tunewright.core.errors import MachineError

HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_LETTERS = rf"[^\W\d_{HAN}]"
_RUNS = re.compile(rf"[{HAN}]+|{_LETTERS}+(?:['’]{_LETTERS}+)*")
_HAN = re.compile(f"[{HAN}]")
INSTALL = "pip install 'tunewright[augment]'"


def is_han(text: str) -> bool:
    """Whether a text begins with a Chinese character."""
    return _HAN.match(text) is not None


def runs(text: str) -> Iterator[Place]:
    """Runs of Chinese characters, and words in other letters. Digits, signs and emoji belong to neither."""
    return (match.span() for match in _RUNS.finditer(text))


def words(text: str) -> list[Place]:
    """Words in order; Chinese ones as jieba cuts them. Raises MachineError when its package is not installed."""
    found: list[Place] = []
    for start, end in runs(text):
        found += [(start + a, start + b) for a, b in _cut(text[start:end])] if is_han(text[start]) else [(start, end)]
    return found


def cased(word: str, like: str) -> str:
    """`word` in the letter case of `like`: small, Capitalised or LARGE."""
    if like.isupper() and len(like) > 1:
        return word.upper()
    return word[:1].upper() + word[1:] if like[:1].isupper() else word


@functools.cache
def jieba() -> Any:
    """The opened dictionary of Chinese words: `tokenize`, `has_word`, `suggest_freq`. Raises MachineError as `words` does."""
    try:
        import rjieba
    except ImportError:
        raise MachineError(f"Chinese words are cut by the package rjieba, which is not installed: {INSTALL}.") from None
    return rjieba.Jieba()


def _cut(run: str) -> list[Place]:
    return [(start, end) for _, start, end in jieba().tokenize(run)]
