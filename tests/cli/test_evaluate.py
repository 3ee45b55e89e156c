"""`tunewright evaluate` as it is typed."""

import json
import re

import pytest


@pytest.fixture
def alone(tiny_bundle, tmp_path):
    """The bundle without its run, so that no sealed split is counted."""
    import shutil

    return shutil.copytree(tiny_bundle, tmp_path / "a" / "b" / "bundle")


def test_json_has_the_promised_keys(alone, intents_csv, command):
    code, out, _ = command("evaluate", alone, intents_csv.test, "--json")
    found = json.loads(out)
    assert code == 0
    assert (found["n"], found["metric"], found["dropped"]) == (36, "accuracy", {})
    assert {"accuracy", "macro_f1", "mcc", "ece", "per_class"} <= set(found["metrics"])
    assert set(found["slices"]) == {"length", "language"}
    assert set(found["intervals"]["accuracy"]) == {"value", "low", "high"}
    assert "robustness" not in found and "bias" not in found


def test_people_read_tables_and_programs_the_metric(alone, intents_csv, command):
    code, out, err = command("evaluate", alone, intents_csv.test)
    assert code == 0
    assert out.startswith("accuracy 0.")
    assert "36 rows judged." in err and "95% interval" in err
    assert "language" in err and "weather" in err
    assert re.search(r"accuracy +(\d\d\.\d%|100\.0%) +\d\d\.\d%?–\d+\.\d%", err), "shares in one format"
    assert "trained on" not in err


def test_quiet_leaves_the_result_alone(alone, intents_csv, command, tmp_path):
    (tmp_path / "terms.txt").write_text("card\n")
    code, out, err = command(
        "evaluate", alone, intents_csv.test, "-q", "--robustness", "--bias", tmp_path / "terms.txt"
    )
    assert (code, err) == (0, "")
    assert out.startswith("accuracy 0.")


def test_rows_it_was_trained_on_are_told(alone, intents_csv, command):
    _, _, err = command("evaluate", alone, intents_csv.train)
    assert (
        f"warning: These are rows it was trained on: {intents_csv.train}. Its report judges rows it had not seen."
        in err
    )


def test_robustness_and_bias_come_on_request(alone, intents_csv, command, tmp_path):
    (tmp_path / "terms.txt").write_text("card\n天气\nmars\n")
    arguments = ("evaluate", alone, intents_csv.test, "--robustness", "--bias", tmp_path / "terms.txt")
    found = json.loads(command(*arguments, "--json")[1])
    assert set(found["robustness"]) == {"typos", "case", "width", "spaces"}
    assert {part["term"] for part in found["bias"]["terms"]} == {"card", "天气"}
    assert found["bias"]["absent"] == ["mars"]
    _, _, err = command(*arguments)
    assert "What noise does to accuracy (in points):" in err
    assert "rows mention none of the terms: accuracy" in err and "In no row: mars." in err


def test_a_second_look_at_the_sealed_test_is_said(tiny_run, intents_csv, command, tmp_path):
    import shutil

    shutil.copytree(tiny_run, tmp_path / "runs" / "intents")
    shutil.copy(tiny_run.parent / "sealed.json", tmp_path / "runs" / "sealed.json")
    _, _, err = command("evaluate", tmp_path / "runs" / "intents", intents_csv.test)
    assert "This is the sealed test split of a run. It has now been used 2 times" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--slice", "langage"), "cannot be sliced by 'langage'. Did you mean 'language'?"),
        (("--column", "label=tag"), "test.csv has no column 'tag'."),
        (("--bias", "absent.txt"), "There is no file or folder 'absent.txt'."),
    ],
)
def test_bad_words_are_refused(alone, intents_csv, command, arguments, said):
    code, out, err = command("evaluate", alone, intents_csv.test, *arguments, "--json")
    assert (code, "Traceback" in err) == (3, False)
    assert said in json.loads(out)["error"]


def test_unlabelled_data_is_refused(alone, command, tmp_path):
    (tmp_path / "rows.csv").write_text("text,label\ni lost my card,\nplay music,\n")
    code, out, _ = command("evaluate", alone, tmp_path / "rows.csv", "--json")
    assert (code, "has no labels" in json.loads(out)["error"]) == (3, True)
