"""What an augmenter promises: edits within the text, apart, the same again, and never on what is fixed."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from tunewright.core.contracts import Augmenter
from tunewright.core.edits import Edit, Edits, Passage, applied, kept, moved
from tunewright.core.errors import ModelError
from tunewright.core.types import Span
from tunewright.testing import materials, tiny
from tunewright.testing.conformance import Subject

SENTENCES = (
    "i really love this good film and the music in it",
    "the bank lost my card today and nobody can help",
    "这家店的电影很好，我们都喜欢，明天再来",
    "今天天气真好，手机也很快，价格便宜",
    "坏 film 好 music 😀 我们 喜欢 today",
)
DRAWS = 4  # with which each text is tried


def edits_lie_in_the_text_and_apart(subject: Subject) -> None:
    """Every edit is within its text, changes something, and no two of a text overlap."""
    _, edits = _opened(subject)
    for passage, found in _tried(edits, (*SENTENCES, *materials.TEXTS, "", "，。！", "ＡＢＣＤ１２")):
        ordered = sorted(found)
        assert all(0 <= edit.start <= edit.end <= len(passage.text) for edit in ordered), (passage.text, found)
        assert all(one.end <= other.start for one, other in itertools.pairwise(ordered)), found
        assert not any(passage.text[edit.start : edit.end] == edit.text for edit in ordered), (passage.text, found)
        assert kept(found, passage) == ordered


def it_changes_something(subject: Subject) -> None:
    """Of sentences in English and Chinese it changes some."""
    _, edits = _opened(subject)
    assert any(applied(passage.text, found) != passage.text for passage, found in _tried(edits, SENTENCES))


def the_same_draw_gives_the_same_edits(subject: Subject) -> None:
    """Edits depend on the text and the draw alone, not on the order of texts, or on those beside it."""
    augmenter, edits = _opened(subject)
    tried = _tried(edits, SENTENCES)
    again = _tried(augmenter.open(), SENTENCES[::-1])
    by_place = {(passage.text, index % DRAWS): found for index, (passage, found) in enumerate(again)}
    for index, (passage, found) in enumerate(tried):
        assert by_place[passage.text, index % DRAWS] == found
        assert edits([_passage(passage.text, index % DRAWS)]) == [found]


def another_draw_gives_other_edits(subject: Subject) -> None:
    """Several copies of a row are worth having: not all of them are alike."""
    _, edits = _opened(subject)
    found: dict[str, set[tuple[Edit, ...]]] = {}
    for passage, made in _tried(edits, SENTENCES):
        found.setdefault(passage.text, set()).add(tuple(made))
    assert max(map(len, found.values())) > 1


def what_is_fixed_stays(subject: Subject) -> None:
    """No edit touches a fixed place: a labelled span keeps its text, wherever it moves to."""
    augmenter, edits = _opened(subject)
    if augmenter.rewrites:
        return
    for text in SENTENCES:
        third = len(text) // 3
        spans = (Span(third, third + 4, "one"), Span(2 * third, 2 * third + 3, "two"))
        fixed = [(span.start, span.end) for span in spans]
        for draw in range(DRAWS):
            passage = _passage(text, draw, fixed)
            [found] = edits([passage])
            assert all(passage.free(edit.start, edit.end) for edit in found), (text, fixed, found)
            after = applied(text, kept(found, passage))
            for before, now in zip(spans, moved(spans, kept(found, passage)), strict=True):
                assert after[now.start : now.end] == text[before.start : before.end]


def _opened(subject: Subject) -> tuple[Augmenter, Edits]:
    """The augmenter, opened: with its module's own `sample` as settings, or tiny networks where it needs some."""
    if subject.sample is not None:
        augmenter = subject.create(**subject.sample(subject.folder))
        return augmenter, augmenter.open()
    needed = [name for name, value in vars(subject.create()).items() if value == ""]
    for make in (tiny.tiny_masked_lm, tiny.tiny_seq2seq):
        networks = {name: str(make(subject.folder / make.__name__ / name)) for name in needed}
        augmenter = subject.create(**networks)
        try:
            return augmenter, augmenter.open()
        except ModelError:
            continue  # the other kind of network is needed
    raise AssertionError("No tiny network suits this augmenter: define `sample(folder)`, its settings, in its file.")


def _passage(text: str, draw: int, fixed: Sequence[tuple[int, int]] = ()) -> Passage:
    return Passage(text, fixed, np.random.default_rng(draw))


def _tried(edits: Edits, texts: Sequence[str]) -> list[tuple[Passage, list[Edit]]]:
    """Every text with several draws, all at once: (passage, its edits)."""
    passages = [_passage(text, draw) for text in texts for draw in range(DRAWS)]
    return list(zip(passages, edits(passages), strict=True))
