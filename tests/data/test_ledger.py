"""The ledger accounts for every row and token, or says what is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tunewright.core.errors import DataError
from tunewright.data.ledger import Ledger


def test_a_ledger_whose_rows_add_up_balances(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.read("train", 10)
    ledger.drop("train", "a.csv", 3, "column 'text' is empty", "empty_text")
    ledger.move("train", "test", 2)
    ledger.use("train", 7)
    assert ledger.balance() == ["test: 2 rows came in and 0 are accounted for"]
    ledger.use("test", 2)
    assert ledger.balance() == []
    ledger.close()
    first, last = map(json.loads, (tmp_path / "ledger.jsonl").read_text().splitlines())
    assert (first["file"], first["line"], first["kind"]) == ("a.csv", 3, "empty_text")
    assert last["summary"]["rows"]["train"]["reasons"] == {"empty_text": 1}


def test_tokens_seen_must_be_used_or_truncated(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.tokens("train", seen=10, used=7, truncated=2, windows=3, split_rows=1)
    assert ledger.balance() == ["train: 10 tokens seen, 9 accounted for"]


def test_a_closed_ledger_can_be_continued_elsewhere_and_stays_as_it_is(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "a.jsonl")
    ledger.read("train", 2)
    ledger.use("train")
    ledger.drop("train", "a.csv", 2, "the row is broken", "broken_row")
    ledger.close()
    before = (tmp_path / "a.jsonl").read_bytes()
    more = Ledger.resume(tmp_path / "a.jsonl", tmp_path / "b.jsonl")
    more.tokens("train", seen=5, used=4, truncated=1, windows=1, split_rows=0)
    more.truncate("train", "a.csv:1", 1)
    more.close()
    assert more.balance() == []
    assert (tmp_path / "a.jsonl").read_bytes() == before
    entries = [json.loads(line) for line in (tmp_path / "b.jsonl").read_text().splitlines()]
    assert entries[0]["kind"] == "broken_row"
    assert entries[1] == {"split": "train", "row": "a.csv:1", "truncated": 1}
    assert entries[2]["summary"]["rows"]["train"]["read"] == 2


def test_a_ledger_that_was_cut_off_cannot_be_continued(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"split": "train", "file": "a", "line": 1}\n')
    with pytest.raises(DataError, match="is no complete ledger"):
        Ledger.resume(tmp_path / "a.jsonl", tmp_path / "b.jsonl")
