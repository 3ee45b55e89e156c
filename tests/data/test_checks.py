"""What spoils a model is found before training, with counts and places, in English and in Chinese."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
from data_samples import CHINESE, ENGLISH, table

from tunewright.core.errors import DataError
from tunewright.data.checks import KINDS, Finding, findings, is_garbled
from tunewright.data.dataset import Dataset

Make = Callable[..., Dataset]
TEST = table([("a text for the test alone", "book"), ("another of its kind there", "cancel")])


def found(dataset: Dataset, *args: object, **options: object) -> dict[str, Finding]:
    listed = findings(dataset, *args, **options)
    assert all(finding.kind in KINDS for finding in listed)
    assert all(len(finding.examples) <= 5 for finding in listed)
    return {finding.kind: finding for finding in listed}


def test_clean_data_gives_no_warning(make: Make) -> None:
    rows = [
        (f"{word} {number * 7919} {word[::-1]}", "ab"[number % 2])
        for number, word in enumerate(["kite", "sun", "oak"] * 20)
    ]
    assert [finding for finding in findings(make(table(rows))) if finding.severity != "note"] == []


def test_exact_duplicates_are_found_whatever_their_case_and_width(make: Make) -> None:
    rows = [*ENGLISH, ("ＰＬＥＡＳＥ book a table for 3 people tonight!!", "book")]
    dataset = make(table(rows), test=TEST, validation=TEST.replace("test", "validation"))
    duplicates = found(dataset)["duplicates"]
    assert (duplicates.count, duplicates.severity) == (1, "note")
    assert duplicates.examples[0].startswith("train.csv:62: ＰＬＥＡＳＥ")


def test_near_duplicates_across_splits_are_found(make: Make) -> None:
    text = "the quick brown fox jumps over the lazy dog near the river bank every single morning"
    test = table([(text + "s", "book"), ("another of its kind there", "cancel")])
    near = found(make(table([*ENGLISH[:20], (text, "book")]), test=test, validation=TEST))["near_duplicates"]
    assert near.severity == "warning"
    assert "1 of them like one of another split" in near.message.en
    assert any("≈" in example and "river" in example for example in near.examples) or near.count > 5


def test_leakage_is_reported_dropped_or_kept(make: Make) -> None:
    dropped = found(make(table(CHINESE), test=table(CHINESE[:3]), validation=table(CHINESE[3:5]), out="a"))["leakage"]
    assert (dropped.count, dropped.severity) == (5, "warning")
    assert "the same text stands in test, test.csv:2" in dropped.examples[0]
    kept = found(
        make(
            table(CHINESE),
            test=table(CHINESE[:3]),
            validation=TEST,
            labels=("好", "坏", "book", "cancel"),
            leakage="keep",
            out="b",
        )
    )["leakage"]
    assert (kept.count, kept.severity) == (3, "error")
    assert kept.examples[0].startswith("train.csv:2: 今天的天气真好")


def test_the_same_text_with_another_label_is_a_conflict(make: Make) -> None:
    rows = [*CHINESE, ("今天的天气真好 我们第3次去公园散步吧", "坏")]
    conflicts = found(make(table(rows), leakage="keep"))["conflicts"]
    assert conflicts.count == 2
    assert {example.rpartition("→ ")[2] for example in conflicts.examples} == {"好", "坏"}


def test_lost_and_garbled_rows_are_counted_with_their_places(make: Make) -> None:
    bad = b",book\nempty label,\n" + b"\xff\xfe broken,book\n" + "ä½ å¥½ there,book\n\ufffd\ufffd,book\n".encode()
    result = found(make(table(ENGLISH).encode() + bad))
    assert result["empty"].count == 2
    assert result["empty"].examples[0] == "train.csv:62: column 'text' is empty"
    assert result["garbled"].count == 3
    assert "1 row left out" in result["garbled"].message.en


@pytest.mark.parametrize(
    "text", ["ä½ å¥½ä¸ç", "cafÃ© au lait", "浣犲ソ涓栫晫", "锟斤拷锟斤拷", "a\ufffdb", "a\x07b", "itâ€™s"]
)
def test_texts_read_in_a_wrong_encoding_are_garbled(text: str) -> None:
    assert is_garbled(text)


@pytest.mark.parametrize(
    "text",
    [
        "你好，世界",
        "café au lait",
        "naïve façade à « Paris »",
        "emoji 😀",
        "plain",
        "ÅÄÖ åäö",
        "一二三四五六七",
        "为什么",
        "凭什么呀",
        "液压系统",
        "詹姆斯",
    ],
)
def test_good_texts_are_not_garbled(text: str) -> None:
    assert not is_garbled(text)


def test_labels_are_looked_at_for_spelling_and_size(make: Make) -> None:
    rows = [(f"text {number} {number * 31}", "good") for number in range(150)]
    rows += [("bad one", "Good"), ("bad two", "Ｇood"), ("bad three", "rare"), ("bad four", "rare")]
    result = found(make(table(rows)))
    assert result["label_spelling"].count == 1
    assert "'good'" in result["label_spelling"].examples[0]
    assert result["rare_classes"].count == 3
    assert result["imbalance"].severity == "note"


def test_a_language_the_backbone_does_not_know_is_an_error(make: Make) -> None:
    dataset = make(table(CHINESE))
    language = found(dataset, languages=("en",), backbone="minilm-l6-en")["language"]
    assert (language.severity, language.count) == ("error", 60)
    assert "minilm-l6-en was not trained on" in language.message.en and "Chinese 100%" in language.message.en
    for known in (("*",), ("zh", "en"), ()):
        assert "language" not in found(dataset, languages=known)


class Words:
    """A processor of one token a word, of which a window holds `max_tokens`."""

    unknown_id = 0

    def __init__(self, max_tokens: int, overflow: str) -> None:
        self.max_tokens, self.overflow = max_tokens, overflow

    def encode(self, texts: list[str]) -> list[list[SimpleNamespace]]:
        return [self._windows(len(text.split())) for text in texts]

    def _windows(self, words: int) -> list[SimpleNamespace]:
        if words > self.max_tokens and self.overflow == "refuse":
            raise DataError("too long")
        count = -(-words // self.max_tokens) if self.overflow == "split" else 1
        lost = max(0, words - self.max_tokens) if self.overflow == "truncate" else 0
        used = (words - lost) // count
        ids = np.ones(used, dtype=np.int32)
        return [
            SimpleNamespace(tokens=used, shared=0, truncated=lost if not at else 0, input_ids=ids)
            for at in range(count)
        ]


@pytest.mark.parametrize(("overflow", "severity"), [("truncate", "warning"), ("split", "note"), ("refuse", "note")])
def test_tokens_lost_to_truncation_are_told_by_label(make: Make, overflow: str, severity: str) -> None:
    rows = [*ENGLISH, *((f"{number} " + "very long text " * 9, "cancel") for number in range(10))]
    truncation = found(make(table(rows)), Words(10, overflow))["truncation"]
    assert (truncation.count, truncation.severity) == (10, severity)
    if overflow == "truncate":
        assert "180 tokens" in truncation.message.en and "'cancel'" in truncation.message.en
