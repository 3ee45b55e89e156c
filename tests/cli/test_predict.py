"""`tunewright predict` as it is typed: files, standard input, bad input."""

import io
import json
import os
import shutil
import subprocess
import sys

import pytest


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.csv").write_text(
        "id,text,label\n1,i lost my card,mine\n2,我要音乐,mine\n3,,mine\n", encoding="utf-8"
    )
    return tmp_path


def stdin(monkeypatch, data: bytes):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_answers_go_to_standard_output_one_object_a_line(folder, tiny_bundle, command):
    code, out, err = command("predict", tiny_bundle, "rows.csv")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [list(row)[:4] for row in rows] == [["id", "text", "input_label", "label"]] * 3
    assert [row["decision"] for row in rows] == ["model", "model", "error"]
    assert "rows.csv: its column 'label' is kept as 'input_label', since the answers have a 'label'." in err
    assert "3 rows in" in err
    assert "1 row could not be answered (decision: error):\n  rows.csv:4: column 'text' is empty" in err


def test_a_runs_folder_stands_for_its_bundle(folder, tiny_run, tiny_bundle, command):
    assert command("predict", tiny_run, "rows.csv")[1] == command("predict", tiny_bundle, "rows.csv")[1]


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv", "sub/out.tsv"])
def test_answers_go_to_a_file(folder, tiny_bundle, command, name):
    code, out, _ = command("predict", tiny_bundle, "rows.csv", "--out", name, "--all-scores")
    assert (code, out.strip()) == (0, name)
    assert len((folder / name).read_text(encoding="utf-8").splitlines()) == (3 if name.endswith("jsonl") else 4)


def test_json_is_one_object_alone(folder, tiny_bundle, command):
    code, out, _ = command("predict", tiny_bundle, "rows.csv", "--json")
    found = json.loads(out)
    assert code == 0
    assert (found["rows"], found["problems"], found["out"]) == (3, 1, None)
    assert found["problem_examples"] == ["rows.csv:4: column 'text' is empty"]
    assert sum(found["labels"].values()) == 2
    assert [row["id"] for row in found["predictions"]] == ["1", "2", "3"]


def test_json_with_a_file_is_the_summary(folder, tiny_bundle, command):
    _, out, _ = command("predict", tiny_bundle, "rows.csv", "--out", "out.jsonl", "--json")
    found = json.loads(out)
    assert (found["rows"], found["out"]) == (3, "out.jsonl")
    assert "predictions" not in found


def test_texts_come_from_standard_input(folder, tiny_bundle, command, monkeypatch):
    stdin(monkeypatch, "i lost my card\n\n我要音乐\n".encode())
    code, out, err = command("predict", tiny_bundle, "-")
    rows = [json.loads(line) for line in out.splitlines()]
    assert list(rows[0]) == ["text", "label", "score", "decision", "truncated_tokens"]
    assert [(row["text"], row["decision"]) for row in rows] == [
        ("i lost my card", "model"), ("", "error"), ("我要音乐", "model")
    ]  # fmt: skip
    assert rows[1]["error"] == "stdin:2: column 'text' is empty"
    assert (code, "Standard input: read as one text a line, encoding 'utf-8'" in err) == (0, True)


def test_objects_come_from_standard_input(folder, tiny_bundle, command, monkeypatch):
    stdin(monkeypatch, b'{"content": "i lost my card", "id": 9}\n')
    code, out, _ = command("predict", tiny_bundle, "-", "--column", "content")
    assert (code, json.loads(out)["id"]) == (0, 9)


def test_strict_stops_at_a_broken_row_and_leaves_no_file(folder, tiny_bundle, command):
    code, _, err = command("predict", tiny_bundle, "rows.csv", "--strict", "--out", "out.csv")
    assert (code, (folder / "out.csv").exists()) == (3, False)
    assert "rows.csv:4: column 'text' is empty. Mend the row, or leave out --strict" in err


def test_quiet_says_nothing(folder, tiny_bundle, command):
    assert command("predict", tiny_bundle, "rows.csv", "--quiet")[2] == ""


def test_a_reader_who_leaves_ends_it_quietly(folder, tiny_bundle):
    (folder / "many.txt").write_text("i lost my card\n" * 9000)
    process = subprocess.Popen(
        [sys.executable, "-m", "tunewright.cli.main", "predict", tiny_bundle, "many.txt"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert json.loads(process.stdout.readline())["text"] == "i lost my card"
    process.stdout.close()
    said = process.stderr.read().decode()
    assert process.wait() == 0
    assert "Traceback" not in said and "BrokenPipe" not in said and "could not" not in said


# ---------------------------------------------------------------------------------------------------------- bad input


def refused(command, *arguments, code=3):
    """What is said, on standard error and, with --json, as one object alone."""
    found, out, err = command(*arguments, "--json")
    assert found == code, err
    assert "Traceback" not in err
    assert json.loads(out)["exit"] == code
    assert json.loads(out)["error"] in err
    return json.loads(out)["error"]


def test_a_bundle_that_was_changed_is_refused(folder, tiny_bundle, command):
    copy = shutil.copytree(tiny_bundle, folder / "bundle")
    weights = copy / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    said = refused(command, "predict", copy, "rows.csv")
    assert said.startswith("bundle" if not copy.is_absolute() else str(copy))
    assert (
        "was changed after it was saved: model/model.safetensors is not what was saved. Train again, or restore" in said
    )


def test_a_folder_that_is_no_bundle_is_refused(folder, command):
    (folder / "other").mkdir()
    assert "other is no bundle: it has no bundle.json." in refused(command, "predict", "other", "rows.csv")
    assert "There is no bundle othr. Did you mean 'other'?" in refused(command, "predict", "othr", "rows.csv")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("row.csv", None, "There is no file or folder 'row.csv'. Did you mean 'rows.csv'?"),
        ("empty.csv", b"", "empty.csv is empty: it holds no rows."),
        ("head.csv", b"text,label\n", "head.csv holds no rows."),
        (
            "image.csv",
            b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 9,
            "image.csv is not a text file (it looks like a PNG image)",
        ),
        (
            "bad.jsonl",
            b"{nonsense\n{more\n",
            "bad.jsonl holds no usable rows. The first one, bad.jsonl:1: not valid JSON at",
        ),
        ("rows.parquet", b"PAR1nonsense", "rows.parquet cannot be read:"),
        ("cut.json", b'[{"text": "a"}', "the list does not end: the file was cut off"),
        ("numbers.csv", b"a,b\n1,2\n3,4\n", "numbers.csv has no column that could be 'text'. Its columns: a, b."),
    ],
)
def test_bad_files_are_refused_in_one_message(folder, tiny_bundle, command, name, content, said):
    if content is not None:
        (folder / name).write_bytes(content)
    assert said in refused(command, "predict", tiny_bundle, name)


def test_bad_words_are_refused_in_one_message(folder, tiny_bundle, command):
    assert "no column 'txt'. Did you mean 'text'?" in refused(
        command, "predict", tiny_bundle, "rows.csv", "--column", "txt"
    )
    assert "are written as .jsonl, .csv or .tsv" in refused(
        command, "predict", tiny_bundle, "rows.csv", "--out", "a.xlsx"
    )
    assert "is the input itself" in refused(command, "predict", tiny_bundle, "rows.csv", "--out", "rows.csv")
    assert "rows.csv/x.csv" in refused(command, "predict", tiny_bundle, "rows.csv", "--out", "rows.csv/x.csv")


def test_an_empty_or_closed_standard_input_is_refused(folder, tiny_bundle, command, monkeypatch):
    stdin(monkeypatch, b"")
    assert "Standard input is empty" in refused(command, "predict", tiny_bundle, "-")
    monkeypatch.setattr(sys, "stdin", None)
    assert "Standard input is closed" in refused(command, "predict", tiny_bundle, "-")


def test_rows_with_nul_bytes_and_broken_bytes_are_kept_as_errors(folder, tiny_bundle, command):
    lines = ["text", *("i lost my card" for _ in range(30)), "nul \0 byte", "broken \udcff byte", "再来一首歌"]
    (folder / "odd.csv").write_bytes("\n".join(lines).encode("utf-8", "surrogateescape"))
    code, out, _ = command("predict", tiny_bundle, "odd.csv", "--json")
    found = json.loads(out)
    assert (code, found["rows"], found["problems"]) == (0, 33, 2)
    assert found["problem_examples"][0] == "odd.csv:32: garbled: holds NUL characters"
    assert found["problem_examples"][1].startswith("odd.csv:33: garbled: bytes that do not decode")
    assert found["predictions"][-1]["label"] in ("card", "music", "weather")


def test_a_disk_that_is_full_is_said(folder, tiny_bundle, command, monkeypatch):
    import errno

    from tunewright.predict import stream

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(stream, "_write_all", full)
    said = refused(command, "predict", tiny_bundle, "rows.csv", "--out", "out.csv")
    assert "Cannot write out.csv: No space left on device. The disk is full" in said
    assert sorted(path.name for path in folder.iterdir()) == ["rows.csv"]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_answers_are_utf_8_in_any_locale(folder, tiny_bundle, encoding):
    process = subprocess.run(
        [sys.executable, "-m", "tunewright.cli.main", "predict", tiny_bundle, "rows.csv"],
        capture_output=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": encoding, "LC_ALL": "C"},
    )
    assert process.returncode == 0, process.stderr.decode()
    assert json.loads(process.stdout.decode("utf-8").splitlines()[1])["text"] == "我要音乐"


def test_a_path_that_is_too_long_is_not_said_to_be_the_output(folder, tiny_bundle, command):
    said = refused(command, "predict", tiny_bundle, "x" * 300, "--out", "a.csv")
    assert said.startswith("Cannot open xxx") and "File name too long. Look at its name and rights" in said


@pytest.mark.parametrize("inputs", [{"text": "a"}, None, 3, [{"text": None}]])
def test_what_is_no_list_of_texts_is_refused(tiny_bundle, inputs):
    import tunewright
    from tunewright.core.errors import DataError

    with pytest.raises(DataError, match=r"predict takes a list of texts|Input 0 must be a text, or a mapping with"):
        tunewright.load(tiny_bundle).predict(inputs)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("predict BUNDLE rows.csv -q >&-", 0, ""),
        ("list --json >&-", 0, ""),
        ("list | true; exit ${PIPESTATUS[0]}", 0, ""),
        ("predict BUNDLE rows.csv -q --json >/dev/full", 3, "Cannot write the output: No space left on device."),
    ],
)
def test_an_output_that_is_closed_or_full_gives_no_traceback(folder, tiny_bundle, words, code, said):
    program = f"{sys.executable} -m tunewright.cli.main {words.replace('BUNDLE', str(tiny_bundle))}"
    process = subprocess.run(
        ["bash", "-c", program], stderr=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    told = process.stderr.decode()
    assert (process.returncode, "Traceback" in told, said in told) == (code, False, True), told


def test_ctrl_c_is_one_word_and_one_object(folder, tiny_bundle, command, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("tunewright.core.bundle.open_bundle", stop)
    assert refused(command, "predict", tiny_bundle, "rows.csv", code=130) == "Stopped."


def test_another_runtime_answers_the_same_rows(folder, tiny_bundle, command, monkeypatch):
    from tunewright.components.runtimes.torch import Torch
    from tunewright.kernels import library

    if library.library() is None:
        pytest.skip(library.about())
    expected = [
        json.loads(line) for line in command("predict", tiny_bundle, "rows.csv", "--runtime", "torch")[1].splitlines()
    ]

    def never(*_):
        raise AssertionError("torch was asked")

    monkeypatch.setattr(Torch, "open", never)
    code, out, _ = command("predict", tiny_bundle, "rows.csv", "--runtime", "native")
    found = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [row["label"] for row in found] == [row["label"] for row in expected]
    assert found[0]["score"] == pytest.approx(expected[0]["score"], abs=0.05)


def test_the_native_runtime_answers_without_torch_and_within_little_memory(folder, tiny_bundle):
    from tunewright.kernels import library

    if library.library() is None:
        pytest.skip(library.about())
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from tunewright.cli import main\n"
        "main._register()\n"
        "code = main.run(['predict', sys.argv[1], 'rows.csv', '--runtime', 'native', '--out', 'answers.jsonl'])\n"
        "lines = Path('/proc/self/status').read_text().splitlines()\n"
        "peak = next(int(line.split()[1]) for line in lines if line.startswith('VmHWM')) / 1024\n"
        "heavy = [name for name in ('torch', 'transformers', 'sklearn', 'scipy', 'pyarrow') if name in sys.modules]\n"
        "print(code, round(peak), heavy)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tiny_bundle)], capture_output=True, text=True, check=True)
    code, mebibytes, heavy = done.stdout.splitlines()[-1].split(maxsplit=2)
    assert (code, heavy.strip()) == ("0", "[]")
    assert int(mebibytes) < 90  # beside the weights, which are next to nothing here


def test_an_unknown_runtime_is_told_with_the_nearest(folder, tiny_bundle, command):
    code, _, err = command("predict", tiny_bundle, "rows.csv", "--runtime", "nativ")
    assert code == 3
    assert "There is no runtime named 'nativ'. Did you mean 'native'?" in err


def test_a_runtime_that_lacks_something_says_what(folder, tiny_bundle, command, monkeypatch):
    from tunewright.components.runtimes.native import Native

    monkeypatch.setattr(
        Native, "lacks", lambda self, bundle: "the kernels: none: this machine has no C++ compiler (g++)"
    )
    code, _, err = command("predict", tiny_bundle, "rows.csv", "--runtime", "native")
    assert code == 3
    assert "The runtime native cannot run this bundle here (the kernels: none: this machine has no C++ compiler" in err
    assert "Take the runtime torch." in err
