"""Tasks turn examples into arrays and outputs back into answers, in English and Chinese alike."""

import itertools

import numpy as np
import pytest
from tokenizers import processors

from tunewright.core import catalog
from tunewright.core.errors import DataError, LabelError, RecipeError
from tunewright.core.types import Example, Frame, Policy, Prediction, Span, Window
from tunewright.models.processor import Processor
from tunewright.testing.tiny import tiny_backbone

LABELS = ("bad", "good", "退货")
ONE = catalog.create("tasks", "text_classification")
SEVERAL = catalog.create("tasks", {"name": "text_classification", "multi_label": True})
TYPES = ("LOC", "PER")
ENTITIES = catalog.create("tasks", "token_classification")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_backbone(tmp_path_factory.mktemp("tiny"))


def label_of(task, cell):
    return task.read({"text": "x", "label": cell})[1]


def example(text, label=None, place="train.csv:2"):
    return Example(place, {"text": text}, label)


# One label or several a text


@pytest.mark.parametrize(
    ("cell", "label"),
    [("good", "good"), ("退货", "退货"), (3, "3"), (3.0, "3"), (np.int64(3), "3"), (["good"], "good")],
)
def test_a_cell_with_one_label_is_its_name(cell, label):
    assert label_of(ONE, cell) == label


@pytest.mark.parametrize("cell", [None, "", "  ", float("nan")])
def test_an_empty_cell_is_an_unknown_label(cell):
    assert label_of(ONE, cell) is None
    assert label_of(SEVERAL, cell) is None


@pytest.mark.parametrize(
    "cell",
    ["good|退货", "退货 | good", "good||退货|good", '["退货", "good"]', ["退货", "good"], np.array(["good", "退货"])],
)
def test_a_cell_with_several_labels_is_the_same_however_it_is_written(cell):
    assert label_of(SEVERAL, cell) == ("good", "退货")


def test_an_empty_list_says_that_no_label_applies():
    assert label_of(SEVERAL, []) == label_of(SEVERAL, "[]") == ()


def test_another_separator_can_be_set():
    task = catalog.create("tasks", {"name": "text_classification", "multi_label": True, "separator": ","})
    assert label_of(task, "a|b, c") == ("a|b", "c")


def test_several_labels_where_one_is_expected_are_refused_with_what_to_set():
    with pytest.raises(LabelError, match=r"One label is expected, and the cell holds 2.*multi_label: true"):
        label_of(ONE, ["good", "bad"])


def test_a_nested_label_is_refused():
    with pytest.raises(LabelError, match="a name or a number"):
        label_of(SEVERAL, [["good"]])
    with pytest.raises(LabelError, match="a name or a number"):
        label_of(ONE, {"label": "good"})


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
    found = ONE.measures.metrics(["good", "good", None], said, LABELS)
    assert (found["n"], found["accuracy"]) == (2, 0.5)
    assert found["ece"] == pytest.approx((0.1 + 0.6) / 2)
    several = SEVERAL.measures.metrics([("good",), ()], [Prediction(("good", "bad"), 0.5), Prediction((), 0.9)], LABELS)
    assert (several["n"], several["accuracy"]) == (2, 0.5)
    assert several["micro_f1"] == pytest.approx(2 / 3)
    assert SEVERAL.measures.metrics([], [], LABELS)["n"] == 0


# Spans in a text


def read(text, spans):
    return ENTITIES.read({"text": text, "spans": spans})


def marked(text, spans, place="train.conll:1"):
    return Example(place, *read(text, spans))


def texts_of(text, spans):
    return [(text[span.start : span.end], span.label) for span in spans]


CASES = [
    (["the", "movie", "Paris"], ["O", "O", "B-LOC"], "the movie Paris", ["Paris"]),
    (["王", "明", "在", "北", "京"], ["B-PER", "I-PER", "O", "B-LOC", "E-LOC"], "王明在北京", ["王明", "北京"]),
    (
        [*"我们今天去看电影在", "北", "京", *"很好", "上", "海"],
        ["O"] * 9 + ["B-LOC", "I-LOC", "O", "O", "B-LOC", "I-LOC"],
        "我们今天去看电影在北京很好上海",
        ["北京", "上海"],
    ),  # several windows
    ("in 北京 now 😀", [[3, 5, "LOC"]], "in 北京 now 😀", ["北京"]),
    ("😀😀 ＡＢＣ公司", [{"start": 3, "end": 8, "label": "LOC"}], "😀😀 ＡＢＣ公司", ["ＡＢＣ公司"]),
]


@pytest.mark.parametrize(("text", "cell", "joined", "entities"), CASES)
def test_spans_go_through_the_model_s_tokens_and_come_back_by_character(folder, text, cell, joined, entities):
    processor = Processor.load(folder, max_tokens=8, stride=2)
    row = marked(text, cell)
    assert row.inputs["text"] == joined
    windows = ENTITIES.encode([row], processor, TYPES)
    outputs = [_perfect(window) for window in windows]
    found = ENTITIES.decode(ENTITIES.join(windows, outputs), windows, TYPES, Policy())
    assert [joined[span.start : span.end] for span in found.value] == entities
    assert found.value == row.label
    assert ENTITIES.measures.metrics([row.label], [found], TYPES)["f1"] == 1.0


def _perfect(window):
    """Logits of a model that knows the tag of each unit's first piece, and says O elsewhere."""
    logits = np.zeros((len(window.features["input_ids"]), len(ENTITIES.outputs(TYPES))))
    logits[np.arange(len(logits)), np.maximum(window.features["labels"], 0)] = 5.0
    return logits


def test_outputs_are_the_tags_of_the_labels():
    assert ENTITIES.outputs(TYPES) == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")


def test_only_the_first_piece_of_a_unit_carries_its_tag(folder):
    (window,) = ENTITIES.encode([marked("Zyxwv good", [[0, 5, "PER"]])], Processor.load(folder), TYPES)
    labels = window.features["labels"]
    assert len(labels) == len(window.features["input_ids"])
    assert labels[labels >= 0].tolist() == [3, 0]
    assert labels[0] == labels[-1] == -100


def test_where_windows_overlap_the_one_that_sees_more_around_decides(folder):
    text = "一二三四五六七八九十"
    windows = ENTITIES.encode([Example("row 1", {"text": text})], Processor.load(folder, max_tokens=8, stride=4), TYPES)
    assert len(windows) > 1
    logits = []
    for window in windows:  # every window says PER at its edges, and O elsewhere
        own = np.zeros((len(window.offsets), 5))
        own[:, 0] = 5.0
        own[[1, -2], 3] = 9.0
        logits.append(own)
    found = ENTITIES.decode(ENTITIES.join(windows, logits), windows, TYPES, Policy())
    assert texts_of(text, found.value) == [("一", "PER"), ("十", "PER")]


def test_an_entity_is_never_continued_where_none_began(folder):
    (window,) = windows = ENTITIES.encode([Example("row 1", {"text": "in Paris"})], Processor.load(folder), TYPES)
    logits = np.zeros((len(window.offsets), 5))
    logits[window.units.first[0]] = [3.0, 0, 0, 0, 0]
    logits[window.units.first[1]] = [1.0, 2.5, 3.0, 0, 0]  # I-LOC is likeliest, and continues nothing
    found = ENTITIES.decode(logits, windows, TYPES, Policy())
    assert texts_of("in Paris", found.value) == [("Paris", "LOC")]
    assert found.value[0].score == pytest.approx(float(np.exp(2.5) / np.exp([1.0, 2.5, 3.0, 0, 0]).sum()))


CHAINED = catalog.create("tasks", {"name": "token_classification", "crf": True})


def test_under_crf_a_unit_s_label_is_the_pair_with_the_tag_before_it_across_windows_too(folder):
    text = "一二三四五六七八九十"
    row = marked(text, [[0, 8, "PER"]])
    windows = CHAINED.encode([row], Processor.load(folder, max_tokens=8, stride=2), TYPES)
    assert len(windows) > 1
    outside, begins, inside = 0, 3, 4
    for window in windows:
        said = window.features["labels"][window.units.first] - 5
        first = int(window.units.number[0])
        tags = [outside, begins, *[inside] * 7, outside, outside]  # the first stands before the text
        steps = list(itertools.pairwise(tags))[first : first + len(said)]
        assert said.tolist() == [5 * before + tag for before, tag in steps]
    outputs = [_pairs_known(window) for window in windows]
    found = CHAINED.decode(CHAINED.join(windows, outputs), windows, TYPES, Policy())
    assert found.value == row.label and 0.5 < found.score < 1


def _pairs_known(window):
    logits = np.zeros((len(window.features["input_ids"]), len(CHAINED.outputs(TYPES))))
    logits[np.arange(len(logits)), np.maximum(window.features["labels"], 0)] = 9.0
    return logits


def test_under_crf_steps_from_tag_to_tag_count(folder):
    (window,) = windows = CHAINED.encode([Example("row 1", {"text": "in Paris"})], Processor.load(folder), TYPES)
    logits = np.zeros((len(window.offsets), len(CHAINED.outputs(TYPES))))
    logits[window.units.first[1], 1] = 2.0  # B-LOC
    assert texts_of("in Paris", CHAINED.decode(logits, windows, TYPES, Policy()).value) == [("Paris", "LOC")]
    logits[window.units.first[1], 5 + 0 * 5 + 1] = -9.0  # and hardly after O: what stands before gives way
    found = CHAINED.decode(logits, windows, TYPES, Policy()).value
    assert texts_of("in Paris", found) == [("in", "LOC"), ("Paris", "LOC")]


def test_measures_are_those_of_whole_entities():
    gold = [read("王明在北京", [[0, 2, "PER"], [3, 5, "LOC"]])[1]]
    said = [Prediction(read("王明在北京", [[0, 2, "PER"], [3, 4, "LOC"]])[1], 0.9)]
    found = ENTITIES.measures.metrics(gold, said, TYPES)
    assert (found["precision"], found["recall"], found["f1"], found["accuracy"]) == (0.5, 0.5, 0.5, 0.0)
    assert found["per_class"]["PER"]["f1"] == 1.0 and found["per_class"]["LOC"]["support"] == 1
    assert found["macro_f1"] == 0.5


@pytest.mark.parametrize(
    "cell",
    [
        [{"start": 0, "end": 4, "label": "PER"}],
        [{"start": 0, "end": 4, "label": "PER", "text": "Anna"}],
        '[{"start": 0, "end": 4, "label": "PER"}]',
        [[0, 4, "PER"]],
        ["B-PER", "O"],
        ["S-PER", "O"],
        "B-PER O",
        '["B-PER", "O"]',
        np.array(["B-PER", "O"]),
    ],
)
def test_spans_are_the_same_however_they_are_written(cell):
    assert read("Anna met", cell)[1] == (Span(0, 4, "PER"),)


@pytest.mark.parametrize("tags", [["B-party_size", "I-party_size"], ["B_party_size", "I_party_size"]])
def test_a_label_keeps_the_signs_in_its_name(tags):
    assert read("four people", tags)[1] == (Span(0, 11, "party_size"),)


@pytest.mark.parametrize(
    "cell", [["B-PER", "I-PER", "O"], [[0, 2, "PER"]], [{"start": 0, "end": 2, "label": "PER", "text": "Anna Lee"}]]
)
def test_spans_of_words_count_words(cell):
    assert read(["Anna", "Lee", "met"], cell) == ({"text": "Anna Lee met"}, (Span(0, 8, "PER"),))


def test_no_spans_are_a_label_and_an_empty_cell_is_none():
    assert read("Anna met", [])[1] == ()
    assert read("Anna met", "")[1] is None
    assert read("我爱北京", ["O", "O", "B-LOC", "I-LOC"])[1] == (Span(2, 4, "LOC"),)


@pytest.mark.parametrize(
    ("text", "cell", "message"),
    [
        ("Anna met", [[0, 40, "PER"]], r"from character 0 to 40, and the text has 8"),
        ("Anna met", [[-1, 4, "PER"]], r"from character -1"),
        ("Anna met", [[4, 4, "PER"]], r"from character 4 to 4"),
        ("Anna met", [[0, 4, "PER"], [2, 8, "LOC"]], r"Two spans overlap: 'Anna' \(0–4, PER\), 'na met' \(2–8, LOC\)"),
        (
            "王明 met",
            [{"start": 0, "end": 6, "label": "PER", "text": "王明"}],
            r"says that its text is '王明', and '王明 met' stands there",
        ),
        (["Anna", "met"], [[0, 4, "PER"]], r"from word 0 to 4, and the text has 2"),
        ("Anna met", [{"start": 0, "end": 4}], r"A span has start, end and label"),
        ("Anna met", [{"start": "0", "end": 4, "label": "PER"}], r"whole numbers"),
        ("Anna met", [[0, 4, ""]], r"A span has start, end and label"),
        ("Anna met", ["B-PER"], r"2 words have 1 tags"),
        (["Anna", "met"], ["B-PER"], r"2 words have 1 tags"),
        ("Anna met", ["PERSON", "O"], r"'PERSON' is no tag: BIO or BIOES"),
        ("Anna met", "[broken", r"no JSON"),
        ("Anna met", 7, r"A list of spans"),
    ],
)
def test_what_is_no_span_of_the_text_is_refused_with_why(text, cell, message):
    with pytest.raises(LabelError, match=message):
        read(text, cell)


def test_words_that_are_none_are_refused():
    with pytest.raises(DataError, match="list of words"):
        read(["Anna", 3], None)


def test_an_entity_of_unknown_type_is_named_with_its_row(folder):
    with pytest.raises(LabelError, match=r"dev\.conll:4: label 'PRE' is not among .*Did you mean 'PER'"):
        ENTITIES.encode([marked("Anna", [[0, 4, "PRE"]], "dev.conll:4")], Processor.load(folder), TYPES)


# Intents and slots

FRAMES = catalog.create("tasks", "slot_filling")
NAMES = ("#LOC", "#go", "LOC", "PER")


def frame(text, slots, intent="go"):
    return FRAMES.read({"text": text, "intent": intent, "slots": slots})[1]


def slots_of(text, slots):
    return [(text[span.start : span.end], span.label) for span in frame(text, slots).slots]


@pytest.mark.parametrize(("text", "cell", "joined", "entities"), CASES)
def test_a_frame_goes_through_the_model_s_tokens_and_comes_back(folder, text, cell, joined, entities):
    row = Example("row 1", *FRAMES.read({"text": text, "intent": "LOC", "slots": cell}))
    windows = FRAMES.encode([row], Processor.load(folder, max_tokens=8, stride=2), NAMES)
    assert [window.features["labels"][0] for window in windows] == [5] * len(windows)  # #LOC, behind five tags
    logits = []
    for window in windows:
        own = np.zeros((len(window.offsets), len(FRAMES.outputs(NAMES))))
        own[np.arange(len(own)), np.maximum(window.features["labels"], 0)] = 5.0
        logits.append(own)
    found = FRAMES.decode(FRAMES.join(windows, logits), windows, NAMES, Policy())
    assert found.value == row.label
    assert [joined[span.start : span.end] for span in found.value.slots] == entities


def test_outputs_are_the_slots_tags_and_then_the_intents():
    assert FRAMES.outputs(NAMES) == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER", "#LOC", "#go")


def test_intent_and_tags_are_chosen_each_in_its_own_block(folder):
    (window,) = windows = FRAMES.encode([Example("row 1", {"text": "in Paris"})], Processor.load(folder), NAMES)
    logits = np.zeros((len(window.offsets), 7))
    logits[0] = [99.0, 0, 0, 0, 0, 1.0, 3.0]  # a tag at the special token says nothing of the intent
    logits[window.units.first[0]] = [2.0, 0, 0, 0, 0, 99.0, 0]  # and an intent at a word nothing of its tag
    logits[window.units.first[1]] = [0, 0, 0, 4.0, 0, 0, 99.0]
    found = FRAMES.decode(logits, windows, NAMES, Policy())
    assert (found.value.intent, texts_of("in Paris", found.value.slots)) == ("go", [("Paris", "PER")])
    intent, tags = np.exp(3) / (np.exp(1) + np.exp(3)), [np.exp(2) / (np.exp(2) + 4), np.exp(4) / (np.exp(4) + 4)]
    assert found.scores == pytest.approx({"LOC": 1 - intent, "go": intent})
    assert found.score == pytest.approx(min(intent, *tags))
    assert FRAMES.decode(logits, windows, NAMES, Policy(accept=0.7)).decision == "abstain"
    logits[:, 0:5] *= 9  # now the intent is the least certain
    assert FRAMES.decode(logits, windows, NAMES, Policy()).score == pytest.approx(intent)


def test_windows_of_a_long_text_agree_on_its_intent_by_their_tokens(folder):
    processor = Processor.load(folder, max_tokens=8, stride=2)
    windows = FRAMES.encode([Example("row 1", {"text": "一二三四五六七八"})], processor, NAMES)
    assert [window.tokens - window.shared for window in windows] == [6, 2]
    logits = [np.zeros((len(window.offsets), 7)) for window in windows]
    logits[0][0, 5:], logits[1][0, 5:] = (1.0, 0.0), (0.0, 2.0)
    found = FRAMES.decode(FRAMES.join(windows, logits), windows, NAMES, Policy())
    assert found.value.intent == "LOC"  # 6 · 1 against 2 · 2
    assert found.scores["LOC"] == pytest.approx(1 / (1 + np.exp(0.5 - 0.75)))


@pytest.mark.parametrize(
    ("text", "cell", "found"),
    [
        ("播放周杰伦的歌", {"singer": "周杰伦"}, [("周杰伦", "singer")]),
        ("from Rome to Paris", {"from": "Rome", "to": ["Paris"]}, [("Rome", "from"), ("Paris", "to")]),
        ("a a b", {"x": ["a", "a"]}, [("a", "x"), ("a", "x")]),
        ("去北京南站不去北京", {"city": "北京", "station": "北京南站"}, [("北京南站", "station"), ("北京", "city")]),
        ("tomorrow to the top", {"word": "to"}, [("to", "word")]),
        ("room 3", {"number": 3, "name": None, "other": ""}, [("3", "number")]),
        ("room 3", '{"number": "3"}', [("3", "number")]),
        ("room 3", {}, []),
        ("room 3", None, []),
    ],
)
def test_slots_given_by_name_and_text_are_found_in_the_text(text, cell, found):
    assert slots_of(text, cell) == found


def test_of_a_text_that_stands_twice_whole_words_are_taken():
    assert frame("tomorrow to the top", {"word": "to"}).slots == (Span(9, 11, "word"),)


@pytest.mark.parametrize(
    ("cell", "intent", "message"),
    [
        ({"city": "Roma"}, "go", r"'city' is 'Roma', which does not stand in the text\. Give it as the text has it"),
        ({"city": "Rome", "again": "Rome"}, "go", r"'again' is 'Rome', .* or there only inside another"),
        ({"city": {"name": "Rome"}}, "go", r"'city' stands for a text, or for a list of texts"),
        ([[3, 7, "#city"]], "go", r"begins with #, which marks intents"),
        ([[3, 7, "city"]], "", r"has slots and no intent"),
        ([[3, 70, "city"]], "go", r"from character 3 to 70"),
        ("{broken", "go", r"no JSON"),
        ([], ["go", "stay"], r"a name or a number"),
    ],
)
def test_what_is_no_frame_of_the_text_is_refused_with_why(cell, intent, message):
    with pytest.raises(LabelError, match=message):
        frame("to Rome", cell, intent)


def test_a_row_without_intent_and_slots_is_unlabelled_and_one_with_an_intent_has_no_slots():
    for nothing in ("", None, [], {}):
        assert frame("to Rome", nothing, None) is None
    assert frame("to Rome", None, 3) == Frame("3")


def test_a_backbone_without_a_token_before_the_text_is_refused(folder):
    processor = Processor.load(folder)
    assert processor.opens
    processor.tokenizer.post_processor = processors.TemplateProcessing(single="$A", pair="$A $B")
    bare = Processor(processor.tokenizer, max_tokens=8, pad_id=0, type_ids=False)
    with pytest.raises(
        RecipeError, match=r"reads the intent at the special token before a text.*another model\.backbone"
    ):
        FRAMES.encode([Example("row 1", {"text": "in Paris"})], bare, NAMES)


# Pairs of texts

PAIR = catalog.create("tasks", "sentence_pair")
BOTH = catalog.create("tasks", {"name": "sentence_pair", "symmetric": True})


def pair(one, other, label=None, place="pairs.csv:2"):
    return Example(place, *PAIR.read({"text_a": one, "text_b": other, "label": label}))


def test_a_pair_is_read_as_one_window_with_both_texts(folder):
    processor = Processor.load(folder)
    (window,) = PAIR.encode([pair("good film", "好看", 1)], processor, ("0", "1"))
    first, second = (processor.encode([text])[0][0].features["input_ids"].tolist() for text in ("good film", "好看"))
    assert window.features["input_ids"].tolist() == [*first, *second[1:]]
    assert int(window.features["labels"]) == 1


@pytest.mark.parametrize("task", [PAIR, BOTH], ids=["one order", "both"])
@pytest.mark.parametrize("role", PAIR.inputs)
def test_one_text_of_a_pair_is_read_by_itself(folder, task, role):
    processor = Processor.load(folder)
    (window,) = task.encode([Example("pairs.csv:2", {role: "good 好看"})], processor, ("0", "1"))
    assert window.features["input_ids"].tolist() == processor.encode(["good 好看"])[0][0].features["input_ids"].tolist()


def test_a_symmetric_pair_has_the_same_answer_in_both_orders(folder):
    processor = Processor.load(folder, max_tokens=16, stride=2)
    random = np.random.default_rng(0)
    table = random.normal(size=(2000, 2))

    def outputs(windows):  # depends on the order of the tokens
        return [(table[w.features["input_ids"]] * np.arange(len(w.offsets))[:, None]).sum(axis=0) for w in windows]

    answers = []
    for one, other in (("good film", "这家店很好" * 5), ("这家店很好" * 5, "good film")):
        windows = BOTH.encode([pair(one, other)], processor, ("0", "1"))
        assert len(windows) > 2
        answers.append(BOTH.join(windows, outputs(windows)))
    np.testing.assert_allclose(answers[0], answers[1])


def test_the_second_order_counts_no_token_twice(folder):
    texts = [pair("good film " * 10, "好看")]
    for settings in ({}, {"overflow": "truncate"}):
        processor = Processor.load(folder, max_tokens=12, stride=2, **settings)
        once, twice = (task.encode(texts, processor, ("0", "1")) for task in (PAIR, BOTH))
        fresh = [sum(w.tokens - w.shared for w in windows) for windows in (once, twice)]
        assert fresh[0] == fresh[1] and len(twice) == 2 * len(once)
        assert sum(w.truncated for w in once) == sum(w.truncated for w in twice)


def test_several_labels_for_a_pair_are_refused():
    with pytest.raises(LabelError, match="a name or a number"):
        pair("a", "b", ["0", "1"])


NUMBER = catalog.create("tasks", {"name": "sentence_pair", "regression": True})


def test_numbers_for_pairs_are_read_encoded_and_answered(folder):
    row = Example("pairs.csv:2", *NUMBER.read({"text_a": "a", "text_b": "b", "label": " 3.8 "}))
    (window,) = NUMBER.encode([row], Processor.load(folder), ())
    assert (row.label, float(window.features["labels"])) == (3.8, pytest.approx(3.8))
    assert (NUMBER.outputs(()), NUMBER.classes, NUMBER.metric) == (("value",), False, "spearman")
    said = NUMBER.decode(np.array([2.5]), [window], (), Policy())
    assert (said.value, said.score) == (2.5, 1.0)
    assert NUMBER.measures.quality(3.8, said) == pytest.approx(-1.3)


@pytest.mark.parametrize("cell", ["much", "nan", float("inf"), True, {"a": 1}])
def test_what_is_no_number_is_refused_where_numbers_are_expected(cell):
    with pytest.raises(LabelError, match=r"A number is expected|not a list"):
        NUMBER.read({"text_a": "a", "text_b": "b", "label": cell})


# Relations

RELATION = catalog.create("tasks", "relation_extraction")


def related(text, head, tail, relation=None):
    return RELATION.read({"text": text, "head": head, "tail": tail, "relation": relation})


@pytest.mark.parametrize(
    ("text", "head", "tail", "marked"),
    [
        ("Anna works for Acme.", {"start": 0, "end": 4, "text": "Anna"}, [15, 19], "@ Anna @ works for # Acme #."),
        ("Anna works for Acme.", [15, 19], [0, 4], "# Anna # works for @ Acme @."),
        ("王明在北京", [0, 2], [3, 5], "@ 王明 @在# 北京 #"),
        (["Anna", "Lee", "met", "Bob"], [0, 2], [3, 4], "@ Anna Lee @ met # Bob #"),
        ("the New York Times", [4, 18], [4, 12], "the @ # New York # Times @"),
        ("ab", [0, 1], [1, 2], "@ a @# b #"),
    ],
)
def test_head_and_tail_are_marked_in_the_text(text, head, tail, marked):
    assert related(text, head, tail, "Other") == ({"text": marked}, "Other")


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ([0, 40], r"The head goes from character 0 to 40, and the text has 8"),
        ({"start": 0, "end": 4, "text": "Bob"}, r"The head says that its text is 'Bob', and 'Anna' stands there"),
        ("Anna", r"The head has a start and an end"),
        ({"begin": 0}, r"The head has a start and an end"),
    ],
)
def test_a_head_that_is_not_in_the_text_is_refused(head, message):
    with pytest.raises(DataError, match=message):
        related("Anna met", head, [5, 8])
