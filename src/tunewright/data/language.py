"""Find out which languages texts are written in: by script first, by letter statistics where scripts are shared."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

_SCRIPTS = {
    "Han": r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]",
    "Kana": r"[\u3040-\u30ff\uff66-\uff9d]",
    "Hangul": r"[\uac00-\ud7a3\u1100-\u11ff\u3130-\u318f]",
    "Cyrillic": r"[\u0400-\u052f]",
    "Arabic": r"[\u0600-\u06ff\u0750-\u077f]",
    "Hebrew": r"[\u0590-\u05ff]",
    "Greek": r"[\u0370-\u03ff]",
    "Devanagari": r"[\u0900-\u097f]",
    "Bengali": r"[\u0980-\u09ff]",
    "Tamil": r"[\u0b80-\u0bff]",
    "Telugu": r"[\u0c00-\u0c7f]",
    "Thai": r"[\u0e00-\u0e7f]",
    "Georgian": r"[\u10a0-\u10ff]",
    "Armenian": r"[\u0530-\u058f]",
    "Latin": r"[A-Za-z\u00c0-\u024f\u1e00-\u1eff]",
}
_PATTERNS = {script: re.compile(pattern) for script, pattern in _SCRIPTS.items()}
_ONE_LANGUAGE = {
    "Han": "zh", "Kana": "ja", "Hangul": "ko", "Hebrew": "he", "Greek": "el", "Bengali": "bn", "Tamil": "ta",
    "Telugu": "te", "Thai": "th", "Georgian": "ka", "Armenian": "hy",
}  # fmt: skip
_SHARED = {
    "Cyrillic": ("ru", "uk", "be", "bg", "sr", "mk", "kk", "ky", "mn"),
    "Arabic": ("ar", "fa", "ur", "ps", "ug"),
    "Devanagari": ("hi", "mr", "ne"),
    "Latin": (),
}
# A Chinese or Japanese character says about as much as this many letters, so that mixed rows are weighed fairly.
_WEIGHT = {"Han": 3.0, "Kana": 2.0, "Hangul": 2.0}
# Never the answer for texts in Latin letters; Latin itself is what short lists of names look like.
_NOT_LATIN = frozenset({"la", "zxx", "und", "yue", *_ONE_LANGUAGE.values(), *sum(_SHARED.values(), ())})
_ENOUGH = 40  # characters that letter statistics need to judge a text by itself; shorter ones are judged together
NAMES = {
    "zh": "Chinese", "en": "English", "ja": "Japanese", "ko": "Korean", "de": "German", "fr": "French", "es": "Spanish",
    "it": "Italian", "pt": "Portuguese", "nl": "Dutch", "ru": "Russian", "uk": "Ukrainian", "ar": "Arabic",
    "hi": "Hindi", "th": "Thai", "el": "Greek", "he": "Hebrew", "tr": "Turkish", "pl": "Polish", "vi": "Vietnamese",
}  # fmt: skip


@dataclass(frozen=True)
class Language:
    """What texts are written in.

    code: the main language (ISO 639-1), "und" when there are no letters; share: its part of all texts, 0 to 1;
    shares: every language found → its part; scripts: script → its part of all letters.
    """

    code: str
    share: float
    shares: dict[str, float] = field(default_factory=dict)
    scripts: dict[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The main language's English name, or its code."""
        return NAMES.get(self.code, self.code)


def language(texts: Iterable[str], most: int = 1000) -> Language:
    """Return the language of `texts`, looking at the first `most` of them. Never raises."""
    by_script: dict[str, list[str]] = {}
    letters: Counter[str] = Counter()
    for _, text in zip(range(most), texts, strict=False):
        counts = _letters(text[:2000])
        letters.update(counts)
        script = _main_script(counts)
        if script:
            by_script.setdefault(script, []).append(text[:2000])
    found: Counter[str] = Counter()
    for script, members in by_script.items():
        found.update(_split_languages(script, members))
    _forget()
    total, all_letters = sum(found.values()), sum(letters.values())
    if not total:
        return Language("und", 0.0)
    shares = {code: count / total for code, count in found.most_common() if count / total >= 0.005}
    code, share = next(iter(shares.items()))
    return Language(code, share, shares, {script: count / all_letters for script, count in letters.most_common()})


def script(text: str) -> str:
    """The script that most of a text is written in, as "Han" or "Latin"; "" for a text without letters."""
    return _main_script(_letters(text[:2000]))


def _letters(text: str) -> dict[str, int]:
    if text.isascii():
        count = sum(map(str.isalpha, text))
        return {"Latin": count} if count else {}
    counts = {script: len(pattern.findall(text)) for script, pattern in _PATTERNS.items()}
    return {script: count for script, count in counts.items() if count}


def _main_script(counts: dict[str, int]) -> str:
    if counts.get("Kana", 0) * 10 > counts.get("Han", 0) and counts.get("Kana", 0) >= 2:
        counts = {**counts, "Kana": counts["Kana"] + counts.get("Han", 0), "Han": 0}
    return max(counts, key=lambda script: counts[script] * _WEIGHT.get(script, 1.0), default="")


def _split_languages(script: str, texts: list[str]) -> Counter[str]:
    """Languages of texts in one script, each weighed by its number of texts."""
    if script in _ONE_LANGUAGE:
        return Counter({_ONE_LANGUAGE[script]: len(texts)})
    found: Counter[str] = Counter()
    for members in _chunks(texts):
        found[_classify(_only(script, " ".join(members)), _SHARED[script])] += len(members)
    # Letter statistics err on odd chunks: what hardly ever occurs beside a main language of its script is an error.
    main, _ = found.most_common(1)[0]
    for code in [code for code, count in found.items() if count < 0.05 * len(texts)]:
        found[main] += found.pop(code) if code != main else 0
    return found


def _only(script: str, text: str) -> str:
    """The words of a text that are in one script, so that those of another do not sway the letter statistics."""
    if text.isascii():
        return text
    return " ".join(word for word in text.split() if _PATTERNS[script].search(word)) or text


def _chunks(texts: list[str]) -> Iterable[list[str]]:
    gathered: list[str] = []
    size = 0
    for text in texts:
        if len(text) >= _ENOUGH:
            yield [text]
            continue
        gathered.append(text)
        size += len(text)
        if size >= 4 * _ENOUGH:
            yield gathered
            gathered, size = [], 0
    if gathered:
        yield gathered


def _classify(text: str, among: tuple[str, ...]) -> str:
    # So short a text in plain letters is English far more often than one of a hundred small languages.
    if not among and len(text) < _ENOUGH and text.isascii():
        return "en"
    from py3langid import langid

    ranked = langid.rank(text)
    return next((code for code, _ in ranked if (code in among if among else code not in _NOT_LATIN)), "und")


def _forget() -> None:
    """Give back the 75 MB of letter statistics: a data set is looked at once, and then trained on for long."""
    if (loaded := sys.modules.get("py3langid.langid")) is not None:
        loaded.IDENTIFIER = None
