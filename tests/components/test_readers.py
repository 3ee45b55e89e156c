"""Every reader gives the same rows of the same data, with places, and says what is wrong with broken ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tunewright.components.readers import conll, csv, datasets, folder, hub, jsonl, parquet, text
from tunewright.components.readers import json as json_reader
from tunewright.core.contracts import Row
from tunewright.core.errors import DataError, MachineError

ROWS = [
    {"text": "good food", "label": "pos"},
    {"text": "菜品很好，推荐", "label": "好评"},
    {"text": 'x, "y"', "label": "neg"},
]


def values(rows: list[Row]) -> list[dict]:
    assert not any(row.problem for row in rows)
    return [dict(row.values) for row in rows]


def test_csv_reads_quoted_cells_over_several_lines_and_knows_their_line(tmp_path: Path) -> None:
    source = tmp_path / "a.csv"
    source.write_text('text,label\n"one\ntwo, ""three""",a\nfour,b\n', encoding="utf-8")
    rows = list(csv.Csv().read(str(source)))
    assert [(row.line, row.values["text"]) for row in rows] == [(2, 'one\ntwo, "three"'), (4, "four")]


def test_csv_loses_one_line_to_a_quote_that_is_never_closed(tmp_path: Path) -> None:
    source = tmp_path / "a.csv"
    source.write_text("text,label\n" + 'good,a\n"open,b\n' + "fine,a\n" * 2000)
    rows = list(csv.Csv().read(str(source)))
    assert [(row.line, row.problem) for row in rows if row.problem] == [(3, "a quote that is never closed")]
    assert len(rows) == 2002


def test_csv_says_what_is_wrong_with_a_row(tmp_path: Path) -> None:
    source = tmp_path / "a.csv"
    source.write_bytes(b"text,label\ngood,a\nonly one\na,b,c\nnul\0,a\nbyte\xff,a\n" + b"x" * 1_000_000 + b",a\n")
    problems = [row.problem for row in csv.Csv().read(str(source))]
    assert problems[:3] == ["", "1 columns instead of 2", "3 columns instead of 2"]
    assert problems[3] == "garbled: holds NUL characters"
    assert problems[4].startswith("garbled: bytes that do not decode")
    assert problems[5] == ""


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        ("text,label\nhello there,a\n", ["text", "label"]),
        ("hello there,a\nhow are you,a\n", ["column_1", "column_2"]),
        ("文本,标签\n你好,好\n", ["文本", "标签"]),
        ("q,n\nhello there,1\nhow are you,2\n", ["q", "n"]),
        ("text,text,\na,b,c\n", ["column_1", "column_2", "column_3"]),
    ],
)
def test_csv_tells_a_header_from_a_row(tmp_path: Path, content: str, columns: list[str]) -> None:
    source = tmp_path / "a.csv"
    source.write_text(content, encoding="utf-8")
    assert csv.Csv().describe(str(source))["columns"] == columns


def test_csv_settings_are_followed(tmp_path: Path) -> None:
    source = tmp_path / "a.csv"
    source.write_bytes("text|label\ncafé, bar|a\n".encode("latin-1"))
    reader = csv.Csv(delimiter="|", encoding="latin-1", header=False)
    assert values(list(reader.read(str(source))))[1] == {"column_1": "café, bar", "column_2": "a"}
    with pytest.raises(DataError, match="not a single character"):
        csv.Csv(delimiter="||", encoding="latin-1").describe(str(source))


def test_quotes_in_tab_separated_files_may_be_plain_characters(tmp_path: Path) -> None:
    source = tmp_path / "a.tsv"
    source.write_text('text\tlabel\n"hi" she said\ta\nplain\tb\n')
    assert values(list(csv.Csv().read(str(source))))[0]["text"] == '"hi" she said'


def test_jsonl_reads_objects_and_says_which_lines_are_none(tmp_path: Path) -> None:
    source = tmp_path / "a.jsonl"
    lines = [json.dumps(row, ensure_ascii=False) for row in ROWS]
    source.write_text("\n".join([*lines, "", "[1]", '{"text": ', "[" * 100_000]), encoding="utf-8")
    rows = list(jsonl.Jsonl().read(str(source)))
    assert values(rows[:3]) == ROWS
    assert [(row.line, row.problem) for row in rows[3:]] == [
        (5, "not a JSON object"), (6, "not valid JSON at character 10"), (7, "JSON that is nested too deeply"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "document",
    [ROWS, {"data": ROWS}, {name: [row[name] for row in ROWS] for name in ROWS[0]}, {"version": 1, "data": ROWS}],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_json_reads_lists_and_columns(tmp_path: Path, document: object, indent: int | None) -> None:
    source = tmp_path / "a.json"
    source.write_text(json.dumps(document, ensure_ascii=False, indent=indent), encoding="utf-8")
    assert values(list(json_reader.Json().read(str(source)))) == ROWS


def test_json_lists_larger_than_the_window_keep_their_lines(tmp_path: Path) -> None:
    source = tmp_path / "a.json"
    rows = [{"text": "字" * 500, "n": number} for number in range(500)]
    source.write_text("[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]", encoding="utf-8")
    found = list(json_reader.Json().read(str(source)))
    assert values(found) == rows
    assert [row.line for row in found] == list(range(2, 502))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"text": "a"}, {"te', r"a\.json:1 is not valid JSON"),
        ('[{"text": "a"}', "the list does not end"),
        ('{"a": 1}', "neither a list of objects nor columns"),
        ("{", r"a\.json:1 is not valid JSON"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_broken_json_is_an_error_with_its_line(tmp_path: Path, content: str, message: str) -> None:
    source = tmp_path / "a.json"
    source.write_text(content)
    with pytest.raises(DataError, match=message):
        list(json_reader.Json().read(str(source)))


def test_parquet_gives_rows_and_class_names(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow.parquet import write_table

    features = {"info": {"features": {"label": {"_type": "ClassLabel", "names": ["neg", "pos"]}}}}
    table = pa.table({"text": ["a", "b", None], "label": [1, 0, 1]})
    source = str(tmp_path / "a.parquet")
    write_table(table.replace_schema_metadata({"huggingface": json.dumps(features)}), source)
    rows = list(parquet.Parquet(batch_rows=2).read(source))
    assert values(rows) == [
        {"text": "a", "label": "pos"},
        {"text": "b", "label": "neg"},
        {"text": None, "label": "pos"},
    ]
    assert [row.line for row in rows] == [1, 2, 3]


def test_conll_sentences_become_rows_with_text_and_spans(tmp_path: Path) -> None:
    source = tmp_path / "a.conll"
    source.write_text(
        "-DOCSTART- -X- O\n\n# a comment\n"
        "Peter NNP B-PER\nPan NNP I-PER\nflies VBZ O\n\n常 x B-名\n建 x I-名\n良 x O\n\nbad\nrow x O\n",
        encoding="utf-8",
    )
    rows = list(conll.Conll().read(str(source)))
    assert rows[0].line == 4
    assert rows[0].values == {
        "text": "Peter Pan flies", "tokens": ["Peter", "Pan", "flies"], "tags": ["B-PER", "I-PER", "O"],
        "spans": [{"start": 0, "end": 9, "label": "PER"}],
    }  # fmt: skip
    assert rows[1].values["text"] == "常建良"
    assert rows[1].values["spans"] == [{"start": 0, "end": 2, "label": "名"}]
    assert "line 12 has another number of columns" in rows[2].problem


def test_a_tag_that_is_none_costs_its_sentence_and_is_told_with_its_line(tmp_path: Path) -> None:
    source = tmp_path / "a.conll"
    source.write_text("Anna B-PER\nmet PERSON\n\nBob S-PER\n", encoding="utf-8")
    first, second = conll.Conll().read(str(source))
    assert first.problem == "line 2: 'PERSON' is no tag; BIO or BIOES tags are expected"
    assert second.values["spans"] == [{"start": 0, "end": 3, "label": "PER"}]


def test_text_gives_a_row_a_line(tmp_path: Path) -> None:
    source = tmp_path / "a.txt"
    source.write_bytes("first\n\n第二行\n".encode() + b"bad \xff\n")
    rows = list(text.Text().read(str(source)))
    assert [(row.line, row.values["text"]) for row in rows[:3]] == [(1, "first"), (2, ""), (3, "第二行")]
    assert rows[3].problem.startswith("garbled") and len(rows) == 4


def test_folders_are_labels_and_each_file_has_its_own_encoding(tmp_path: Path) -> None:
    for label, name, content in (
        ("好", "1.txt", "很好的服务".encode("gb18030") * 3),
        ("bad", "1.txt", b"so so"),
        ("bad", "x.png", b"\x89PNG"),
    ):
        (tmp_path / label).mkdir(exist_ok=True)
        (tmp_path / label / name).write_bytes(content)
    rows = list(folder.Folder().read(str(tmp_path)))
    assert [(row.file, row.values.get("text")) for row in rows] == [
        ("bad/1.txt", "so so"), ("bad/x.png", None), ("好/1.txt", "很好的服务" * 3),
    ]  # fmt: skip
    assert rows[1].values["path"].endswith("x.png")


def test_folders_of_splits_are_found(tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / split / "a").mkdir(parents=True)
        (tmp_path / split / "a" / "1.txt").write_text(split)
    assert folder.Folder().describe(str(tmp_path))["splits"] == {
        "train": str(tmp_path / "train"),
        "test": str(tmp_path / "test"),
    }
    assert [row.values["text"] for row in folder.Folder().read(str(tmp_path))] == ["train"]


def test_a_saved_data_set_is_read_without_its_library(tmp_path: Path) -> None:
    library = pytest.importorskip("datasets")
    features = library.Features({"text": library.Value("string"), "label": library.ClassLabel(names=["neg", "pos"])})
    made = library.Dataset.from_dict({"text": ["a", "b"], "label": [1, 0]}, features=features)
    library.DatasetDict({"train": made, "test": made.select([0])}).save_to_disk(str(tmp_path / "saved"))
    reader = datasets.Datasets()
    source = str(tmp_path / "saved")
    assert reader.recognises(source)
    assert values(list(reader.read(source))) == [{"text": "a", "label": "pos"}, {"text": "b", "label": "neg"}]
    assert reader.describe(source)["splits"]["test"] == str(tmp_path / "saved" / "test")
    assert len(list(reader.read(str(tmp_path / "saved" / "test")))) == 1


@pytest.mark.parametrize(
    ("source", "known"), [("name/repo", True), ("name/repo@test", True), ("dat/train.csv", False), ("name", False)]
)
def test_only_what_looks_like_an_id_is_one(source: str, known: bool) -> None:
    assert hub.Hub().recognises(source) is known


def test_what_begins_with_an_existing_folder_is_no_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    assert not hub.Hub().recognises("data/train")


def test_a_hub_that_does_not_answer_is_one_clear_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr(hub, "_package", lambda: None)
    monkeypatch.setattr(hub, "_answers", lambda name, timeout: OSError("no network"))
    with pytest.raises(DataError, match="'name/repo' is no file or folder here, and the hub did not give"):
        list(hub.Hub().read("name/repo"))


def test_without_the_library_the_hub_reader_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(MachineError, match=r"pip install 'tunewright\[datasets\]'"):
        list(hub.Hub().read("name/repo"))


def test_csv_tells_columns_of_one_name_apart(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,text_3,text,label\na,b,c,d\n")
    assert csv._unique(["text_3", "text", "text"]) == ("text_3", "text", "text_3_3")


def test_json_behind_the_end_of_a_list_is_an_error_rather_than_lost(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"text": "a"}]\n[{"text": "b"}]\n')
    with pytest.raises(DataError, match=r"a\.json:2: something stands behind the list's end\. Join it to the list"):
        list(json_reader.Json().read(str(tmp_path / "a.json")))


def test_a_number_too_long_for_python_is_told_in_plain_words(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(f'[{{"text": {"9" * 5000}}}]')
    with pytest.raises(DataError, match=r"a\.json:1 is not valid JSON: a number has thousands of digits\."):
        list(json_reader.Json().read(str(tmp_path / "a.json")))
