"""Write Chinese words as others that sound the same, as input by sound goes wrong (needs the extra `augment`)."""

from __future__ import annotations

import functools
import itertools
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from tunewright.core.contracts import Augmenter
from tunewright.core.edits import Edit, Edits, Passage, each
from tunewright.core.errors import MachineError
from tunewright.data import words

MOST = 20  # characters of a sound that are looked at, the most frequent ones
Candidates = tuple[tuple[str, int], ...]  # (word, how often it occurs in the texts that jieba's dictionary counted)


@dataclass(frozen=True)
class Homophone(Augmenter):
    """Frequent words are put in more often, as an input method offers them first. Texts without Chinese stay as they are:
    there is no table of English homophones here whose licence and age would do."""

    share: Annotated[float, Field(gt=0, le=1)] = 0.1  # of the Chinese words that have a homophone, one at least
    tones: bool = False  # whether tones must be the same too; input by sound does not ask for them

    def open(self) -> Edits:
        """See Augmenter.open. Raises MachineError when the packages are not installed."""
        sounds = _Sounds(self.tones)
        return each(functools.partial(_edits, share=self.share, candidates=functools.cache(sounds.candidates)))


def _edits(passage: Passage, share: float, candidates: Callable[[str], Candidates]) -> list[Edit]:
    known = {}
    for start, end in words.words(passage.text):
        if words.is_han(passage.text[start]) and passage.free(start, end):
            found = candidates(passage.text[start:end])
            if found:
                known[start, end] = found
    edits = []
    for place in passage.some(list(known), share):
        texts, counts = zip(*known[place], strict=True)
        chosen = passage.draw.choice(len(texts), p=[count / sum(counts) for count in counts])
        edits.append(Edit(*place, texts[int(chosen)]))
    return edits


class _Sounds:
    """What sounds alike, by pypinyin, and how often it is written, by jieba's dictionary."""

    def __init__(self, tones: bool) -> None:
        try:
            from pypinyin import Style, pinyin
            from pypinyin.constants import PINYIN_DICT
        except ImportError:
            raise MachineError(f"The augmenter homophone needs the package pypinyin: {words.INSTALL}.") from None
        self._dictionary = words.jieba()
        style = Style.TONE3 if tones else Style.NORMAL
        self._pinyin = lambda word: [sound for (sound,) in pinyin(word, style=style)]
        self._characters: dict[str, list[str]] = defaultdict(list)
        known = [chr(code) for code in PINYIN_DICT if self._dictionary.has_word(chr(code))]
        for character in sorted(known, key=self._count, reverse=True):
            same = self._characters[self._pinyin(character)[0]]
            if len(same) < MOST:
                same.append(character)

    def candidates(self, word: str) -> Candidates:
        """Other words of one or two characters with the word's sound; where there is none, one character wrong."""
        alike = [self._characters.get(sound, []) for sound in self._pinyin(word)]
        if len(alike) != len(word):
            return ()
        found = []
        if len(word) <= 2:
            found = [made for parts in itertools.product(*alike) if self._is_other(made := "".join(parts), word)]
        if not found and len(word) > 1:
            found = [
                word[:place] + character + word[place + 1 :]
                for place, same in enumerate(alike)
                for character in same
                if character != word[place]
            ]
            return tuple((made, self._rarest(made)) for made in found)
        return tuple((made, self._count(made)) for made in found)

    def _is_other(self, made: str, word: str) -> bool:
        return made != word and self._dictionary.has_word(made)

    def _count(self, word: str) -> int:
        return max(1, self._dictionary.suggest_freq(word))

    def _rarest(self, word: str) -> int:
        return min(map(self._count, word))
