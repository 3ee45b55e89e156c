"""Where rows come from: files of every form, and standard input."""

import io
import json

import pytest

from tunewright.components.tasks.text_classification import TextClassification
from tunewright.core.errors import DataError, UsageError
from tunewright.predict.source import choose_columns, open_file, open_stream, parse_columns

TASK = TextClassification()


def stream(data: bytes) -> io.BufferedReader:
    return io.BufferedReader(io.BytesIO(data))


def texts(source, column="text"):
    return [row.values.get(column) for row in source.read()]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.csv", "id,text\n1,你好\n2,hello\n"),
        ("rows.tsv", "id\ttext\n1\t你好\n2\thello\n"),
        ("rows.jsonl", '{"id": 1, "text": "你好"}\n{"id": 2, "text": "hello"}\n'),
        ("rows.json", '[{"id": 1, "text": "你好"}, {"id": 2, "text": "hello"}]'),
        ("rows.txt", "你好\nhello\n"),
    ],
)
def test_rows_of_every_form_are_counted_and_read(tmp_path, name, content):
    (tmp_path / name).write_text(content, encoding="utf-8")
    source = open_file(tmp_path / name)
    assert (source.total, texts(source)) == (2, ["你好", "hello"])
    assert choose_columns(source, TASK)[0] == {"text": "text"}


def test_parquet_is_read(tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({"content": ["你好", "hello"], "n": [1, 2]}), tmp_path / "rows.parquet")
    source = open_file(tmp_path / "rows.parquet")
    assert (source.total, texts(source, "content"), source.columns) == (2, ["你好", "hello"], ("content", "n"))


def test_a_file_that_is_cut_off_is_refused_before_anything_is_answered(tmp_path):
    (tmp_path / "rows.json").write_text('[{"text": "a"}, {"text": "b"}')
    with pytest.raises(DataError, match=r"the list does not end: the file was cut off"):
        open_file(tmp_path / "rows.json")


def test_columns_that_come_late_are_known(tmp_path):
    rows = [{"text": f"row {i}"} for i in range(3000)] + [{"text": "last", "late": 1}]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert open_file(tmp_path / "rows.jsonl").columns == ("text", "late")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_standard_input_is_decoded_as_a_file_would_be(encoding):
    lines = "我的银行卡丢了，请帮助我。\n今天的天气很好，我们出去走走。\n"
    assert texts(open_stream(stream(lines.encode(encoding)))) == lines.split("\n")[:2]


def test_standard_input_holds_texts_or_objects_by_its_first_line():
    assert texts(open_stream(stream(b"\none\n\ntwo\r\nthree\n"))) == ["", "one", "", "two", "three"]
    source = open_stream(stream(b'\n{"text": "one", "id": 7}\nnonsense\n'))
    first, second = source.read()
    assert first.values == {"text": "one", "id": 7}
    assert (second.line, second.problem) == (3, "not valid JSON at character 1")


def test_standard_input_is_read_as_it_comes():
    """More rows than are looked at ahead, and the same ones once each."""
    rows = [f"row {number}" for number in range(1000)]
    assert texts(open_stream(stream("\n".join(rows).encode()))) == rows


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "Standard input is empty: it holds no rows."),
        (b"\n\n  \n", "Standard input is empty: it holds no rows."),
        (b"id,text,label\n1,a,b\n", "looks like a table: its first line names the column 'text'"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4, "Standard input is not a text file"),
    ],
)
def test_standard_input_that_is_no_rows_is_refused(data, message):
    with pytest.raises(DataError, match=message):
        open_stream(stream(data))


def test_a_closed_standard_input_is_refused():
    with pytest.raises(UsageError, match=r"Standard input is closed. Pipe rows into it, or name a file instead"):
        open_stream(None)


def source_of(tmp_path, content):
    (tmp_path / "rows.csv").write_text(content)
    return open_file(tmp_path / "rows.csv")


def test_the_column_is_the_given_one_then_the_trained_one_then_guessed(tmp_path):
    source = source_of(tmp_path, "title,content,text\na title,a longer content,short\n")
    assert choose_columns(source, TASK, {"text": "title"}, {"text": "content"})[0] == {"text": "title"}
    assert choose_columns(source, TASK, {}, {"text": "content", "label": "tag"})[0] == {"text": "content"}
    assert choose_columns(source, TASK, {}, {"text": "absent"})[0] == {"text": "text"}


def test_a_guess_is_said(tmp_path):
    columns, reasons = choose_columns(source_of(tmp_path, "id,satz\n1,ein langer Satz\n2,noch einer davon\n"), TASK)
    assert columns == {"text": "satz"}
    assert reasons[0].startswith("rows.csv: column 'satz' is taken for text: it holds the longest texts")


def test_a_single_column_is_the_text_whatever_it_is_called(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"x": "12"}\n{"x": "13"}\n')
    assert choose_columns(open_file(tmp_path / "rows.jsonl"), TASK)[0] == {"text": "x"}


def test_a_wrong_column_is_refused_with_the_nearest(tmp_path):
    source = source_of(tmp_path, "content,number\nsome text,1\n")
    with pytest.raises(
        DataError, match=r"no column 'contnt'. Did you mean 'content'\? Its columns: content, number. Choose"
    ):
        choose_columns(source, TASK, {"text": "contnt"})


def test_columns_without_a_text_are_refused(tmp_path):
    with pytest.raises(
        DataError, match=r"no column that could be 'text'. Its columns: a, b. Choose one with --column text="
    ):
        choose_columns(source_of(tmp_path, "a,b\n1,2\n3,4\n"), TASK)


def test_a_word_for_a_column_names_role_and_column_or_the_column_alone():
    assert parse_columns(["content"], TASK) == parse_columns(["text=content"], TASK) == {"text": "content"}
    with pytest.raises(UsageError, match="--column takes ROLE=NAME, as --column text=content; got 'text='"):
        parse_columns(["text="], TASK)


def test_a_role_the_task_does_not_have_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"--column names 'txt', and what is needed is text. Did you mean 'text'\?"):
        choose_columns(source_of(tmp_path, "text,n\nhello there,1\n"), TASK, {"txt": "text"})


def test_a_json_list_on_standard_input_is_not_taken_for_a_text():
    with pytest.raises(DataError, match=r"Standard input looks like a JSON list\. `-` takes one text a line"):
        open_stream(io.BytesIO(b'[{"text": "a"}, {"text": "b"}]\n'))
