"""Synonyms from WordNet's own database files (Fellbaum 1998; their form: wndb(5WN)), read where they lie."""

from __future__ import annotations

import functools
import mmap
import os
from collections import defaultdict
from pathlib import Path

from tunewright.core.errors import MachineError

POS = {1: "noun", 2: "verb", 3: "adj", 4: "adv", 5: "adj"}  # by the number in a sense's key
SENSE_SHARE = (
    0.25  # of a word's uses in WordNet's tagged texts that a sense has at least: rarer ones are mostly not meant
)
INSTALL = "Install it (Debian, Ubuntu: apt install wordnet-base; others: nltk.download('wordnet'), unpacked), or name its folder"
# Words that WordNet knows in senses that are hardly ever meant ("can": a tin; "who": the organisation).
_FUNCTION = frozenset(
    [
        "a",
        "about",
        "after",
        "all",
        "also",
        "am",
        "an",
        "and",
        "any",
        "are",
        "as",
        "at",
        "be",
        "been",
        "being",
        "before",
        "both",
        "but",
        "by",
        "can",
        "could",
        "did",
        "do",
        "does",
        "done",
        "down",
        "for",
        "from",
        "get",
        "got",
        "had",
        "has",
        "have",
        "having",
        "he",
        "her",
        "here",
        "him",
        "his",
        "how",
        "i",
        "if",
        "in",
        "into",
        "is",
        "it",
        "its",
        "just",
        "like",
        "many",
        "may",
        "me",
        "might",
        "more",
        "most",
        "much",
        "must",
        "my",
        "no",
        "nor",
        "not",
        "now",
        "of",
        "off",
        "on",
        "one",
        "only",
        "or",
        "other",
        "our",
        "out",
        "over",
        "own",
        "same",
        "say",
        "shall",
        "she",
        "should",
        "so",
        "some",
        "such",
        "than",
        "that",
        "the",
        "their",
        "them",
        "then",
        "there",
        "these",
        "they",
        "this",
        "those",
        "through",
        "to",
        "too",
        "two",
        "under",
        "up",
        "very",
        "was",
        "we",
        "well",
        "were",
        "what",
        "when",
        "where",
        "which",
        "while",
        "who",
        "whom",
        "whose",
        "why",
        "will",
        "with",
        "would",
        "yes",
        "you",
        "your",
    ]
)


class WordNet:
    """An opened folder of WordNet's files: index.POS, data.POS and cntlist.rev. Raises MachineError where there is none."""

    def __init__(self, folder: str) -> None:
        self._folder = _found(folder)
        self._files = {
            (kind, pos): _mapped(self._folder / f"{kind}.{pos}") for kind in ("index", "data") for pos in POS.values()
        }
        self._uses = _uses(self._folder / "cntlist.rev")
        self.synonyms = functools.lru_cache(maxsize=65_536)(self._synonyms)

    def _synonyms(self, word: str) -> tuple[str, ...]:
        """Words that mean what `word` (in small letters) mostly means, in its number; none for what is no content word."""
        if word in _FUNCTION or len(word) < 3:
            return ()
        found = self._of_lemma(word)
        if not found and word.endswith("s") and not word.endswith("ss"):
            found = [other + "s" for other in self._of_lemma(word[:-1]) if other[-1] not in "shxyz"]
        return tuple(dict.fromkeys(found))

    def _of_lemma(self, lemma: str) -> list[str]:
        uses = self._uses.get(lemma, ())
        total = sum(count for *_, count in uses)
        found: list[str] = []
        for pos, sense, count in uses:
            if count >= SENSE_SHARE * total:
                found += self._synset(pos, self._offset(lemma, pos, sense))
        # A synonym that nobody used in the tagged texts is too rare to help: "histrion" for an actor.
        return [word for word in found if word != lemma and word in self._uses and word.isalpha() and word.islower()]

    def _offset(self, lemma: str, pos: str, sense: int) -> int:
        """The place of a lemma's numbered sense in the data file, by bisection in the sorted index."""
        file, wanted = self._files["index", pos], lemma.encode()
        low, high = 0, len(file)
        while low < high:
            middle = file.rfind(b"\n", low, (low + high) // 2) + 1 or low
            end = file.find(b"\n", middle)
            fields = file[middle:end].split()
            if fields[0] == wanted and file[middle : middle + 1] != b" ":
                return int(fields[-int(fields[2]) :][sense - 1])
            # The licence at the head of the file stands on lines that begin with a blank.
            if file[middle : middle + 1] == b" " or fields[0] < wanted:
                low = end + 1
            else:
                high = middle
        return -1

    def _synset(self, pos: str, offset: int) -> list[str]:
        if offset < 0:
            return []
        file = self._files["data", pos]
        fields = file[offset : file.find(b"\n", offset)].decode().split()
        count = int(fields[3], 16)
        return [word.partition("(")[0] for word in fields[4 : 4 + 2 * count : 2]]


def _found(folder: str) -> Path:
    """The folder; "auto": where WordNet itself, Debian's package and nltk look for it."""
    named = [Path(folder).expanduser()]
    if folder == "auto":
        places = ("/usr/share/wordnet", "~/nltk_data/corpora/wordnet", "/usr/share/nltk_data/corpora/wordnet")
        named = [Path(place).expanduser() for place in (os.environ.get("WNSEARCHDIR", ""), *places) if place]
    for place in named:
        if (place / "index.noun").is_file():
            return place
    where = "was not found on this machine" if folder == "auto" else f"is not in {folder}: it has no index.noun there"
    raise MachineError(f"English synonyms come from WordNet, which {where}. {INSTALL} under wordnet.")


def _mapped(path: Path) -> mmap.mmap:
    try:
        with open(path, "rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise MachineError(f"WordNet's file {path} cannot be read: {error}. {INSTALL} under wordnet.") from None


def _uses(path: Path) -> dict[str, list[tuple[str, int, int]]]:
    """Lemma → (part of speech, number of the sense, uses in the texts that WordNet's authors tagged)."""
    found: dict[str, list[tuple[str, int, int]]] = defaultdict(list)
    try:
        lines = path.read_text("ascii").splitlines()
    except OSError as error:
        raise MachineError(f"WordNet's file {path} cannot be read: {error}. {INSTALL} under wordnet.") from None
    for line in lines:
        key, sense, count = line.split()
        lemma, _, rest = key.partition("%")
        found[lemma].append((POS[int(rest[0])], int(sense), int(count)))
    return dict(found)
