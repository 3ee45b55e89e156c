"""`tunewright compress`: what it prints, writes and refuses."""

import json

import pytest

from tunewright.stages.compression import speed


@pytest.fixture(autouse=True)
def little_measuring(monkeypatch):
    monkeypatch.setattr(speed, "memory", lambda bundle, examples: 1.0)
    monkeypatch.setattr(speed, "ALONE", 12)


@pytest.fixture
def small(tiny_run, tmp_path, command):
    code, out, err = command("compress", tiny_run, "--passes", "shrink-vocabulary,int8", "--max-loss", 1, "--out", tmp_path / "small")  # fmt: skip
    assert code == 0, err
    return tmp_path / "small", out, err


def test_it_says_what_every_pass_came_to_and_where_the_bundle_is(small):
    folder, out, err = small
    assert out.strip() == str(folder)
    assert "Step 1: shrink_vocabulary" in err and "the original" in err and "at most" in err
    assert str(folder / "certificate.json") in err and str(folder / "report.html") in err


def test_other_verbs_take_the_bundle(small, intents_csv, command):
    for verb in ("predict", "evaluate"):
        code, out, err = command(verb, small[0], intents_csv.test, "--quiet")
        assert code == 0 and out, err


def test_json_is_one_object_with_the_promised_keys(tiny_run, tmp_path, command):
    code, out, _ = command(
        "compress", tiny_run, "--passes", "prune_layers+distill", "--set", "distill.epochs=1", "--max-loss", 1, "--out", tmp_path / "out", "--json"
    )  # fmt: skip
    found = json.loads(out)
    assert code == 0 and found["bundle"] == str(tmp_path / "out") and found["verdict"] == "passed"
    assert {"passed", "flips", "max_abs", "speedup", "size_mb"} <= set(found["certificate"])
    assert found["certificate"]["passed"] is True
    assert found["tried"][0]["settings"]["distill"]["epochs"] == 1.0


def test_the_bundle_goes_beside_the_run_unless_said_otherwise(tiny_run, tmp_path, command, monkeypatch):
    import shutil

    run = shutil.copytree(tiny_run, tmp_path / "first")
    code, out, _ = command("compress", run, "--passes", "shrink_vocabulary", "--quiet")
    assert (code, out.strip()) == (0, str(tmp_path / "first-compressed"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--passes", ""), "Name passes with --passes"),
        (("--passes", "prune_layer"), "There is no pass named 'prune_layer'. Did you mean 'prune_layers'?"),
        (("--passes", "prune_ffn", "--set", "prune_ffn.shore=0.5"), "Did you mean 'share'?"),
        (("--passes", "prune_ffn", "--set", "prune_ffn.share=2"), "prune_ffn.share is 2"),
        (("--passes", "prune_ffn", "--set", "distill.epochs=1"), "'distill' is not among --passes prune_ffn"),
        (("--passes", "prune_ffn,"), "--passes 'prune_ffn,': a name is missing"),
    ],
)
def test_what_cannot_be_asked_is_said_with_what_was_meant(tiny_run, tmp_path, command, words, said):
    code, _, err = command("compress", tiny_run, *words, "--out", tmp_path / "out")
    assert code == 3 and said in err, err


def test_a_refusal_ends_with_2_and_says_so_in_json(tiny_run, tmp_path, command, monkeypatch):
    from tunewright.core import catalog

    def apply(self, given, evidence):
        given.model.head.output.weight.data.mul_(-1)
        return given

    monkeypatch.setattr(catalog.find("passes", "prune_ffn"), "apply", apply)
    code, out, err = command("compress", tiny_run, "--passes", "prune_ffn", "--max-loss", 0.01, "--out", tmp_path / "out", "--json")  # fmt: skip
    assert code == 2 and json.loads(out)["exit"] == 2 and "No pass keeps within the budget" in err
    assert not (tmp_path / "out").exists()


def test_of_several_variants_one_is_asked_for(tmp_path, train_tiny, command):
    runs = [
        train_tiny(tmp_path / name, train__method=name, evaluate__baselines=[]) for name in ("lora", "linear_probe")
    ]
    assert command("combine", *runs, "--out", tmp_path / "both")[0] == 0
    code, _, err = command("compress", tmp_path / "both", "--passes", "int8")
    assert code == 3 and "Its variants: lora, linear_probe" in err
