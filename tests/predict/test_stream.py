"""Every row of a source is answered and written, in order; broken ones stay in their place."""

import csv
import io
import json
import threading

import pytest

from tunewright.core.errors import DataError, UsageError
from tunewright.core.files import sha256
from tunewright.predict import stream as streams
from tunewright.predict.predictor import load
from tunewright.predict.source import open_file, open_stream
from tunewright.predict.stream import Stream, refuse_same_file, write


@pytest.fixture(scope="module")
def predictor(tiny_bundle):
    return load(tiny_bundle)


def answered(predictor, path, **settings):
    made = Stream(predictor, open_file(path), {"text": "text"}, **settings)
    return list(made.rows()), made.tally


def test_the_inputs_columns_stay_in_order_and_the_answer_follows(predictor, tmp_path):
    (tmp_path / "rows.csv").write_text("id,text,note\n7,i lost my card,x\n8,我要音乐,y\n", encoding="utf-8")
    rows, tally = answered(predictor, tmp_path / "rows.csv")
    assert list(rows[0]) == ["id", "text", "note", "label", "score", "decision", "truncated_tokens"]
    assert [(row["id"], row["text"]) for row in rows] == [("7", "i lost my card"), ("8", "我要音乐")]
    assert [row["label"] for row in rows] == [p.value for p in predictor.predict(["i lost my card", "我要音乐"])]
    assert (tally.rows, tally.problems, sum(tally.labels.values())) == (2, 0, 2)


def test_all_scores_are_added_on_request(predictor, tmp_path):
    (tmp_path / "rows.txt").write_text("i lost my card\n")
    rows, _ = answered(predictor, tmp_path / "rows.txt", all_scores=True)
    assert list(rows[0]["scores"]) == ["card", "music", "weather"]
    assert sum(rows[0]["scores"].values()) == pytest.approx(1, abs=1e-5)
    assert rows[0]["score"] == max(rows[0]["scores"].values())


def test_a_column_with_an_answers_name_is_kept_under_another(predictor, tmp_path):
    (tmp_path / "rows.jsonl").write_text(
        '{"label": "mine", "input_label": "other", "text": "i lost my card", "score": 3}\n'
    )
    (row,), _ = answered(predictor, tmp_path / "rows.jsonl")
    assert (row["input_input_label"], row["input_label"], row["input_score"]) == ("mine", "other", 3)
    assert row["label"] in predictor.labels


def test_broken_rows_stay_in_their_place_with_the_reason(predictor, tmp_path):
    lines = [
        '{"text": "i lost my card", "id": 1}',
        '{"text": "  ", "id": 2}',
        "{broken",
        '{"id": 4}',
        '{"text": null, "id": 5}',
        '{"text": "a \\ud800 b", "id": 6}',
        '{"text": "play my music", "id": 7}',
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    rows, tally = answered(predictor, tmp_path / "rows.jsonl")
    assert [row.get("id") for row in rows] == [1, 2, None, 4, 5, 6, 7]
    assert [row["decision"] == "error" for row in rows] == [False, True, True, True, True, True, False]
    assert [row["error"] for row in rows[1:6]] == [
        "rows.jsonl:2: column 'text' is empty",
        "rows.jsonl:3: not valid JSON at character 2",
        "rows.jsonl:4: no column 'text'",
        "rows.jsonl:5: column 'text' is empty",
        "rows.jsonl:6: garbled: column 'text' holds characters that are no Unicode text",
    ]
    assert rows[1]["label"] is None and "error" not in rows[0]
    assert (tally.rows, tally.problems, len(tally.examples)) == (7, 5, 5)


def test_an_empty_line_of_plain_text_is_a_row_that_cannot_be_answered(predictor, tmp_path):
    (tmp_path / "rows.txt").write_text("i lost my card\n\n  \nplay my music\n")
    rows, tally = answered(predictor, tmp_path / "rows.txt")
    assert [row["decision"] for row in rows] == ["model", "error", "error", "model"]
    assert (tally.rows, tally.problems, tally.examples[0]) == (4, 2, "rows.txt:2: column 'text' is empty")


def test_an_empty_text_is_an_error_in_its_place_from_python_too(predictor):
    said = predictor.predict(["i lost my card", "", {"text": " \n"}, "\ud800", "play my music"])
    assert [prediction.decision for prediction in said] == ["model", "error", "error", "error", "model"]
    assert (said[1].value, said[1].score, said[1].scores) == (None, 0.0, {})
    assert said[4].value == predictor.predict(["play my music"])[0].value


def test_strict_stops_at_the_first_broken_row(predictor, tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"text": "a"}\n{"text": ""}\n')
    with pytest.raises(DataError, match=r"rows.jsonl:2: column 'text' is empty. Mend the row, or leave out --strict"):
        answered(predictor, tmp_path / "rows.jsonl", strict=True)


def test_not_one_row_that_can_be_answered_is_an_error(predictor, tmp_path):
    (tmp_path / "rows.csv").write_text("text,id\n,1\n ,2\n")
    with pytest.raises(
        DataError, match=r"None of the 2 rows can be answered. The first one, rows.csv:2: column 'text' is"
    ):
        answered(predictor, tmp_path / "rows.csv")


def test_rows_come_in_chunks_of_few_rows_and_few_characters(predictor, tmp_path, monkeypatch):
    seen = []

    def spy(chunk, predictions):
        seen.append(len(chunk))
        return iter(())

    monkeypatch.setattr("tunewright.predict.predictor.CHUNK", 5)
    monkeypatch.setattr(streams, "CHUNK_CHARACTERS", 100)
    (tmp_path / "rows.txt").write_text("\n".join(["short"] * 12 + ["x" * 90] * 3))
    made = Stream(predictor, open_file(tmp_path / "rows.txt"), {"text": "text"})
    monkeypatch.setattr(made, "_answered", spy)
    list(made.rows())
    assert seen == [5, 5, 3, 2]


def test_answers_do_not_depend_on_the_chunk(predictor, intents_csv, monkeypatch):
    whole, _ = answered(predictor, intents_csv.test)
    monkeypatch.setattr("tunewright.predict.predictor.CHUNK", 7)
    parts, _ = answered(predictor, intents_csv.test)
    assert [row["label"] for row in whole] == [row["label"] for row in parts]
    assert [row["score"] for row in whole] == pytest.approx([row["score"] for row in parts], abs=2e-6)


def test_a_stream_is_answered_while_it_is_still_being_written(predictor, monkeypatch):
    """Rows go out chunk by chunk: nothing waits for the end of an endless input."""
    import os

    monkeypatch.setattr("tunewright.predict.predictor.CHUNK", 50)
    read, written = os.pipe()
    feeder = threading.Thread(target=os.write, args=(written, b"i lost my card\n" * 500))
    feeder.start()
    with open(read, "rb") as pipe:
        made = Stream(predictor, open_stream(pipe), {"text": "text"})
        assert next(made.rows())["label"] in predictor.labels
    feeder.join()
    os.close(written)


def test_a_line_of_a_megabyte_is_answered(predictor, tmp_path):
    (tmp_path / "rows.txt").write_text("i lost my card\n" + "play music " * 100_000 + "\n我要音乐\n")
    rows, tally = answered(predictor, tmp_path / "rows.txt")
    assert (len(rows), tally.problems) == (3, 0)
    assert rows[1]["label"] == "music"


def test_tables_have_the_same_columns_in_every_row(predictor, tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"text": "i lost my card", "tags": ["a", "b"]}\n{"text": "", "late": 1}\n')
    made = Stream(predictor, open_file(tmp_path / "rows.jsonl"), {"text": "text"}, all_scores=True)
    write(made, tmp_path / "out.csv")
    rows = list(csv.DictReader((tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()))
    assert list(rows[0]) == [
        "text", "tags", "late", "label", "score", "decision", "truncated_tokens", "scores", "error"
    ]  # fmt: skip
    assert json.loads(rows[0]["tags"]) == ["a", "b"] and set(json.loads(rows[0]["scores"])) == set(predictor.labels)
    assert (rows[1]["decision"], rows[1]["error"]) == ("error", "rows.jsonl:2: column 'text' is empty")


def test_a_streams_new_column_does_not_fit_into_a_table(predictor, tmp_path):
    lines = b'{"text": "a"}\n' * 200 + b'{"text": "b", "late": 1}\n'
    made = Stream(predictor, open_stream(io.BufferedReader(io.BytesIO(lines))), {"text": "text"})
    with pytest.raises(
        DataError, match=r"A row has the column 'late', which the rows before did not have.*Write .jsonl"
    ):
        write(made, tmp_path / "out.csv")
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_whole_or_not_there(predictor, tmp_path, monkeypatch):
    (tmp_path / "rows.txt").write_text("one\ntwo\n")
    (tmp_path / "out.jsonl").write_text("what stood here\n")
    before = sha256(tmp_path / "out.jsonl")
    made = Stream(predictor, open_file(tmp_path / "rows.txt"), {"text": "text"})
    monkeypatch.setattr(made, "_taken", lambda row: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write(made, tmp_path / "out.jsonl")
    assert sha256(tmp_path / "out.jsonl") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.jsonl", "rows.txt"]


def test_lone_surrogates_and_numbers_that_are_none_become_json(predictor, tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"text": "i lost my card", "note": "\\ud800", "n": NaN}\n')
    write(Stream(predictor, open_file(tmp_path / "rows.jsonl"), {"text": "text"}), tmp_path / "out.jsonl")
    row = json.loads((tmp_path / "out.jsonl").read_text(encoding="utf-8"))
    assert (row["note"], row["n"]) == ("\ud800", None)


def test_another_ending_is_refused(predictor, tmp_path):
    (tmp_path / "rows.txt").write_text("one\n")
    made = Stream(predictor, open_file(tmp_path / "rows.txt"), {"text": "text"})
    with pytest.raises(UsageError, match=r"Answers are written as .jsonl, .csv or .tsv, and .*out.xlsx ends otherwise"):
        write(made, tmp_path / "out.xlsx")


def test_the_input_is_not_overwritten(tmp_path):
    (tmp_path / "rows.csv").write_text("text\n")
    with pytest.raises(UsageError, match=r"is the input itself. Choose another name"):
        refuse_same_file(tmp_path / "rows.csv", tmp_path / "." / "rows.csv")
