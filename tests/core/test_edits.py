import numpy as np
from hypothesis import given
from hypothesis import strategies as some

from tunewright.core.edits import Edit, Passage, applied, kept, moved, moved_label
from tunewright.core.types import Graph, Span, Triple


def passage(text, fixed=()):
    return Passage(text, fixed, np.random.default_rng(0))


def test_edits_are_put_into_the_text():
    text = "a good film"
    assert applied(text, [Edit(0, 1, "one"), Edit(2, 6, ""), Edit(11, 11, "!")]) == "one  film!"
    assert applied(text, []) == text


def test_an_edit_that_touches_what_is_fixed_is_dropped_even_at_its_edge():
    there = passage("in Paris now", fixed=[(3, 8)])
    beside = [Edit(3, 3, "x"), Edit(8, 8, "x"), Edit(2, 3, ""), Edit(8, 9, ""), Edit(0, 12, "all")]
    assert kept([*beside, Edit(0, 2, "at"), Edit(9, 12, "then")], there) == [Edit(0, 2, "at"), Edit(9, 12, "then")]


def test_of_edits_that_overlap_the_first_is_kept_and_none_leaves_the_text():
    assert kept([Edit(2, 4, "b"), Edit(0, 3, "a"), Edit(5, 99, "c"), Edit(4, 3, "d")], passage("abcdef")) == [
        Edit(0, 3, "a")
    ]


def test_a_share_of_the_free_places_is_drawn_and_one_at_least():
    places = [(i, i + 1) for i in range(20)]
    there = passage("x" * 20, fixed=[(0, 9)])
    drawn = there.some(places, share=0.3)
    assert len(drawn) == 3 and drawn == sorted(drawn) and min(drawn) >= (10, 11)
    assert len(there.some(places, share=0.01)) == 1
    assert passage("x", fixed=[(0, 1)]).some([(0, 1)], share=1.0) == []


@given(some.data())
def test_spans_keep_their_text_whatever_is_edited_around_them(data):
    text = data.draw(some.text("ab 好坏😀", min_size=3, max_size=30))
    edges = sorted(data.draw(some.sets(some.integers(0, len(text)), min_size=2, max_size=6)))
    spans = tuple(Span(a, b, "x") for a, b in zip(edges[::2], edges[1::2], strict=False))
    made = data.draw(
        some.lists(some.tuples(some.integers(0, len(text)), some.integers(0, 5), some.text("xy好")), max_size=8)
    )
    edits = kept(
        [Edit(start, start + size, new) for start, size, new in made], passage(text, [(s.start, s.end) for s in spans])
    )
    after = applied(text, edits)
    for before, now in zip(spans, moved(spans, edits), strict=True):
        assert after[now.start : now.end] == text[before.start : before.end]


def test_entities_and_the_ends_of_their_relations_move_together():
    one, other = Span(2, 6, "person"), Span(11, 15, "firm")
    edits = [Edit(0, 1, "dear"), Edit(7, 10, "at")]  # a Anna for Acme → dear Anna at Acme
    graph = moved_label(Graph((one, other), (Triple(other, "has", one, 0.5),)), edits)
    assert graph.entities == (Span(5, 9, "person"), Span(13, 17, "firm"))
    assert graph.triples == (Triple(graph.entities[1], "has", graph.entities[0]),)
