"""Units, tags and spans: the same characters come back in every script, and only lawful tags are chosen."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tunewright.core import measures, spans
from tunewright.core.types import Span

LABELS = ("LOC", "PER")


def pieces(text):
    return [text[start:end] for start, end in spans.bounds(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Anna met O'Neil.", ["Anna", "met", "O", "'", "Neil", "."]),
        ("王明在IBM上班", ["王", "明", "在", "IBM", "上", "班"]),
        ("iPhone6，￥12.5元", ["iPhone", "6", "，", "￥", "12", ".", "5", "元"]),
        ("ＡＢＣ公司", ["ＡＢＣ", "公", "司"]),
        ("e\u0301tude नमस्ते", ["e\u0301tude", "नमस्ते"]),
        ("😀ok😀", ["😀", "ok", "😀"]),
        ("カタカナ ok_now", ["カ", "タ", "カ", "ナ", "ok", "_", "now"]),
        ("  \n ", []),
        ("", []),
    ],
)
def test_a_span_may_begin_at_chinese_characters_words_numbers_and_signs(text, expected):
    assert pieces(text) == expected


def units_of(text, offsets):
    return spans.units(text, spans.bounds(text), np.array(offsets))


def test_tokens_make_up_units_and_special_ones_none():
    found = units_of("Annas 北京", [(0, 0), (0, 3), (3, 5), (6, 7), (7, 8), (0, 0)])
    assert found.first.tolist() == [1, 3, 4]
    assert found.places.tolist() == [[0, 5], [6, 7], [7, 8]]
    assert found.number.tolist() == [0, 1, 2]


def test_white_space_at_a_token_s_edge_is_none_of_the_unit():
    found = units_of("a bc", [(0, 1), (1, 4)])
    assert found.places.tolist() == [[0, 1], [2, 4]]
    assert units_of("a  ", [(0, 1), (1, 3)]).first.tolist() == [0]


def test_a_token_over_several_units_counts_for_the_first():
    found = units_of("x),y", [(0, 1), (1, 3), (3, 4)])
    assert found.places.tolist() == [[0, 1], [1, 3], [3, 4]]
    assert found.number.tolist() == [0, 1, 3]


def test_a_unit_at_the_edge_of_a_window_is_whole():
    assert units_of("Annabel met", [(4, 7), (8, 10)]).places.tolist() == [[0, 7], [8, 11]]


def test_tags_and_spans_are_each_other_s_inverse():
    text = "王明 of Paris in 北京"
    gold = (Span(0, 2, "PER"), Span(6, 11, "LOC"), Span(15, 17, "LOC"))
    places = spans.bounds(text)
    indices = spans.tag_indices(gold, places, LABELS)
    names = [spans.tags(LABELS)[i] for i in indices]
    assert names == ["B-PER", "I-PER", "O", "B-LOC", "O", "B-LOC", "I-LOC"]
    assert spans.from_tags(indices, places, np.ones(len(places)), LABELS) == gold


def test_neighbours_of_one_label_stay_two():
    text = "北京上海"
    gold = (Span(0, 2, "LOC"), Span(2, 4, "LOC"))
    places = spans.bounds(text)
    assert spans.from_tags(spans.tag_indices(gold, places, LABELS), places, np.ones(4), LABELS) == gold


def test_a_window_that_starts_inside_a_span_continues_it():
    places = spans.bounds("New York City")[1:]
    assert spans.tag_indices((Span(0, 13, "LOC"),), places, LABELS).tolist() == [2, 2]


def test_a_span_s_edge_inside_a_unit_takes_the_whole_unit():
    places = spans.bounds("unbelievable city")
    assert spans.tag_indices((Span(2, 15, "LOC"),), places, LABELS).tolist() == [1, 2]


def lawful_by_trying_all(logs):
    def allowed(path):
        before = [0, *path]
        return all(tag == 0 or tag % 2 or last in (tag, tag - 1) for last, tag in itertools.pairwise(before))

    paths = itertools.product(range(logs.shape[1]), repeat=len(logs))
    return max(filter(allowed, paths), key=lambda path: sum(logs[i, tag] for i, tag in enumerate(path)))


def test_the_best_lawful_tags_are_those_found_by_trying_all():
    random = np.random.default_rng(0)
    strange = 0
    for _ in range(200):
        logs = np.log(random.dirichlet(np.ones(5), size=4))
        found = spans.lawful(logs)
        assert tuple(found) == lawful_by_trying_all(logs)
        strange += tuple(found) != tuple(logs.argmax(axis=1))
    assert strange > 50  # the likeliest tag of each unit alone is often unlawful


def test_a_span_s_score_is_that_of_its_least_certain_unit():
    places = spans.bounds("New York now")
    (found,) = spans.from_tags(np.array([1, 2, 0]), places, np.array([0.9, 0.6, 0.1]), LABELS)
    assert (found, found.score) == (Span(0, 8, "LOC"), 0.6)


def test_spans_count_only_when_characters_and_label_are_exact():
    gold = [(Span(0, 2, "PER"), Span(3, 5, "LOC")), (), (Span(0, 1, "LOC"),)]
    said = [(Span(0, 2, "PER"), Span(3, 6, "LOC")), (Span(0, 1, "PER"),), (Span(0, 1, "LOC"),)]
    counts = spans.count(gold, said, LABELS)
    assert counts.hits.tolist() == [1, 1] and counts.gold.tolist() == [2, 1] and counts.predicted.tolist() == [2, 2]
    assert int(counts.exact) == 1 and int(counts.rows) == 3
    assert float(measures.micro_f1(counts)) == pytest.approx(2 * 2 / (3 + 4))
