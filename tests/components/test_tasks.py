"""Tasks turn examples into arrays and outputs back into answers, in English and Chinese alike."""

import numpy as np
import pytest

from tunewright.core import catalog
from tunewright.core.errors import LabelError
from tunewright.core.types import Example, Policy, Prediction, Window
from tunewright.models.processor import Processor
from tunewright.testing.tiny import tiny_backbone

LABELS = ("bad", "good", "退货")
ONE = catalog.create("tasks", "text_classification")
SEVERAL = catalog.create("tasks", {"name": "text_classification", "multi_label": True})
TAGS = ("B-LOC", "B-PER", "I-LOC", "I-PER", "O")
TOKENS = catalog.create("tasks", "token_classification")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_backbone(tmp_path_factory.mktemp("tiny"))


def example(text, label=None, place="train.csv:2"):
    return Example(place, {"text": text}, label)


# One label or several a text


@pytest.mark.parametrize(
    ("cell", "label"),
    [("good", "good"), ("退货", "退货"), (3, "3"), (3.0, "3"), (np.int64(3), "3"), (["good"], "good")],
)
def test_a_cell_with_one_label_is_its_name(cell, label):
    assert ONE.parse(cell) == label


@pytest.mark.parametrize("cell", [None, "", "  ", float("nan")])
def test_an_empty_cell_is_an_unknown_label(cell):
    assert ONE.parse(cell) is None
    assert SEVERAL.parse(cell) is None


@pytest.mark.parametrize(
    "cell",
    ["good|退货", "退货 | good", "good||退货|good", '["退货", "good"]', ["退货", "good"], np.array(["good", "退货"])],
)
def test_a_cell_with_several_labels_is_the_same_however_it_is_written(cell):
    assert SEVERAL.parse(cell) == ("good", "退货")


def test_an_empty_list_says_that_no_label_applies():
    assert SEVERAL.parse([]) == SEVERAL.parse("[]") == ()


def test_another_separator_can_be_set():
    task = catalog.create("tasks", {"name": "text_classification", "multi_label": True, "separator": ","})
    assert task.parse("a|b, c") == ("a|b", "c")


def test_several_labels_where_one_is_expected_are_refused_with_what_to_set():
    with pytest.raises(LabelError, match=r"One label is expected, and the cell holds 2.*multi_label: true"):
        ONE.parse(["good", "bad"])


def test_a_nested_label_is_refused():
    with pytest.raises(LabelError, match="a name or a number"):
        SEVERAL.parse([["good"]])
    with pytest.raises(LabelError, match="a name or a number"):
        ONE.parse({"label": "good"})


def test_objective_and_metric_follow_the_kind_of_label():
    assert (ONE.objective, ONE.metric) == ("cross_entropy", "accuracy")
    assert (SEVERAL.objective, SEVERAL.metric) == ("binary_cross_entropy", "micro_f1")


def test_encoding_gives_every_window_the_label_of_its_example(folder):
    processor = Processor.load(folder, max_tokens=8, stride=2)
    windows = ONE.encode([example("这家店很好" * 6, "退货"), example("good", "good")], processor, LABELS)
    assert {window.example for window in windows[:-1]} == {0}
    assert windows[-1].example == 1
    assert [int(window.features["labels"]) for window in windows] == [2] * (len(windows) - 1) + [1]
    assert windows[0].features["labels"].shape == ()
    assert sum(window.tokens - window.shared for window in windows[:-1]) == 30


def test_encoding_several_labels_gives_zeros_and_ones_and_unknown_labels_nothing(folder):
    processor = Processor.load(folder)
    texts = [example("a", ("bad", "退货")), example("b", ()), example("c", None)]
    first, second, third = SEVERAL.encode(texts, processor, LABELS)
    assert first.features["labels"].tolist() == [1.0, 0.0, 1.0]
    assert first.features["labels"].dtype == np.float32
    assert second.features["labels"].tolist() == [0.0, 0.0, 0.0]
    assert "labels" not in third.features


def test_a_label_that_is_not_among_the_labels_is_named_with_its_row(folder):
    with pytest.raises(LabelError, match=r"test\.csv:9: label 'goood' is not among .*Did you mean 'good'\?"):
        ONE.encode([example("x", "goood", "test.csv:9")], Processor.load(folder), LABELS)


def test_windows_join_to_the_mean_weighted_by_the_tokens_each_adds():
    windows = [Window(0, {}, tokens=6), Window(0, {}, tokens=4, shared=2)]
    joined = ONE.join(windows, [np.array([1.0, 0.0]), np.array([0.0, 1.0])])
    assert joined.tolist() == [0.75, 0.25]
    assert ONE.join(windows[:1], [np.array([2.0, 1.0])]).tolist() == [2.0, 1.0]
    assert ONE.join([Window(0, {}, tokens=0)] * 2, [np.zeros(2), np.ones(2)]).tolist() == [0.5, 0.5]


def test_one_label_is_the_likeliest_and_abstains_below_what_the_policy_accepts():
    windows = [Window(0, {}, tokens=3, truncated=2), Window(0, {}, tokens=3, truncated=5)]
    logits = np.log([0.2, 0.1, 0.7])
    sure = ONE.decode(logits, windows, LABELS, Policy(accept=0.6))
    assert (sure.value, sure.decision, sure.truncated_tokens) == ("退货", "model", 7)
    assert sure.score == pytest.approx(0.7)
    assert sure.scores == pytest.approx({"bad": 0.2, "good": 0.1, "退货": 0.7})
    unsure = ONE.decode(logits, windows, LABELS, Policy(accept=0.8))
    assert (unsure.value, unsure.decision) == ("退货", "abstain")


def test_huge_logits_do_not_overflow():
    with np.errstate(all="raise", under="ignore"):
        assert ONE.decode(np.array([1e4, -1e4, 0.0]), [], LABELS, Policy()).score == 1.0
        assert SEVERAL.decode(np.array([1e4, -1e4, -1e4]), [], LABELS, Policy()).value == ("bad",)


def test_several_labels_follow_their_thresholds_and_may_be_none():
    logits = np.log(np.array([0.4, 0.6, 0.3]) / (1 - np.array([0.4, 0.6, 0.3])))
    assert SEVERAL.decode(logits, [], LABELS, Policy()).value == ("good",)
    found = SEVERAL.decode(logits, [], LABELS, Policy({"bad": 0.3, "退货": 0.9}))
    assert found.value == ("bad", "good")
    assert found.score == pytest.approx(0.4)  # that of the least certain yes
    none = SEVERAL.decode(logits, [], LABELS, Policy(dict.fromkeys(LABELS, 0.99), accept=0.5))
    assert (none.value, none.decision) == ((), "abstain")


def test_metrics_leave_rows_of_unknown_label_out():
    said = [Prediction("good", 0.9, {"good": 0.9}), Prediction("bad", 0.6, {"bad": 0.6}), Prediction("bad", 0.7)]
    found = ONE.metrics(["good", "good", None], said, LABELS)
    assert (found["n"], found["accuracy"]) == (2, 0.5)
    assert found["ece"] == pytest.approx((0.1 + 0.6) / 2)
    several = SEVERAL.metrics([("good",), ()], [Prediction(("good", "bad"), 0.5), Prediction((), 0.9)], LABELS)
    assert (several["n"], several["accuracy"]) == (2, 0.5)
    assert several["micro_f1"] == pytest.approx(2 / 3)
    assert SEVERAL.metrics([], [], LABELS)["n"] == 0


# Tags for tokens


def tagged(tokens, tags, place="train.conll:1"):
    return Example(place, {"tokens": tokens}, tags)


CASES = [
    (["the", "movie", "Paris"], ("O", "O", "B-LOC"), "the movie Paris", ["Paris"]),
    (["王", "明", "在", "北", "京"], ("B-PER", "I-PER", "O", "B-LOC", "I-LOC"), "王明在北京", ["王明", "北京"]),
    (
        [*"我们今天去看电影在", "北", "京", *"很好", "上", "海"],
        ("O",) * 9 + ("B-LOC", "I-LOC", "O", "O", "B-LOC", "I-LOC"),
        "我们今天去看电影在北京很好上海",
        ["北京", "上海"],
    ),  # several windows
    (["in", "北", "京", "now"], ("O", "B-LOC", "I-LOC", "O"), "in 北京 now", ["北京"]),
]


@pytest.mark.parametrize(("tokens", "tags", "text", "entities"), CASES)
def test_tags_go_through_the_model_s_tokens_and_come_back_as_spans_of_the_text(folder, tokens, tags, text, entities):
    processor = Processor.load(folder, max_tokens=8, stride=2)
    windows = TOKENS.encode([tagged(tokens, tags)], processor, TAGS)
    outputs = [_perfect(window) for window in windows]
    found = TOKENS.decode(TOKENS.join(windows, outputs), windows, TAGS, Policy())
    assert [text[span.start : span.end] for span in found.value] == entities
    assert TOKENS.metrics([tags], [found], TAGS)["f1"] == 1.0


def _perfect(window):
    """Logits of a model that knows the tag of each word's first piece, and says O elsewhere."""
    logits = np.zeros((len(window.features["input_ids"]), len(TAGS)))
    labels = np.where(window.features["labels"] < 0, TAGS.index("O"), window.features["labels"])
    logits[np.arange(len(labels)), labels] = 5.0
    return logits


def test_only_the_first_piece_of_a_word_carries_its_tag(folder):
    (window,) = TOKENS.encode([tagged(["Zyxwv", "good"], ("B-PER", "O"))], Processor.load(folder), TAGS)
    labels = window.features["labels"]
    assert len(labels) == len(window.features["input_ids"])
    assert (labels >= 0).sum() == 2
    assert labels[0] == labels[-1] == -100


def test_entities_count_only_when_words_and_type_are_exact(folder):
    tags = ("B-PER", "I-PER", "O", "B-LOC", "I-LOC")
    windows = TOKENS.encode([tagged(["王", "明", "在", "北", "京"], tags)], Processor.load(folder), TAGS)
    logits = _perfect(windows[0])
    logits[5] = 10 * (np.array(TAGS) == "O")  # 京
    found = TOKENS.metrics([tags], [TOKENS.decode(logits, windows, TAGS, Policy())], TAGS)
    assert (found["precision"], found["recall"], found["f1"]) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("cell", [["B-PER", "O"], "B-PER O", '["B-PER", "O"]', np.array(["B-PER", "O"])])
def test_tags_are_the_same_however_they_are_written(cell):
    assert TOKENS.parse(cell) == ("B-PER", "O")
    assert TOKENS.parse("") is None


def test_what_is_no_tag_or_has_another_length_than_the_words_is_refused(folder):
    with pytest.raises(LabelError, match=r"BIO tags is expected \(O, B-PER"):
        TOKENS.parse(["PERSON"])
    with pytest.raises(LabelError, match="BIO tags"):
        TOKENS.parse("[broken")
    with pytest.raises(LabelError, match=r"dev\.conll:4: 2 words have 1 tags"):
        TOKENS.encode([tagged(["a", "b"], ("O",), "dev.conll:4")], Processor.load(folder), TAGS)


def test_a_plain_text_is_tagged_as_well(folder):
    windows = TOKENS.encode([Example("row 1", {"tokens": "good 北京"})], Processor.load(folder), TAGS)
    assert "labels" not in windows[0].features
    logits = np.zeros((len(windows[0].words), len(TAGS)))
    logits[:, TAGS.index("O")] = 1
    logits[windows[0].words == 1, TAGS.index("B-LOC")] = 2
    (span,) = TOKENS.decode(logits, windows, TAGS, Policy()).value
    assert ("good 北京"[span.start : span.end], span.label) == ("北", "LOC")
