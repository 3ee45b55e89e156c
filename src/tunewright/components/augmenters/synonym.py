"""Put synonyms in: WordNet's for English words, neighbours among a backbone's word vectors for Chinese, or your own."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from tunewright.core.contracts import Augmenter
from tunewright.core.edits import Edit, Edits, Passage, each
from tunewright.data import words
from tunewright.data.encoding import check_encoding, read_text
from tunewright.data.wordnet import WordNet


@dataclass(frozen=True)
class Synonym(Augmenter):
    """Both sources are opened when a text first needs them, so that data in one language needs one alone."""

    share: Annotated[float, Field(gt=0, le=1)] = 0.1  # of the words that have synonyms, one at least (as EDA has it)
    wordnet: Annotated[str, Field(min_length=1)] = (
        "auto"  # folder with WordNet's files; auto: where Debian's package wordnet-base, or nltk, puts them
    )
    vectors: Annotated[str, Field(min_length=1)] = (
        "e5-small-multilingual"  # backbone whose word vectors tell Chinese neighbours
    )
    likeness: Annotated[float, Field(ge=0, le=1)] = 0.4  # least cosine of neighbours: below, other meanings come in
    table: str | None = (
        None  # a text file of your own, words of one meaning on each line; its words are asked for there
    )

    def open(self) -> Edits:
        """See Augmenter.open."""
        return each(functools.partial(_edits, share=self.share, synonyms=self._source()))

    def _source(self) -> Callable[[str], tuple[str, ...]]:
        if self.table:
            own = _table(self.table)
            return lambda word: own.get(word, ())
        wordnet = functools.cache(lambda: WordNet(self.wordnet))
        neighbours = functools.cache(self._neighbours)
        return lambda word: (neighbours() if words.is_han(word) else wordnet()).synonyms(word)

    def _neighbours(self) -> Any:
        from tunewright.models.neighbours import Neighbours

        return Neighbours(self.vectors, self.likeness)


def _edits(passage: Passage, share: float, synonyms: Callable[[str], tuple[str, ...]]) -> list[Edit]:
    known = {}
    for number, (start, end) in enumerate(words.words(passage.text)):
        word = passage.text[start:end]
        # A capital inside a text mostly begins a name, which has no synonym.
        if passage.free(start, end) and not (number and word[0].isupper() and not word.isupper()):
            found = synonyms(word.lower())
            if found:
                known[start, end] = found
    edits = []
    for start, end in passage.some(list(known), share):
        found = known[start, end]
        chosen = found[int(passage.draw.integers(len(found)))]
        edits.append(Edit(start, end, words.cased(chosen, like=passage.text[start:end])))
    return edits


def _table(path: str) -> Mapping[str, tuple[str, ...]]:
    """Word → the others of its lines, which blanks, commas or tabs part. A line of Cilin's form begins with a code."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for line in read_text(Path(path), check_encoding("auto", path)).splitlines():
        group = [word.lower() for word in line.replace(",", " ").replace("，", " ").split()]
        group = [word for word in group if word[-1] not in "=#@"]
        for word in group:
            found[word].update(dict.fromkeys(other for other in group if other != word))
    return {word: tuple(others) for word, others in found.items() if others}


def sample(folder: Path) -> dict[str, Any]:
    """Settings for the conformance suite: a table, so that no package is needed."""
    (folder / "synonyms.txt").write_text("good fine\nfilm movie\nbad poor\n喜欢 喜爱\n很 十分\n", encoding="utf-8")
    return {"table": str(folder / "synonyms.txt")}
