"""A source finds its reader by ending and first bytes; a misspelled one is corrected."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tunewright.core import catalog
from tunewright.core.errors import DataError
from tunewright.data.sources import nearest_path, open_source


@pytest.mark.parametrize(
    ("name", "content", "reader"),
    [
        ("a.csv", "text,label\nx y,a\n", "csv"),
        ("a.tsv", "text\tlabel\nx y\ta\n", "csv"),
        ("a.txt", "x y\ta\nz\tb\n", "csv"),
        ("a.txt", "just a line\nand another\n", "text"),
        ("a.txt", "常\tB-NAME\n建\tI-NAME\n\n", "conll"),
        ("a.conll", "Paris B-LOC\n. O\n", "conll"),
        ("a.jsonl", '{"text": "x"}\n', "jsonl"),
        ("a.json", '{"text": "x"}\n{"text": "y"}\n', "jsonl"),
        ("a.json", '[{"text": "x"}]', "json"),
        ("a.json", '{"data": [{"text": "x"}]}', "json"),
    ],
)
def test_the_reader_follows_from_the_file(tmp_path: Path, name: str, content: str, reader: str) -> None:
    (tmp_path / name).write_text(content)
    found, described = open_source(tmp_path / name)
    assert catalog.name_of(found) == described["reader"] == reader


def test_a_misspelled_path_is_corrected_part_by_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.csv").write_text("text,label\n")
    monkeypatch.chdir(tmp_path)
    assert nearest_path("dat/trian.csv") == "data/train.csv"
    for wrong in ("dat/train.csv", "data/trian.csv"):
        with pytest.raises(DataError, match=rf"There is no file or folder '{wrong}'\. Did you mean 'data/train.csv'"):
            open_source(wrong)
    with pytest.raises(DataError, match=r"There is no file or folder 'zzz'\. Check the path"):
        open_source("zzz", "csv")


def test_what_no_reader_knows_is_an_error_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "a.xyz").write_text("what is this")
    with pytest.raises(DataError, match=r"not clear how to read .*a\.xyz.*data\.reader \(conll, csv"):
        open_source(tmp_path / "a.xyz")
    (tmp_path / "b.xyz").write_bytes(b"\x89PNG\r\n")
    with pytest.raises(DataError, match="looks like a PNG image"):
        open_source(tmp_path / "b.xyz")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "train.csv").write_text("text,label\n")
    with pytest.raises(DataError, match=r"neither one folder per label nor a saved data set.*train\.csv"):
        open_source(tmp_path / "folder")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and nothing more")
    with pytest.raises(DataError, match=r"broken\.parquet cannot be read.*Is the file whole"):
        open_source(tmp_path / "broken.parquet")


@pytest.mark.parametrize(
    ("reader", "said"),
    [
        ("folder", r"rows\.csv is a file, not a folder: name its folder, or mend data\.reader"),
        ({"name": "csv", "encoding": "rot13"}, r"There is no encoding 'rot13'\. Usual ones: utf-8"),
        ({"name": "csv", "encoding": "idna"}, r"There is no encoding 'idna'\. Usual ones: utf-8"),
        ("parquet", r"this is not a parquet file\. Is the file whole"),
    ],
)
def test_a_reader_that_does_not_fit_is_told(tmp_path: Path, reader: str | dict, said: str) -> None:
    (tmp_path / "rows.csv").write_text("text,label\na b,x\n")
    with pytest.raises(DataError, match=said):
        open_source(tmp_path / "rows.csv", catalog.create("readers", reader))


def test_a_saved_data_set_with_a_broken_state_is_told(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("[]")
    with pytest.raises(DataError, match=r"cannot be read: .*Is the file whole"):
        open_source(tmp_path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "rows")
    with pytest.raises(DataError, match=r"rows is a pipe or a device\. Save what it gives to a file"):
        open_source(tmp_path / "rows")
