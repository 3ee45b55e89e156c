"""Two bundles on the same rows: the paired difference, and every answer that changes."""

import shutil

import pytest

from tunewright.core.bundle import open_bundle
from tunewright.core.errors import BundleError
from tunewright.core.progress import Silent
from tunewright.predict.predictor import load
from tunewright.stages.compare import compare


@pytest.fixture(scope="module")
def weak(tmp_path_factory, train_tiny):
    """A bundle that learned next to nothing: the head starts at random and hardly moves."""
    folder = tmp_path_factory.mktemp("weak") / "run"
    return open_bundle(
        train_tiny(
            folder, train__start="random", train__epochs=0.4, train__learning_rate=1e-6, train__method="linear_probe"
        )
    )


@pytest.fixture(scope="module")
def good(tiny_bundle, tmp_path_factory):
    return open_bundle(shutil.copytree(tiny_bundle, tmp_path_factory.mktemp("alone") / "deep" / "bundle"))


def test_a_bundle_equals_itself(good, intents_csv):
    found = compare(good, good, intents_csv.test)
    assert (found.verdict, found.difference.value, found.flips, found.n) == ("no_gain", 0.0, [], 36)


def test_the_verdict_is_of_b_and_turns_with_the_order(weak, good, intents_csv):
    up, down = compare(weak, good, intents_csv.test), compare(good, weak, intents_csv.test)
    assert (up.verdict, down.verdict) == ("better", "worse")
    assert up.difference.low > 0 > down.difference.high
    assert up.difference.value == pytest.approx(up.metrics["b"]["accuracy"] - up.metrics["a"]["accuracy"])
    assert (up.counts["fixed"], up.counts["broken"]) == (down.counts["broken"], down.counts["fixed"])


def test_every_answer_that_changes_is_listed(weak, good, intents_csv):
    found = compare(weak, good, intents_csv.test)
    texts = [flip["text"] for flip in found.flips]
    a, b = load(weak.folder).predict(texts), load(good.folder).predict(texts)
    for flip, first, second in zip(found.flips, a, b, strict=True):
        assert (flip["a"], flip["b"]) == (first.value, second.value)
        right = (flip["a"] == flip["gold"], flip["b"] == flip["gold"])
        assert flip["kind"] == {(False, True): "fixed", (True, False): "broken", (False, False): "changed"}[right]
        assert flip["id"].startswith("test.csv:")
    gain = found.counts["fixed"] - found.counts["broken"]
    assert found.difference.value == pytest.approx(gain / found.n)


def test_a_bundle_with_more_labels_is_compared_on_all_of_them(good, train_tiny, tmp_path, intents_csv):
    for path, words in zip(intents_csv, ("team new good bad big small fast", "old cold nice"), strict=True):
        lines = path.read_text("utf-8").splitlines()
        lines += [f"win the {word} game {ending},game,en" for word in words.split() for ending in ("", "today", "now")]
        (tmp_path / path.name).write_text("\n".join(lines), encoding="utf-8")
    files = {f"data__{path.stem}": str(tmp_path / path.name) for path in intents_csv}
    more = open_bundle(train_tiny(tmp_path / "run", **files))
    found = compare(good, more, tmp_path / "test.csv")
    assert found.n == 45
    assert "game" in found.metrics["a"]["per_class"]
    assert any(flip["gold"] == "game" and flip["kind"] == "fixed" for flip in found.flips)


def test_bundles_of_different_tasks_are_refused(good, intents_csv):
    import dataclasses

    other = dataclasses.replace(good, task=dataclasses.replace(good.task, multi_label=True))
    said = (
        r"different tasks \(A: text_classification; B: text_classification, several labels a text\): only bundles of the "
        r"same tasks can be compared\."
    )
    with pytest.raises(BundleError, match=said):
        compare(good, other, "no such file")


def test_bundles_of_different_labels_are_refused_before_any_row_is_read(good):
    import dataclasses

    other = dataclasses.replace(good, labels=("card", "food"))
    said = r"different labels \(A: card, music, weather; B: card, food\): only bundles of the same labels can be compared\."
    with pytest.raises(BundleError, match=said):
        compare(good, other, "no such file")


def test_rows_that_one_was_trained_on_are_told(good, weak, intents_csv, tmp_path):
    said = []
    progress = Silent()
    progress.say = said.append
    compare(good, good, intents_csv.test, progress=progress)
    assert said == []
    moved = tmp_path / "moved.csv"
    moved.symlink_to(intents_csv.train)
    compare(weak, good, moved, progress=progress)
    assert said == [
        f"warning: These are rows {name} was trained on: {moved}. Its report judges rows it had not seen."
        for name in "AB"
    ]
