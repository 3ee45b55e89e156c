"""The verdict says better only when it is, in plain words, and counts how often the test was used."""

import json
import multiprocessing
from types import SimpleNamespace

import numpy as np
import pytest

from tunewright.core import catalog
from tunewright.core.contracts import Measures
from tunewright.core.errors import DataError, RecipeError
from tunewright.core.gate import Gate
from tunewright.core.types import Prediction
from tunewright.stages.verdict import count_use, judge

TASK = catalog.create("tasks", "text_classification")
SEVERAL = catalog.create("tasks", {"name": "text_classification", "multi_label": True})
LABELS = ("bad", "good")
GOLD = ["good", "bad"] * 250


def answers(wrong, gold=GOLD):
    """Predictions that are wrong on the rows `wrong`."""
    flip = {"good": "bad", "bad": "good"}
    return [Prediction(flip[label] if row in set(wrong) else label, 0.9) for row, label in enumerate(gold)]


def verdict(tuned, baselines, gold=GOLD, **settings):
    named = {name: answers(wrong, gold) for name, wrong in baselines.items()}
    settings = {"metric": "accuracy", "labels": LABELS, "task": TASK, **settings}
    return judge(gold, answers(tuned, gold), named, **settings)


def test_a_clear_gain_over_every_baseline_is_better_and_says_by_how_much():
    found = verdict(range(20), {"majority": range(250), "linear_probe": range(45), "tfidf": range(60)})
    assert (found.verdict, found.against) == ("better", "linear_probe")
    assert found.gate.passed
    assert found.difference.value == pytest.approx(0.05)
    assert found.sentence["en"] == (
        "Better: accuracy 96.0% on 500 sealed test rows, 5.0 points above the best baseline, linear_probe "
        f"(95% interval {found.difference.low * 100:+.1f} to {found.difference.high * 100:+.1f})."
    )
    assert found.sentence["zh"] == (
        "更好：在 500 条封存的测试数据上，准确率为 96.0%，比最强的基线 linear_probe 高 5.0 个百分点"
        f"（95% 置信区间为 {found.difference.low * 100:+.1f} 至 {found.difference.high * 100:+.1f}）。"
    )


def test_a_small_gain_is_no_measurable_gain():
    found = verdict(range(40), {"tfidf": range(4, 49)})
    assert (found.verdict, found.against) == ("no_gain", "tfidf")
    assert not found.gate.passed
    assert "No measurable gain: accuracy 92.0% on 500 sealed test rows, 1.0 points above" in found.sentence["en"]
    assert found.sentence["en"].endswith("the difference may be chance.")
    assert "没有可测出的提升" in found.sentence["zh"]
    assert found.sentence["zh"].endswith("这一差异可能只是偶然。")


def test_a_clear_loss_against_the_best_baseline_is_worse_even_if_another_is_beaten():
    found = verdict(range(80), {"majority": range(250), "tfidf": range(30)})
    assert (found.verdict, found.against) == ("worse", "tfidf")
    assert "10.0 points below the best baseline, tfidf" in found.sentence["en"]
    assert "比最强的基线 tfidf 低 10.0 个百分点" in found.sentence["zh"]


def test_equal_answers_are_called_equal():
    found = verdict(range(40), {"tfidf": range(40)})
    assert found.verdict == "no_gain"
    assert "accuracy 92.0% on 500 sealed test rows, equal to the best baseline, tfidf" in found.sentence["en"]
    assert "与最强的基线 tfidf 持平" in found.sentence["zh"]


@pytest.mark.parametrize("rows", [1, 3, 5])
def test_a_handful_of_rows_can_never_show_a_gain(rows):
    found = verdict([], {"tfidf": range(rows)}, gold=GOLD[:rows])
    assert found.verdict == "no_gain"
    assert f"fare differently on only {rows} of the rows, and at least 6 are needed to tell" in found.sentence["en"]
    assert "至少要 6 条才能判断" in found.sentence["zh"]
    assert ("1 sealed test row," in found.sentence["en"]) == (rows == 1)


def test_a_handful_of_rows_can_never_show_a_loss_either():
    assert verdict(range(4), {"tfidf": []}, gold=GOLD[:4]).verdict == "no_gain"


def test_one_baseline_that_is_not_beaten_for_sure_withholds_the_verdict():
    # "steady" is the stronger one and clearly beaten; "noisy" is a point weaker, but differs on a great many rows.
    noisy = [*range(200, 330)]
    found = verdict(range(100), {"steady": [*range(120)], "noisy": noisy})
    assert found.differences["steady"].low > 0 >= found.differences["noisy"].low
    assert (found.verdict, found.against) == ("no_gain", "noisy")
    assert "the baseline noisy" in found.sentence["en"]
    assert "比基线 noisy 高" in found.sentence["zh"]


def test_without_a_baseline_there_is_no_gain_to_measure():
    found = verdict(range(20), {})
    assert (found.verdict, found.against, found.difference) == ("no_gain", None, None)
    assert found.sentence["en"] == (
        "No measurable gain: accuracy 96.0% on 500 sealed test rows, and no baseline to compare with."
    )
    assert "没有可供比较的基线" in found.sentence["zh"]


def test_a_test_split_that_was_used_before_is_said_to_be():
    found = verdict(range(20), {"tfidf": range(60)}, test_uses=3)
    assert found.sentence["en"].endswith(
        "This test split has now been used 3 times; each use makes a lucky result more likely."
    )
    assert "已使用 3 次" in found.sentence["zh"]


def test_the_verdict_can_be_decided_again_from_its_json():
    found = verdict(range(20), {"tfidf": range(60)})
    stored = json.loads(json.dumps(found.to_dict()))
    assert stored["difference"].keys() == {"metric", "value", "low", "high"}
    assert Gate.from_dict({"name": "verdict", "checks": stored["checks"]}).recompute().passed
    stored["checks"][1]["value"] = -0.01
    assert not Gate.from_dict({"name": "verdict", "checks": stored["checks"]}).recompute().passed


def test_the_same_seed_gives_the_same_verdict():
    worlds = [verdict(range(20), {"tfidf": range(45)}, seed=5, metric="macro_f1").to_dict() for _ in range(2)]
    assert worlds[0] == worlds[1]
    assert "macro F1" in worlds[0]["sentence"]["en"]
    assert "宏平均 F1 为" in worlds[0]["sentence"]["zh"]


def test_of_models_as_good_as_two_baselines_at_most_one_in_twenty_is_better():
    rng = np.random.default_rng(8)
    better = 0
    for seed in range(200):
        wrong = [np.flatnonzero(rng.random(500) < 0.15) for _ in range(3)]
        better += verdict(wrong[0], {"a": wrong[1], "b": wrong[2]}, resamples=300, seed=seed).verdict == "better"
    assert better <= 10


def test_several_labels_are_compared_by_their_sets():
    gold = [("bad", "good"), ()] * 100
    right = [Prediction(label, 0.9) for label in gold]
    half = [Prediction(("bad",), 0.9)] * 200
    found = judge(gold, right, {"majority": half}, "micro_f1", LABELS, SEVERAL)
    assert (found.verdict, found.intervals["tuned"].value) == ("better", 1.0)


def test_rows_without_gold_label_are_left_out_and_none_at_all_is_an_error():
    assert verdict_of_partly_labelled().rows == 499
    with pytest.raises(DataError, match="no labelled row"):
        judge([None], [Prediction("good", 0.9)], {}, "accuracy", LABELS, TASK)


def verdict_of_partly_labelled():
    return judge([None, *GOLD[1:]], answers([]), {"tfidf": answers(range(90))}, "accuracy", LABELS, TASK)


class Odd(Measures):
    """Measures whose accuracy is not the usual one: the share of wrong answers."""

    def metrics(self, gold, predictions, labels):
        wrong = [said.value != true for true, said in zip(gold, predictions, strict=True)]
        return {"n": len(gold), "accuracy": sum(wrong) / len(wrong)}


def test_a_task_s_own_measure_is_used_where_it_differs_from_the_usual_one():
    found = verdict(range(20), {"tfidf": range(120)}, task=SimpleNamespace(measures=Odd()), resamples=200)
    assert found.verdict == "worse"
    assert found.difference.value == pytest.approx(-0.2)


@pytest.mark.parametrize("metric", ["acuracy", "ece", "n", "per_class"])
def test_a_metric_that_cannot_decide_is_refused_with_those_that_can(metric):
    with pytest.raises(RecipeError, match=r"cannot be judged.*Choose one of accuracy, macro_f1, micro_f1, mcc"):
        verdict([1], {}, metric=metric)


# How often a sealed test was used


def _count(path):
    for _ in range(10):
        count_use(path, "print")


def test_uses_are_counted_for_each_test_split_apart(tmp_path):
    registry = tmp_path / "runs" / "sealed.json"
    assert [count_use(registry, "one"), count_use(registry, "one"), count_use(registry, "two")] == [1, 2, 1]


def test_no_use_is_lost_when_several_runs_count_at_once(tmp_path):
    registry = tmp_path / "sealed.json"
    processes = [multiprocessing.get_context("fork").Process(target=_count, args=(registry,)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert count_use(registry, "print") == 41


@pytest.mark.parametrize("text", ["{broken", "[]", '{"uses": {"a": "many"}}'])
def test_a_damaged_registry_is_not_silently_counted_anew(tmp_path, text):
    registry = tmp_path / "sealed.json"
    registry.write_text(text)
    with pytest.raises(DataError, match=r"sealed\.json counts the uses .* cannot be read .*delete it to start"):
        count_use(registry, "print")
    assert registry.read_text() == text
