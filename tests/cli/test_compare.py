"""`tunewright compare` as it is typed."""

import json
import shutil

import pytest

from tunewright.cli.verbs.compare import _changes


@pytest.fixture(scope="module")
def bundles(tmp_path_factory, tiny_bundle, train_tiny):
    folder = tmp_path_factory.mktemp("compared")
    weak = train_tiny(folder / "weak", train__start="random", train__epochs=0.4, train__learning_rate=1e-6) / "bundle"
    return weak, shutil.copytree(tiny_bundle, folder / "a" / "b" / "bundle")


def test_json_has_the_promised_keys(bundles, intents_csv, command):
    code, out, _ = command("compare", *bundles, intents_csv.test, "--json")
    found = json.loads(out)
    assert (code, found["verdict"], found["n"]) == (0, "better", 36)
    assert set(found["difference"]) == {"metric", "value", "low", "high"}
    assert found["difference"]["metric"] == "accuracy"
    assert set(found["flips"][0]) == {"id", "text", "gold", "a", "b", "a_score", "b_score", "kind"}
    assert sum(found["counts"].values()) == len(found["flips"])


def test_people_read_the_difference_and_the_flips(bundles, intents_csv, command):
    code, out, err = command("compare", *bundles, intents_csv.test)
    assert (code, out.strip()) == (0, "better")
    assert "B is better than A: +" in err and "points of accuracy (95% interval +" in err
    assert "answers change:" in err and "\nFixed" in err and " → " in err


def test_an_equal_bundle_makes_no_difference(bundles, intents_csv, command):
    code, out, err = command("compare", bundles[1], bundles[1], intents_csv.test)
    assert (code, out.strip()) == (0, "no_gain")
    assert "No measurable difference between A and B: +0.0 points" in err
    assert "A: accuracy " in err and "% on 36 rows" in err
    assert "No answer changes." in err


def test_quiet_leaves_the_result_alone(bundles, intents_csv, command):
    assert command("compare", *bundles, intents_csv.test, "-q") == (0, "better\n", "")


def test_one_answer_changes_and_two_answers_change():
    assert _changes(1, {"fixed": 1, "broken": 0, "changed": 0}).startswith("1 answer changes: 1 fixed, 0 broken")
    assert _changes(2, {"fixed": 1, "broken": 1, "changed": 0}).startswith("2 answers change: 1 fixed, 1 broken")


def test_a_folder_that_is_no_bundle_is_refused(bundles, intents_csv, command, tmp_path):
    code, out, _ = command("compare", bundles[0], tmp_path, intents_csv.test, "--json")
    assert (code, "is no bundle" in json.loads(out)["error"]) == (3, True)
