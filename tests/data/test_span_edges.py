"""Spans that whole tokens and words cannot mark are found before training, as what would be found in their place."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tunewright.core import catalog, spans
from tunewright.core.types import Policy
from tunewright.data.checks import findings
from tunewright.data.prepare import prepare
from tunewright.models.processor import Processor

PIECES = ["[UNK]", "3kg", "of", "rice", "for", "ok😀", "Anna", "很好", "店", "去", "两", "two", "how", "much", "kg"]


@pytest.fixture(scope="module")
def processor():
    """One token for each run without space, and "很好" as one token: as byte-level and unigram vocabularies have them."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({piece: index for index, piece in enumerate(PIECES)}, unk_token="[UNK]"))
    split = pre_tokenizers.Split(Regex("很好|[一-龥]|[^\\s一-龥]+"), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), split])
    return Processor(tokenizer, max_tokens=8, stride=2, pad_id=0, type_ids=False)


@pytest.fixture
def look(tmp_path, processor):
    """look(rows, task) → the finding, or None."""
    from tunewright.core.recipe import Data, Recipe

    def made(rows, task="token_classification", with_processor=processor, **data):
        path = tmp_path / "rows.jsonl"
        path.write_text(
            "\n".join(json.dumps(row, ensure_ascii=False) for row in [*rows, OTHER[task], OTHER[task]]),
            encoding="utf-8",
        )
        (tmp_path / "test.jsonl").write_text(json.dumps(OTHER[task]), encoding="utf-8")
        other = str(tmp_path / "test.jsonl")
        given = Data(train=str(path), validation=other, test=other, leakage="keep", **data)
        dataset = prepare(
            Recipe(catalog.create("tasks", task), given), tmp_path / f"out-{len(list(tmp_path.iterdir()))}"
        )
        found = {one.kind: one for one in findings(dataset, with_processor, backbone="tiny")}
        return found.get("span_edges")

    return made


OTHER = {  # rows that nothing is wrong with: two of train, behind the others, and the one of validation and of test
    "token_classification": {"text": "two", "spans": [[0, 3, "X"]]},
    "slot_filling": {"text": "two", "intent": "Buy", "slots": []},
    "question_answering": {"question": "how", "context": "two", "answer": [{"text": "two", "start": 0}]},
}


def test_a_span_inside_a_token_is_told_with_what_would_be_found(look):
    rows = [
        {"text": "3kg of rice", "spans": [[0, 1, "NUMBER"], [7, 11, "FOOD"]]},
        {"text": "for Anna ok😀", "spans": [[4, 8, "NAME"], [9, 11, "MOOD"]]},
        {"text": "去很好店", "spans": [[1, 2, "MOOD"], [3, 4, "FOOD"]]},
    ]
    found = look(rows)
    assert (found.severity, found.count) == ("warning", 3)
    assert found.examples == (
        "rows.jsonl:1: '3' → '3kg'", "rows.jsonl:2: 'ok' → 'ok😀'", "rows.jsonl:3: '很' → '很好'",
    )  # fmt: skip
    assert (
        "3 of 10 spans looked at can never be found exactly: they begin or end inside a token of tiny"
        in found.message.en
    )
    assert "看过的 10 个片段中有 3 个永远无法被准确找出" in found.message.zh and "tiny" in found.message.zh


def test_a_span_inside_a_word_is_none_that_a_model_can_mark(look):
    found = look([{"text": "Annas rice", "spans": [[0, 4, "NAME"]]}, {"text": "of Anna", "spans": [[3, 7, "NAME"]]}])
    assert found.examples == ("rows.jsonl:1: 'Anna' → 'Annas'",)


def test_spans_of_whole_tokens_are_no_finding_in_whichever_window_they_lie(look):
    text = "of rice for Anna 3kg of rice for Anna 3kg of rice for Anna"
    rows = [{"text": text, "spans": [[12, 16, "NAME"], [17, 28, "FOOD"], [33, 41, "LONG"], [54, 58, "NAME"]]}]
    assert look(rows) is None


def test_what_is_cut_off_is_no_matter_of_edges(look, processor):
    cut = Processor(processor.tokenizer, max_tokens=4, overflow="truncate", pad_id=0, type_ids=False)
    rows = [{"text": "of rice for Anna 3kg of rice", "spans": [[12, 18, "NAME"], [21, 28, "FOOD"]]}]
    assert look(rows, with_processor=cut, overflow="truncate") is None


def test_signs_that_a_terminal_acts_on_are_shown_as_escapes(look):
    [shown] = look([{"text": "ok\x1b[31mred rice", "spans": [[2, 7, "X"]]}]).examples
    assert "\x1b" not in shown and "\\x1b[31m" in shown and len(shown) < 160


def test_slots_are_looked_at_as_well(look):
    rows = [
        {"text": "3kg of rice", "intent": "Buy", "slots": [[0, 1, "n"]]},
        {"text": "of", "intent": "No", "slots": []},
    ]
    assert look(rows, "slot_filling").count == 1


def test_an_answer_is_looked_at_in_its_context_and_one_that_can_be_marked_is_enough(look):
    asked = {"question": "how much rice", "context": "for Anna 3kg of rice"}
    assert look([{**asked, "answer": [{"text": "3", "start": 9}]}], "question_answering").count == 1
    both = [{"text": "3", "start": 9}, {"text": "3kg", "start": 9}]
    assert look([{**asked, "answer": both}], "question_answering") is None
    beside = {"question": "how", "context": "3 rice"}  # the question's token has the characters "3 r" of no text
    assert look([{**beside, "answer": [{"text": "3", "start": 0}]}], "question_answering") is None
    nearly = {"question": "how much", "context": "for Anna! of rice"}  # punctuation does not count in an answer
    assert look([{**nearly, "answer": [{"text": "Anna", "start": 4}]}], "question_answering") is None


def test_what_is_found_is_what_the_task_answers_from_the_very_tags_it_learns(processor):
    """The finding says no more and no less than encode and decode do."""
    task, labels = catalog.create("tasks", "token_classification"), ("X",)
    from tunewright.core.types import Example, Span
    from tunewright.data.checks import _unmarked

    texts = ["3kg of rice", "for Anna ok😀 3kg", "去很好店", "Annas of 3kg for rice of Anna rice for of"]
    for text in texts:
        for start in range(len(text)):
            for end in range(start + 1, len(text) + 1):
                example = Example("r:1", {"text": text}, (Span(start, end, "X"),))
                windows = task.encode([example], processor, labels)
                count = len(spans.tags(labels))
                marks = np.concatenate([window.features["labels"] for window in windows])
                logits = np.where(marks[:, None] == np.arange(count), 50.0, 0.0)
                said = task.decode(logits, windows, labels, Policy()).value
                told = list(_unmarked(example, example.label, processor.encode([text])[0], task))
                assert (said == example.label) == (not told), (text[start:end], said, told)
