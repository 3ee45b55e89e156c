"""A bundle measured on labelled rows: metrics, intervals, slices, noise, subgroups."""

import json
import shutil

import numpy as np
import pytest

from tunewright.core.bundle import open_bundle
from tunewright.core.errors import DataError, LabelError
from tunewright.core.files import read_json
from tunewright.core.types import Example, Prediction
from tunewright.predict.infer import Inferred
from tunewright.predict.predictor import Predictor
from tunewright.stages import bias, noise
from tunewright.stages.evaluate import Judged, evaluate, labelled


@pytest.fixture(scope="module")
def bundle(tiny_bundle, tmp_path_factory):
    """A copy without a run around it, so that nothing counts as the use of a sealed split."""
    return open_bundle(shutil.copytree(tiny_bundle, tmp_path_factory.mktemp("alone") / "deep" / "bundle"))


def measured(bundle, source, columns=None, **settings):
    trained = bundle.recipe.data.columns
    with labelled(source, bundle.task, bundle.labels, columns=columns, trained=trained) as dataset:
        return evaluate(Predictor(bundle), dataset, **settings)


def test_evaluating_the_test_rows_gives_what_the_runs_report_says(bundle, tiny_run, intents_csv):
    found, _ = measured(bundle, intents_csv.test)
    report = read_json(tiny_run / "report.json")
    assert found.n == 36
    for name in ("accuracy", "macro_f1", "mcc", "ece"):
        assert found.metrics[name] == pytest.approx(report["results"]["tuned"][name])
    assert json.loads(json.dumps(found.slices["length"])) == report["slices"]["length"]
    assert found.intervals["accuracy"]["value"] == report["results"]["intervals"]["tuned"]["value"]


def test_every_metric_lies_in_its_interval(bundle, intents_csv):
    found, _ = measured(bundle, intents_csv.test)
    assert set(found.intervals) == {"accuracy", "macro_f1", "micro_f1", "mcc"}
    for part in found.intervals.values():
        assert part["low"] <= part["value"] <= part["high"]
        assert part["low"] < part["high"]


def test_slices_by_column_hold_every_row_once(bundle, intents_csv):
    found, _ = measured(bundle, intents_csv.test, slices=["language"])
    assert {part["slice"] for part in found.slices["language"]} == {"en", "zh"}
    assert sum(part["n"] for part in found.slices["language"]) == found.n


def test_a_slice_without_a_column_is_refused(bundle, intents_csv):
    with pytest.raises(
        DataError, match=r"cannot be sliced by 'langage'. Did you mean 'language'\? Give --slice one of length"
    ):
        measured(bundle, intents_csv.test, slices=["langage"])


def test_rows_that_cannot_be_judged_are_counted(bundle, tmp_path):
    (tmp_path / "rows.csv").write_text("tag,content\ncard,i lost my card\n,no label\nmusic,\nmusic,play music\n")
    found, _ = measured(bundle, tmp_path / "rows.csv", {"text": "content", "label": "tag"})
    assert (found.n, found.dropped) == (2, {"empty_label": 1, "empty_text": 1})


def test_a_label_the_model_does_not_know_is_refused(bundle, tmp_path):
    (tmp_path / "rows.csv").write_text("text,label\ni lost my card,card\nrain or sun,wether\nrain,wether\n")
    with pytest.raises(LabelError) as error:
        measured(bundle, tmp_path / "rows.csv")
    assert (
        "1 label that the model does not know: 'wether' (2 rows, first at rows.csv:3). Did you mean 'weather'?"
        in str(error.value)
    )
    assert "train again with rows of that label. Known labels: card, music, weather." in str(error.value)


def test_rows_without_labels_are_refused(bundle, tmp_path):
    (tmp_path / "rows.csv").write_text("text,id\ni lost my card,1\nplay music,2\n")
    with pytest.raises(
        DataError, match=r"no column that could be 'label'. Its columns: text, id. Choose one with --column label"
    ):
        measured(bundle, tmp_path / "rows.csv")


def test_looking_at_a_sealed_test_again_is_counted(tiny_run, intents_csv, tmp_path):
    runs = tmp_path / "runs"
    shutil.copytree(tiny_run, runs / "intents")
    shutil.copy(tiny_run.parent / "sealed.json", runs / "sealed.json")
    before = next(iter(read_json(runs / "sealed.json")["uses"].values()))
    bundle = open_bundle(runs / "intents")
    assert measured(bundle, intents_csv.test)[0].test_uses == before + 1
    assert measured(bundle, intents_csv.test)[0].test_uses == before + 2
    assert measured(bundle, intents_csv.train)[0].test_uses is None


def test_what_a_policy_accepts_is_measured(bundle, intents_csv):
    import dataclasses

    from tunewright.core.types import Policy

    careful = dataclasses.replace(bundle, policy=Policy(accept=0.9))
    found, judged = measured(careful, intents_csv.test)
    answered = [prediction.decision == "model" for prediction in judged.predictions]
    assert found.accepted["coverage"] == pytest.approx(np.mean(answered))
    assert measured(bundle, intents_csv.test)[0].accepted is None


# ------------------------------------------------------------------------------------------------------------- noise


@pytest.mark.parametrize("text", ["please help me find my lost card today", "请帮我找到我丢失的银行卡，谢谢你们"])
def test_noise_changes_a_little(text):
    made = {noisy.__name__: noisy(text, np.random.default_rng(1)) for noisy in noise.NOISES}
    assert all(made[name] != text for name in ("typos", "spaces"))
    assert 0 < abs(len(made["spaces"]) - len(text)) < len(text) / 2
    assert abs(len(made["typos"]) - len(text)) <= 4
    assert made["spaces"].replace(" ", "") == text.replace(" ", "")
    assert made["case"].lower() == text.lower()


def test_width_goes_both_ways():
    assert noise.width("AB 12，ＡＢ卡", None) == "ＡＢ １２,AB卡"


def test_a_word_is_never_lost_to_a_typo():
    for seed in range(50):
        words = noise.typos("abcd efgh", np.random.default_rng(seed)).split()
        assert len(words) == 2 and all(3 <= len(word) <= 5 for word in words)


def test_robustness_says_what_each_noise_costs(bundle, intents_csv):
    _, judged = measured(bundle, intents_csv.test)
    found = noise.measure(Predictor(bundle), judged)
    assert list(found) == ["typos", "case", "width", "spaces"]
    assert found["case"]["value"] == 0 and found["case"]["flips"] == 0, "the backbone lower-cases"
    for part in found.values():
        assert part["low"] <= part["value"] <= part["high"]
        assert 0 < part["changed"] <= 1
    assert noise.measure(Predictor(bundle), judged) == found, "the same noise each time"


# -------------------------------------------------------------------------------------------------------------- bias


def subgroup_rows(bundle):
    """40 rows that mention women, half of them wrongly called music; 60 that do not, all right."""
    examples, predictions = [], []
    for row in range(100):
        about = row < 40
        gold = "card"
        said = "music" if about and row % 2 else gold
        text = ("Women ask for a card" if row % 4 else "WOMEN, a card!") if about else "womens is another word; a card"
        examples.append(Inferred(Example(f"r:{row}", {"text": text}, gold), [], np.zeros(3)))
        predictions.append(Prediction(said, 0.9))
    return Judged(examples, predictions)


def test_bias_holds_rows_with_a_term_against_those_with_none(bundle):
    found = bias.measure(bundle, subgroup_rows(bundle), ["women", "mars"])
    (part,) = found["terms"]
    assert (found["background"]["n"], found["background"]["value"], found["absent"]) == (60, 1.0, ["mars"])
    assert (part["term"], part["n"], part["value"]) == ("women", 40, 0.5)
    assert part["difference"]["value"] == -0.5 and part["difference"]["high"] < 0
    rates = part["rates"]
    assert (rates["card"]["false_negative_rate"], rates["card"]["background_false_negative_rate"]) == (0.5, 0.0)
    assert rates["music"]["false_positive_rate"] == 0.5
    assert rates["music"]["false_negative_rate"] is None, "no row is truly music"
    assert abs(part["largest_gap"]["value"] - part["largest_gap"]["background"]) == 0.5


def test_a_chinese_term_is_found_inside_a_text(bundle):
    rows = [
        Inferred(Example(f"r:{i}", {"text": text}, "card"), [], np.zeros(3))
        for i, text in enumerate(["那位女性的卡", "卡"])
    ]
    found = bias.measure(bundle, Judged(rows, [Prediction("card", 0.9)] * 2), ["女性"])
    assert found["terms"][0]["n"] == 1


def test_terms_are_read_one_a_line(tmp_path):
    (tmp_path / "terms.txt").write_bytes("# groups\n女性\n\n 男人 \n女性\n".encode("gb18030"))
    assert bias.read_terms(tmp_path / "terms.txt") == ("女性", "男人")


def test_a_file_without_terms_is_refused(tmp_path):
    (tmp_path / "terms.txt").write_text("# nothing\n")
    with pytest.raises(DataError, match=r"holds no terms. Write one a line"):
        bias.read_terms(tmp_path / "terms.txt")
    with pytest.raises(DataError, match=r"There is no file or folder .*Did you mean .*terms.txt"):
        bias.read_terms(tmp_path / "term.txt")


def test_terms_that_every_row_mentions_are_refused(bundle):
    with pytest.raises(DataError, match="Every row mentions one of the terms"):
        bias.measure(bundle, subgroup_rows(bundle), ["card"])


def test_progress_is_told_as_rows_get_done(bundle, intents_csv, monkeypatch):
    import contextlib

    from tunewright.core.progress import Silent

    told = []

    class Told(Silent):
        @contextlib.contextmanager
        def task(self, title, total=None):
            yield lambda count: told.append(count) if title == "Evaluating" else None

    monkeypatch.setattr("tunewright.predict.predictor.CHUNK", 10)
    measured(bundle, intents_csv.test, progress=Told())
    assert told == [10, 10, 10, 6]
