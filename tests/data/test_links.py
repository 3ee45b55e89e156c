"""Relations as rows tell them, and what is said of those that cannot be."""

from __future__ import annotations

import json

import pytest

from tunewright.core import catalog
from tunewright.core.errors import LabelError
from tunewright.core.types import Graph
from tunewright.predict.render import answer

TASK = catalog.create("tasks", "triples")
TEXT = "👩 Anna 在 Acme 工作, not at Bank"
LISTED = [[9, 13, "firm"], [2, 6, "person"], [25, 29, "firm"]]  # in no order: their numbers are those of this list


def read(relations, entities=LISTED, text=TEXT):
    return TASK.read({"text": text, "entities": entities, "triples": relations})[1]


def told(graph, text=TEXT):
    ends = [(text[one.head.start : one.head.end], text[one.tail.start : one.tail.end]) for one in graph.triples]
    return [(head, one.relation, tail) for one, (head, tail) in zip(graph.triples, ends, strict=True)]


@pytest.mark.parametrize("name", ["relation", "label", "type", "predicate"])
@pytest.mark.parametrize(
    ("head", "tail"),
    [(1, 0), ([2, 6], [9, 13]), ({"start": 2, "end": 6, "text": "Anna"}, {"start": 9, "end": 13}), ("Anna", "Acme")],
)
def test_heads_and_tails_are_told_by_number_place_or_text(head, tail, name):
    relations = [{"head": head, "tail": tail, name: "works for"}]
    assert told(read(relations)) == told(read(json.dumps(relations))) == [("Anna", "works for", "Acme")]


def test_places_count_words_where_the_text_is_a_list_of_words():
    words, joined = ["😀", "Bob", "met", "Eve", "和", "王", "明"], "😀 Bob met Eve 和王明"
    entities = [{"start": 5, "end": 7, "label": "P"}, {"start": 1, "end": 2, "label": "P"}, [3, 4, "P"]]
    relations = [{"head": [1, 2], "tail": [5, 7], "relation": "met"}, {"head": 2, "tail": 0, "relation": "with"}]
    graph = read(relations, entities, words)
    assert told(graph, joined) == [("Bob", "met", "王明"), ("Eve", "with", "王明")]
    assert read([{"head": 0, "tail": 1, "relation": "met"}], ["O", "B-P", "O", "B-P", "O", "O", "O"], words).triples


def test_an_answer_of_predict_is_a_label_again():
    graph = read([{"head": 1, "tail": 0, "relation": "works for", "score": 0.7}])
    plain = answer(graph, TEXT)
    assert plain["entities"][0] == {"text": "Anna", "start": 2, "end": 6, "label": "person", "score": None}
    assert plain["triples"][0]["head"]["text"] == "Anna" and plain["triples"][0]["relation"] == "works for"
    again = read(plain["triples"], plain["entities"])
    assert again == graph


def test_no_entities_and_no_relations_are_told_from_nothing_said():
    assert read(None, None) is None and read("", "") is None and read([], None) is None
    assert read(None, []) == read("[]", "[]") == Graph()
    assert read([]).triples == read(None).triples == read("").triples == ()


@pytest.mark.parametrize(
    ("relations", "message"),
    [
        (
            [{"head": 3, "tail": 0, "relation": "x"}],
            r"head is entity number 3, and the row's entities are numbers 0 to 2",
        ),
        ([{"head": -1, "tail": 0, "relation": "x"}], r"head is entity number -1"),
        ([{"head": 0, "tail": True, "relation": "x"}], r"A relation's tail has a start and an end"),
        ([{"head": 0, "tail": 0, "relation": "x"}], r"the same entity as head and tail"),
        ([{"head": [2, 6], "tail": "Anna", "relation": "x"}], r"the same entity as head and tail"),
        (
            [{"head": [2, 5], "tail": 1, "relation": "x"}],
            r"head \[2, 5\] is 'Ann', which is no entity of the row.*'Anna'",
        ),
        ([{"head": [2, 99], "tail": 1, "relation": "x"}], r"A relation's head goes from character 2 to 99"),
        ([{"head": {"start": 2, "end": 6, "text": "Eve"}, "tail": 1, "relation": "x"}], r"says that its text is 'Eve'"),
        ([{"head": "Ana", "tail": 1, "relation": "x"}], r"'Ana', and no entity has this text\. Did you mean 'Anna'"),
        ([{"head": 0, "tail": 1}], r"A relation has no name"),
        ([{"head": 0, "tail": 1, "relation": " "}], r"A relation has no name"),
        ([{"head": 0, "tail": 1, "relation": "x", "label": "y"}], r"A relation has several names \(relation, label\)"),
        ([{"head": 0, "tail": 1, "relation": ["x"]}], r"a name or a number"),
        ([{"head": 0, "tail": 1, "relaton": "x"}], r"has the key 'relaton'\. Did you mean 'relation'"),
        ([{"head": 0, "relation": "x"}], r"A relation has head, tail and relation"),
        ([[0, 1, "x"]], r"A relation has head, tail and relation; this one is \[0, 1, 'x'\]"),
        ({"head": 0, "tail": 1, "relation": "x"}, r"A list of relations is expected"),
        ("[{", r"The relations are no JSON"),
        (
            [{"head": 0, "tail": 1, "relation": "x"}, {"head": "Acme", "tail": "Anna", "relation": "y"}],
            r"Two relations go from 'Acme' to 'Anna': x and y",
        ),
    ],
)
def test_what_is_no_relation_of_the_row_s_entities_is_refused_with_why(relations, message):
    with pytest.raises(LabelError, match=message):
        read(relations)


def test_a_text_that_two_entities_have_and_relations_without_entities_are_refused():
    twice = [[0, 1, "P"], [2, 3, "P"], [4, 5, "P"]]
    with pytest.raises(LabelError, match=r"'a', and 2 entities have this text"):
        read([{"head": "a", "tail": 2, "relation": "x"}], twice, "a a b")
    with pytest.raises(LabelError, match=r"number 0, and the row's entities are none"):
        read([{"head": 0, "tail": 1, "relation": "x"}], [])
    with pytest.raises(LabelError, match="has relations and no entities"):
        read([{"head": 0, "tail": 1, "relation": "x"}], None)
    with pytest.raises(LabelError, match="begins with ->, which marks relations"):
        read([], [[0, 1, "->firm"]], "a")
    with pytest.raises(LabelError, match="Two spans overlap"):
        read([], [[0, 4, "firm"], [3, 5, "firm"]], "a word")


def test_a_relation_told_twice_is_one():
    same = [{"head": 0, "tail": 1, "relation": "x"}, {"head": "Acme", "tail": "Anna", "type": "x"}]
    assert len(read(same).triples) == 1
