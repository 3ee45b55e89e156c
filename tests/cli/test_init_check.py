"""`tunewright init` and `tunewright check` as they are typed."""

from __future__ import annotations

import json

import pytest

from tunewright.cli.main import _register, app, run
from tunewright.cli.verbs.check import duration
from tunewright.testing.tiny import tiny_backbone


@pytest.fixture(scope="session")
def backbone(tmp_path_factory):
    if not app.registered_commands:
        _register()
    return str(tiny_backbone(tmp_path_factory.mktemp("backbone")))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with English and Chinese rows."""
    monkeypatch.chdir(tmp_path)
    rows = [(f"the film no {i} was {('great', 'awful')[i % 2]}", ("good", "bad")[i % 2]) for i in range(60)]
    (tmp_path / "en.csv").write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    rows = [(f"第{i}部电影非常{('好', '差')[i % 2]}", ("好评", "差评")[i % 2]) for i in range(60)]
    (tmp_path / "zh.csv").write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    return tmp_path


@pytest.mark.parametrize(
    ("data", "language", "labels"), [("en.csv", "en", ["bad", "good"]), ("zh.csv", "zh", ["好评", "差评"])]
)
def test_init_then_check(folder, backbone, capsys, data, language, labels):
    assert run(["init", data, "--json", "--set", f"model.backbone={backbone}", "--set", "train.threads=1"]) == 0
    captured = capsys.readouterr()
    answer = json.loads(captured.out)
    assert answer["recipe"] == "recipe.yaml"
    assert (answer["task"], answer["language"]) == ("text_classification", language)
    assert (sorted(answer["labels"]), answer["backbone"]) == (sorted(labels), backbone)
    assert "Columns: text from 'text', label from 'label'" in captured.err
    assert run(["check", "recipe.yaml", "--json"]) == 0
    captured = capsys.readouterr()
    answer = json.loads(captured.out)
    assert answer["passed"] is True
    assert answer["estimate"]["seconds"] > 0
    assert "Next: tunewright train recipe.yaml" in captured.err
    assert sorted(path.name for path in folder.iterdir()) == ["en.csv", "recipe.yaml", "zh.csv"]


def test_init_ends_with_the_recipe_and_what_to_do_next(folder, backbone, capsys):
    assert run(["init", "en.csv", "--out", "my.yaml", "--set", f"model.backbone={backbone}"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "my.yaml\n"
    assert captured.err.endswith("Wrote my.yaml. Next: tunewright check my.yaml, then tunewright train my.yaml\n")


def test_the_next_command_keeps_what_was_set(folder, backbone, capsys):
    assert run(["init", "en.csv", "-q", "--set", f"model.backbone={backbone}"]) == 0
    changes = ["--set", "train.epochs=1", "--set", "evaluate.slices=[length]"]
    capsys.readouterr()
    assert run(["check", "recipe.yaml", *changes]) == 0
    said = capsys.readouterr().err
    assert said.endswith("Next: tunewright train recipe.yaml --set train.epochs=1 --set 'evaluate.slices=[length]'\n")
    assert " MiB free now" in said


def test_quiet_leaves_the_result_alone(folder, backbone, capsys):
    assert run(["init", "en.csv", "-q", "--set", f"model.backbone={backbone}"]) == 0
    assert capsys.readouterr() == ("recipe.yaml\n", "")
    assert run(["check", "recipe.yaml", "-q"]) == 0
    assert capsys.readouterr() == ("passed\n", "")


def test_check_refuses_with_exit_2(folder, backbone, capsys):
    with open(folder / "en.csv", "a") as file:
        file.write("the very same film,good\nThe very same film.,bad\n")
    assert run(["init", "en.csv", "-q", "--set", f"model.backbone={backbone}"]) == 0
    capsys.readouterr()
    changes = ("data.refuse=[conflicts]", "data.leakage=keep", "train.threads=1")
    assert run(["check", "recipe.yaml", *(word for change in changes for word in ("--set", change))]) == 2
    captured = capsys.readouterr()
    assert captured.out == "refused\n"
    assert "refused" in captured.err
    assert "Refused: data.refuse names conflicts, and the data has it." in captured.err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "There is no file or folder"),
        (b"", "data.csv is empty: it holds no rows."),
        (b"text,label\n" + b"".join(b"so it is %d,a\n" % i for i in range(9)), "has one label only ('a')"),
        (b"text,label\none,a\ntwo,b\nthree,c\n", "has one row per label"),
        (b"text,label\n" + b"".join(b"so it is %d,\n" % i for i in range(9)), "has no labels"),
        (bytes(range(256)) * 64, "data.csv is not a text file (it looks like binary data)"),
    ],
)
def test_data_that_makes_no_recipe_ends_with_exit_3(folder, backbone, capsys, content, message):
    if content is not None:
        (folder / "data.csv").write_bytes(content)
    before = sorted(folder.iterdir())
    assert run(["init", "data.csv", "--set", f"model.backbone={backbone}"]) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert "Traceback" not in captured.err
    assert sorted(folder.iterdir()) == before


def test_init_leaves_an_existing_recipe(folder, backbone, capsys):
    (folder / "recipe.yaml").write_text("mine")
    assert run(["init", "en.csv", "--json"]) == 3
    captured = capsys.readouterr()
    assert json.loads(captured.out)["exit"] == 3
    assert "recipe.yaml exists already and stays as it is. Choose another --out, or --force" in captured.err
    assert (folder / "recipe.yaml").read_text() == "mine"


def test_a_file_that_is_not_there_is_said_before_a_recipe_that_is(folder, capsys):
    (folder / "recipe.yaml").write_text("mine")
    assert run(["init", "en.cvs"]) == 3
    said = capsys.readouterr().err
    assert "There is no file or folder" in said and "en.csv'?" in said


@pytest.mark.parametrize("verb", ["check", "train"])
def test_an_unknown_finding_in_a_recipe_ends_with_exit_3(folder, backbone, capsys, verb):
    run(["init", "en.csv", "-q", "--set", f"model.backbone={backbone}"])
    capsys.readouterr()
    assert run([verb, "recipe.yaml", "--set", "data.refuse=[leakge]"]) == 3
    captured = capsys.readouterr()
    assert "--set data.refuse: data.refuse is ['leakge']" in captured.err
    assert "Did you mean 'leakage'?" in captured.err
    assert not (folder / "runs").exists()


def test_check_of_no_recipe_says_how_to_get_one(folder, backbone, capsys):
    assert run(["check", "recipe.yaml"]) == 3
    assert "`tunewright init DATA --out recipe.yaml` writes one." in capsys.readouterr().err


def test_times_are_said_as_people_do():
    assert [duration(seconds) for seconds in (0.2, 40, 600, 7200)] == ["0 s", "40 s", "10 min", "2.0 h"]
