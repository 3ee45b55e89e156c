"""Every encoding that a spreadsheet writes is found; what is no text is said to be none."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import pytest
from data_samples import CHINESE, ENGLISH, table

from tunewright.core.errors import DataError
from tunewright.data.encoding import MARK, check_encoding, detect_delimiter, detect_encoding, lines


@pytest.mark.parametrize("rows", [ENGLISH, CHINESE], ids=["English", "Chinese"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "gb18030"])
def test_a_file_is_read_as_it_was_written(tmp_path: Path, rows: list, encoding: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(table(rows).encode(encoding))
    found = detect_encoding(path)
    assert [text for _, text in lines(path, found)] == table(rows).splitlines()


def test_an_encoding_that_is_none_of_ours_is_an_error_with_the_line_and_what_to_set(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("text,label\nplain,a\ncafé résumé été,b\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"a\.csv:3 does not decode.*name its encoding under data\.reader"):
        detect_encoding(path)


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("big5", "今天天氣真是很好啊我們去公園玩"),
        ("euc-kr", "오늘 날씨가 정말 좋네요"),
        ("shift_jis", "今日の天気はとても良いです"),
    ],
)
def test_other_east_asian_encodings_are_not_taken_for_chinese(tmp_path: Path, encoding: str, text: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("".join(f"{text}{n},{n % 2}\n" for n in range(50)).encode(encoding))
    with pytest.raises(DataError, match="does not decode as UTF-8, UTF-16 or GB18030"):
        detect_encoding(path)


def test_a_broken_line_does_not_change_the_encoding_and_is_marked(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("好的，没问题\n".encode() * 20 + "混合编码的一行".encode("gb18030") + b"\n")
    assert detect_encoding(path) == "utf-8"
    assert [number for number, text in lines(path, "utf-8") if MARK in text] == [21]


def test_a_binary_file_is_named_for_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xl/workbook.xml", "x")
    with pytest.raises(DataError, match=r"is not a text file \(it looks like an Excel workbook\): save it as CSV"):
        detect_encoding(path)
    for content, kind in (
        (b"\x89PNG\r\n\x1a\n", "a PNG image"),
        (pickle.dumps([1]), "a Python pickle"),
        (bytes(99), "binary"),
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=kind):
            detect_encoding(path)


def test_an_encoding_nobody_knows_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"There is no encoding 'klingon'\. Usual ones: utf-8, gb18030"):
        check_encoding("klingon", tmp_path / "a.csv")


@pytest.mark.parametrize("mark", [",", "\t", ";", "|"])
def test_the_delimiter_is_the_mark_that_splits_all_lines_alike(mark: str) -> None:
    assert detect_delimiter([f"one, two; three{mark}a", f"four{mark}b", f"five, six, seven{mark}a"]) == mark
