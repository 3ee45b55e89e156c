"""Words alike in meaning, by the word vectors of a backbone whose vocabulary holds whole words."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from tunewright.core.errors import ModelError
from tunewright.models.locate import locate

_WORD = re.compile("[\u4e00-\u9fff]{2,4}")
MOST = 5  # neighbours that are looked at


class Neighbours:
    """Chinese words and their neighbours of the same length, in the same characters: simplified, or not.

    likeness: least cosine of two words' vectors, their common mean taken away (as Mu and Viswanath 2018 do).
    """

    def __init__(self, backbone: str, likeness: float) -> None:
        folder = locate(backbone).folder
        pieces = {word: index for piece, index in _vocabulary(folder) if _WORD.fullmatch(word := piece.lstrip("▁#"))}
        if not pieces:
            raise ModelError(
                f"The vocabulary of {backbone!r} holds no Chinese words of two characters or more: their neighbours "
                "cannot be told. Name another backbone, as e5-small-multilingual."
            )
        self._likeness = likeness
        self._words = list(pieces)
        vectors = _table(folder)[list(pieces.values())]
        vectors = vectors - vectors.mean(axis=0)
        self._vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        self._kinds = np.array([_kind(word) for word in self._words])
        self._place = {word: place for place, word in enumerate(self._words)}
        self._known: dict[str, tuple[str, ...]] = {}

    def synonyms(self, word: str) -> tuple[str, ...]:
        """The nearest words, nearest first; () for a word that is not in the vocabulary."""
        if word not in self._known:
            self._known[word] = self._nearest(word)
        return self._known[word]

    def _nearest(self, word: str) -> tuple[str, ...]:
        place = self._place.get(word)
        if place is None:
            return ()
        cosines = self._vectors @ self._vectors[place]
        cosines[(self._kinds != self._kinds[place]) | (np.arange(len(cosines)) == place)] = -1
        best = np.argsort(-cosines, kind="stable")[:MOST]
        return tuple(self._words[index] for index in best if cosines[index] >= self._likeness)


def _kind(word: str) -> int:
    """Length, and whether it is written in simplified characters: 公司 is no neighbour of 會社, or of 企業."""
    try:
        word.encode("gb2312")
    except UnicodeEncodeError:
        return -len(word)
    return len(word)


def _vocabulary(folder: Path) -> list[tuple[str, int]]:
    from tokenizers import Tokenizer

    return sorted(Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab().items())


def _table(folder: Path) -> np.ndarray:
    """(pieces, hidden) the backbone's word vectors."""
    from tunewright.models.backbone import load_backbone
    from tunewright.models.surgery import word_embeddings

    return word_embeddings(load_backbone(folder)).weight.detach().float().numpy()
