"""Frames: an intent and slots share one list of labels and are measured together and apart."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tunewright.core import catalog, frames
from tunewright.core.types import Frame, Prediction, Span, label_names

LABELS = ("#Book", "#Play", "city", "song")
MEASURES = frames.FrameMeasures()
GOLD = [
    Frame("Book", (Span(0, 4, "city"),)),
    Frame("Play", (Span(0, 4, "song"), Span(5, 9, "city"))),
    Frame("Play"),
    Frame("Book", (Span(2, 3, "song"),)),
]
SAID = [
    Prediction(Frame("Book", (Span(0, 4, "city", 0.7),)), 0.7),  # right in all: how sure a span is is no part of it
    Prediction(Frame("Play", (Span(0, 4, "song"), Span(5, 8, "city"))), 0.9),  # one slot ends too soon
    Prediction(Frame("Book"), 0.5),  # the wrong intent alone
    Prediction(Frame("Book"), 0.5),  # a slot missed
]


def test_intents_and_slots_of_one_name_stay_apart_among_the_labels():
    frame = Frame("song", (Span(0, 1, "song"), Span(2, 3, "song")))
    assert label_names(frame) == ("#song", "song", "song")
    labels = tuple(sorted(set(label_names(frame))))
    assert (frames.intents(labels), frames.slots(labels)) == (("song",), ("song",))


def test_whole_frames_intents_and_slots_are_measured():
    found = MEASURES.metrics(GOLD, SAID, LABELS)
    assert found["n"] == 4
    assert (found["accuracy"], found["intent_accuracy"]) == (0.25, 0.75)
    assert found["slot_f1"] == pytest.approx(2 * 2 / (4 + 3))
    assert list(found["per_class"]) == list(LABELS)
    assert found["per_class"]["#Book"] == {"precision": 2 / 3, "recall": 1.0, "f1": 0.8, "support": 2}
    assert found["per_class"]["song"] == {"precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "support": 2}


def test_slot_f1_is_that_of_seqeval():
    seqeval = pytest.importorskip("seqeval.metrics")

    def tags(frame):
        out = ["O"] * 10
        for span in frame.slots:
            out[span.start : span.end] = [f"B-{span.label}", *[f"I-{span.label}"] * (span.end - span.start - 1)]
        return out

    expected = seqeval.f1_score([tags(frame) for frame in GOLD], [tags(one.value) for one in SAID])
    assert MEASURES.metrics(GOLD, SAID, LABELS)["slot_f1"] == pytest.approx(expected)


@pytest.mark.parametrize("metric", ["accuracy", "intent_accuracy", "slot_f1"])
def test_weights_are_repeated_rows(metric):
    counts = np.array([[1, 1, 1, 1], [0, 3, 1, 0], [2, 0, 0, 1]])
    said = MEASURES.weighed(metric, GOLD, SAID, LABELS)(counts.astype(float))
    for value, weights in zip(said, counts, strict=True):
        rows = np.repeat(np.arange(4), weights)
        again = MEASURES.metrics([GOLD[row] for row in rows], [SAID[row] for row in rows], LABELS)
        assert value == pytest.approx(again[metric])
    assert MEASURES.weighed("f1", GOLD, SAID, LABELS) is None


def test_no_rows_measure_nothing_and_fail_at_nothing():
    found = MEASURES.metrics([None], SAID[:1], LABELS)
    assert (found["n"], found["accuracy"], found["slot_f1"]) == (0, 0.0, 0.0)


def test_of_one_row_intent_and_slots_count_half_each():
    assert [MEASURES.quality(*pair) for pair in zip(GOLD, SAID, strict=True)] == [1.0, 0.75, 0.5, 0.5]


def test_the_parts_of_a_frame_are_tasks_of_their_own_and_make_it_up_again():
    parts = catalog.create("tasks", "slot_filling").parts
    assert [catalog.name_of(task) for task in parts.tasks] == ["text_classification", "token_classification"]
    assert parts.labels(LABELS) == (("Book", "Play"), ("city", "song"))
    intent, slots = parts.split(GOLD[1])
    assert (intent, slots) == ("Play", GOLD[1].slots)
    whole = parts.join([Prediction(intent, 0.9, {"Play": 0.9}), Prediction(slots, 0.6)])
    assert (whole.value, whole.score, dict(whole.scores)) == (GOLD[1], 0.6, {"Play": 0.9})
    assert dataclasses.replace(GOLD[1], intent="Book") != whole.value
