"""`tunewright combine`, and the verbs that open what it writes."""

import json

import pytest


@pytest.fixture(scope="module")
def runs(tmp_path_factory, train_tiny):
    folder = tmp_path_factory.mktemp("runs")
    return [train_tiny(folder / name, train__method=name, evaluate__baselines=[]) for name in ("lora", "linear_probe")]


@pytest.fixture
def both(runs, tmp_path, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command("combine", *runs, "--out", "both")[0] == 0
    return tmp_path / "both"


def test_it_says_what_it_wrote(runs, tmp_path, command):
    code, out, err = command("combine", *runs, "--out", tmp_path / "both", "--name", "a", "--name", "意图")
    assert (code, out.strip()) == (0, str(tmp_path / "both"))
    assert "意图" in err and "off by" in err and "MB in all; as single bundles" in err


def test_json_is_one_object(runs, tmp_path, command):
    code, out, _ = command("combine", *runs, "--out", tmp_path / "both", "--default", "lora", "--json")
    found = json.loads(out)
    assert (
        code == 0 and found["bundle"] == str(tmp_path / "both") and list(found["variants"]) == ["lora", "linear_probe"]
    )
    assert found["bytes"] < found["apart"]
    assert {"task", "method", "labels", "bytes", "tensors", "parity", "runtime"} <= set(found["variants"]["lora"])


def test_predict_and_evaluate_take_a_variant(both, runs, intents_csv, command):
    for verb in ("predict", "evaluate"):
        single, *variant = (
            command(verb, *bundle, intents_csv.test, "--quiet")[1]
            for bundle in ((runs[0],), (both, "--variant", "lora"), (both / "variants/lora",))
        )
        assert single and variant == [single, single]


def test_compare_takes_the_folders_of_variants(both, intents_csv, command):
    code, out, err = command("compare", both / "variants/lora", both / "variants/lora", intents_csv.test)
    assert (code, out.strip()) == (0, "no_gain") and "No answer changes." in err


@pytest.mark.parametrize("verb", ["predict", "evaluate"])
def test_without_a_name_the_message_says_which_there_are(both, intents_csv, command, verb):
    code, _, err = command(verb, both, intents_csv.test)
    assert code == 3 and "Its variants: lora, linear_probe. Choose one: --variant lora" in err
    code, _, err = command(verb, both, intents_csv.test, "--variant", "lara")
    assert code == 3 and "Did you mean 'lora'?" in err


def test_compare_says_which_folder_to_name(both, intents_csv, command):
    code, _, err = command("compare", both, both, intents_csv.test)
    assert code == 3 and "or the folder both/variants/lora in place of the bundle" not in err
    assert code == 3 and f"or the folder {both / 'variants/lora'} in place of the bundle" in err
