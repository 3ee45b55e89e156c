"""Graphs: how pairs are scored, and how entities and triples are measured, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tunewright.core import graphs
from tunewright.core.types import Graph, Prediction, Span, Triple, by_name, label_names, placed

LABELS = ("->made in", "->works for", "firm", "person", "place")
ANNA, ACME, ROME = Span(0, 4, "person"), Span(15, 19, "firm"), Span(23, 27, "place")
WORKS, MADE = Triple(ANNA, "works for", ACME), Triple(ACME, "made in", ROME)
WRONG_TYPE, SHORT = Span(15, 19, "place"), Span(23, 26, "place")
MEASURES = graphs.GraphMeasures()
GOLD = [
    Graph((ANNA, ACME, ROME), (WORKS, MADE)),
    Graph((ANNA, ACME), (WORKS,)),
    Graph((ANNA,)),
    Graph((ANNA, ACME), (WORKS,)),
]
SAID = [
    Graph((ANNA, WRONG_TYPE, ROME), (Triple(ANNA, "works for", WRONG_TYPE, 0.8), Triple(WRONG_TYPE, "made in", ROME))),
    Graph((Span(0, 4, "person", 0.7), ACME), (Triple(ANNA, "works for", ACME, 0.6),)),  # scores are no part of it
    Graph((ANNA, SHORT), (Triple(ANNA, "made in", SHORT),)),
    Graph((ANNA, ACME), (Triple(ACME, "works for", ANNA),)),  # the wrong way round
]
PREDICTIONS = [Prediction(value, 0.5) for value in SAID]


def test_entities_and_relations_of_one_name_stay_apart_among_the_labels():
    one, other = Span(0, 1, "made in"), Span(2, 3, "made in")
    graph = Graph((one, other), (Triple(one, "made in", other),))
    assert label_names(graph) == ("made in", "made in", "->made in")
    labels = tuple(sorted(set(label_names(graph))))
    assert (graphs.relations(labels), graphs.entities(labels)) == (("made in",), ("made in",))
    assert placed(graph) == (one, other) and by_name(graph) == {"entities": graph.entities, "triples": graph.triples}


def test_triples_count_with_and_without_the_types_of_their_entities():
    found = MEASURES.metrics(GOLD, PREDICTIONS, LABELS)
    assert found["n"] == 4
    assert found["triple_f1"] == pytest.approx(2 * 1 / (4 + 5))  # the second row's alone
    assert (found["triple_precision"], found["triple_recall"]) == (pytest.approx(1 / 5), pytest.approx(1 / 4))
    assert found["untyped_triple_f1"] == pytest.approx(2 * 3 / (4 + 5))  # and both of the first row
    assert found["entity_f1"] == pytest.approx(2 * 7 / (8 + 9))
    assert found["accuracy"] == 0.25
    assert list(found["per_class"]) == list(LABELS)
    assert found["per_class"]["->works for"] == {"precision": 1 / 3, "recall": 1 / 3, "f1": 1 / 3, "support": 3}
    assert found["per_class"]["->made in"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1}
    assert found["per_class"]["firm"] == {"precision": 1.0, "recall": 2 / 3, "f1": 0.8, "support": 3}


@pytest.mark.parametrize("metric", graphs.METRICS)
def test_weights_are_repeated_rows(metric):
    counts = np.array([[1, 1, 1, 1], [0, 3, 1, 0], [2, 0, 0, 1]])
    said = MEASURES.weighed(metric, GOLD, PREDICTIONS, LABELS)(counts.astype(float))
    for value, weights in zip(said, counts, strict=True):
        rows = np.repeat(np.arange(4), weights)
        again = MEASURES.metrics([GOLD[row] for row in rows], [PREDICTIONS[row] for row in rows], LABELS)
        assert value == pytest.approx(again[metric])
    assert MEASURES.weighed("f1", GOLD, PREDICTIONS, LABELS) is None


def test_no_rows_measure_nothing_and_fail_at_nothing():
    found = MEASURES.metrics([None], PREDICTIONS[:1], LABELS)
    assert (found["n"], found["triple_f1"], found["accuracy"]) == (0, 0.0, 0.0)


def test_of_one_row_entities_and_triples_count_half_each():
    assert MEASURES.quality(GOLD[1], PREDICTIONS[1]) == 1.0
    assert MEASURES.quality(GOLD[3], PREDICTIONS[3]) == 0.5
    assert MEASURES.quality(GOLD[0], PREDICTIONS[0]) == pytest.approx(2 / 3 / 2)


def test_a_relation_to_the_right_and_one_to_the_left_are_scored_apart_by_both_ends_and_what_stands_between():
    # Two directions, two relations, rank 2: u (2), a, v (2), b, c of each. Five tokens: Anna Smith works at Acme.
    outputs = np.random.default_rng(0).normal(size=(5, 2, 2, graphs.width(2)))
    outputs[2:4, :, :, -1] = [[[-1, 0.5], [2, -3]], [[-2, 3], [1, -4]]]  # c of what stands between
    scores = graphs.pair_scores(outputs.reshape(5, -1), np.array([[0, 1], [4, 4]]), count=2)
    assert scores.shape == (2, 2, 3) and not scores[..., 0].any()
    left, right, between = outputs[:2].mean(axis=0), outputs[4], np.array([[0, 3], [2, 0]])
    for direction, (head, tail) in enumerate(((0, 1), (1, 0))):
        for relation in range(2):
            one, other = left[direction, relation], right[direction, relation]
            expected = one[:2] @ other[3:5] + one[2] + other[5] + between[direction, relation]
            assert scores[head, tail, 1 + relation] == pytest.approx(expected)


def test_between_two_entities_stands_what_is_no_entity_and_next_to_each_other_nothing():
    outputs = np.zeros((6, 2, 1, graphs.width(1)))
    outputs[:, 0, 0, -1] = [9, 1, 9, 9, 2, 9]
    scores = graphs.pair_scores(outputs.reshape(6, -1), np.array([[0, 0], [2, 2], [3, 3], [5, 5]]), count=1)[..., 1]
    assert scores[np.triu_indices(4, k=1)].tolist() == [1, 1, 2, 0, 2, 2]
    assert not scores[np.tril_indices(4)].any()  # nothing was said of the other direction
