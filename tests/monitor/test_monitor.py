"""What a bundle keeps of its validation answers, and what the verb says of rows held against that."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from tunewright.core import catalog
from tunewright.core.bundle import open_bundle, seal
from tunewright.core.contracts import Traffic
from tunewright.core.drift import limit_of_each
from tunewright.core.files import read_json, write_json
from tunewright.monitor import accuracy
from tunewright.monitor.reference import VERSION, Reference, of_bundle
from tunewright.monitor.watching import FEWEST, Watching
from tunewright.monitor.windows import Monitor


def test_a_new_bundle_says_what_is_usual_without_holding_any_text(watched):
    stored = read_json(watched.bundle / "reference.json")
    assert {one["name"] for one in stored["signals"]} == set(catalog.names("signals"))
    assert stored["accuracy"]["rows"] == stored["rows"] == 460  # validation and test
    written = (watched.bundle / "reference.json").read_text("utf-8")
    texts = [line.partition(",")[0] for line in watched.validation.read_text("utf-8").splitlines()[1:]]
    assert not [text for text in texts if text in written]


def test_rows_like_the_usual_ones_pass(command, watched):
    code, out, errors = command("monitor", watched.bundle, watched.same)
    assert (code, out) == (0, "as usual\n"), errors
    assert "Compared with" in errors and "estimated accuracy" in errors


def test_a_third_of_foreign_rows_raises_the_alarm_and_the_gates_exit_code(command, watched):
    code, out, _ = command("monitor", watched.bundle, watched.other, "--json")
    said = json.loads(out)
    assert code == 2 and said["verdict"] == "alarm"
    (window,) = said["windows"]
    assert {"unknown_characters", "wording", "all_together"} <= set(window["alarms"])
    assert window["estimated_accuracy"]["holds"] is False
    assert {"unknown_characters", "wording"} <= set(window["estimated_accuracy"]["doubts"])
    assert all(window["signals"][name]["p"] < window["limit"] for name in window["alarms"] if name in window["signals"])


def test_windows_follow_each_other_and_share_the_level(command, watched):
    _, out, _ = command("monitor", watched.bundle, watched.same, "--window", 60, "--json")
    said = json.loads(out)
    assert [(one["first"], one["rows"]) for one in said["windows"]] == [(0, 60), (60, 60), (120, 60), (180, 60)]
    assert said["left_over"] == 10
    tests = len(said["windows"][0]["signals"]) + 1
    assert said["windows"][0]["limit"] == pytest.approx(limit_of_each(Watching.level / 4, tests))
    assert all(one["estimated_accuracy"]["holds"] for one in said["windows"])


def test_rows_that_are_usual_can_be_named(command, watched, tmp_path):
    bundle = tmp_path / "older"
    shutil.copytree(watched.bundle, bundle)
    opened = open_bundle(bundle)
    write_json(bundle / "reference.json", {"rows": 12, "language": "en"})
    seal(bundle, task=opened.task, labels=opened.labels, policy=opened.policy, backbone="tiny")
    code, _, errors = command("monitor", bundle, watched.same)
    assert code == 3 and "--reference validation.csv" in errors
    first = {name: value for name, value in read_json(watched.bundle / "reference.json").items() if name != "version"}
    write_json(bundle / "reference.json", first)  # as bundles had it whose signals kept other sums
    seal(bundle, task=opened.task, labels=opened.labels, policy=opened.policy, backbone="tiny")
    code, _, errors = command("monitor", bundle, watched.same)
    assert code == 3 and "it was made by an earlier version" in errors
    code, out, errors = command("monitor", bundle, watched.same, "--reference", watched.validation, "--json")
    assert code == 0, errors
    own = of_bundle(open_bundle(watched.bundle)).accuracy["accuracy"]  # of validation and test rows
    assert json.loads(out)["usual_rows"] == 400 and json.loads(out)["usual_accuracy"] == pytest.approx(own, abs=0.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "rows.csv"], "There is no bundle nowhere."),
        (["{bundle}", "none.csv"], "none.csv"),
        (["{bundle}", "few.csv"], f"2 rows can be answered: nothing is to be seen in fewer than {FEWEST}."),
        (["{bundle}", "few.csv", "--reference", "few.csv"], f"2 rows can be answered: {FEWEST} at least say what is usual."),
        (["{bundle}", "few.csv", "--window", "10"], "Invalid value for '--window'"),
        (["{bundle}", "few.csv", "--level", "2"], "Invalid value for '--level'"),
        (["{bundle}", "few.csv", "--column", "content"], "few.csv has no column 'content'."),
    ],
)  # fmt: skip
def test_what_cannot_be_watched_is_one_message(command, watched, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "few.csv").write_text("text\nplay a song\ni lost my card\n")
    code, _, errors = command("monitor", *(word.format(bundle=watched.bundle) for word in arguments))
    assert code == 3 and message in errors


def test_a_damaged_reference_is_said(watched, tmp_path):
    from tunewright.core.errors import BundleError
    from tunewright.monitor.reference import from_dict

    for stored in ({"signals": [{"name": "nothing"}]}, {"signals": [3], "accuracy": None, "rows": 1}, {"signals": {}}):
        with pytest.raises(BundleError, match="Restore it"):
            from_dict(stored, tmp_path / "reference.json")


# ------------------------------------------------------------------------------------------------- windows that move


def test_what_a_window_keeps_does_not_grow_with_what_it_has_seen(watched):
    monitor = Monitor(of_bundle(open_bundle(watched.bundle)), Watching(window=100, looks=5))
    looks = [look for seed in range(30) for look in monitor.add(_traffic(70, seed))]
    assert monitor.rows == 2100 and len(looks) == 103  # none at 20 and at 40 rows
    assert [(look.first, look.rows) for look in looks[:5]] == [(0, 60), (0, 80), (0, 100), (20, 100), (40, 100)]  # fmt: skip
    assert len(monitor._panes) == 5 and all(
        isinstance(one, np.ndarray) for pane in monitor._panes for one in pane.sketches
    )


def test_a_look_sees_the_rows_of_its_window_and_no_others(watched):
    usual = of_bundle(open_bundle(watched.bundle))
    long = Monitor(usual, Watching(window=100, looks=5))
    *_, moved = long.add(_traffic(400, 1))
    short = Monitor(usual, Watching(window=100, looks=5))
    *_, fresh = short.add(_traffic(400, 1).part(300, 400))
    assert moved.drifts == fresh.drifts and moved.estimate == fresh.estimate


def _zipf(seed: int, rows: int, kind: int = 0) -> Traffic:
    """Rows of one kind: texts of some words of which the others have few, two labels; of kind 2 alone, one label."""
    random = np.random.default_rng(seed)
    lengths = np.maximum(3, random.lognormal(2.5, 0.5, rows).astype(int))
    words = [random.zipf(1.3, length) % 3000 for length in lengths]
    tokens = [np.where(row % 5 == 3, row + 3000, row) if kind == 1 else row for row in words]
    label = random.uniform(size=rows) < (0.95 if kind == 2 else 0.5)
    logits = np.stack([-1.5 * (2.0 * label - 1), 1.5 * (2.0 * label - 1)], axis=1) + random.normal(size=(rows, 2))
    return Traffic(
        texts=[" ".join(map(str, row)) for row in tokens],
        tokens=tokens,
        lengths=lengths.astype(float),
        outputs=logits,
        names=[(("no", "yes")[int(right > left)],) for left, right in logits],
        scores=1 / (1 + np.exp(-np.abs(logits[:, 1] - logits[:, 0]))),
    )


def _usual(seed: int, rows: int) -> Reference:
    traffic = _zipf(seed, rows)
    signals = (catalog.create("signals", name) for name in catalog.names("signals"))
    right = (np.random.default_rng(seed).uniform(size=rows) < traffic.scores).astype(float)
    return Reference({one: one.learn(traffic) for one in signals}, accuracy.learn(traffic.scores, right), rows)


def _mixed(seed: int, kind: int) -> list[Traffic]:
    """500 rows, 30 in every 100 of which are of another kind, ten at a time."""
    usual, other = _zipf(seed, 350), _zipf(seed + 1, 150, kind)
    return [part for at in range(50) for part in (usual.part(7 * at, 7 * at + 7), other.part(3 * at, 3 * at + 3))]


@pytest.mark.parametrize(("kind", "by"), [(1, "wording"), (2, "given_labels")])
def test_a_third_of_rows_of_another_kind_is_seen_within_500(kind, by):
    for seed in range(5):
        monitor, before = Monitor(_usual(seed, 1500)), 230 + 17 * seed
        assert not [name for look in monitor.add(_zipf(100 + seed, before)) for name in look.alarms]
        looks = [look for part in _mixed(200 + seed, kind) for look in monitor.add(part)]
        assert any(by in look.alarms for look in looks) and looks[-1].first + looks[-1].rows <= before + 500
        assert {bool(look.doubts) for look in looks} == ({True, False} if kind == 1 else {False})


def test_rows_without_a_change_raise_an_alarm_in_few_windows():
    alarms, windows = 0, 0
    for seed in range(8):
        monitor, usual = Monitor(_usual(seed, 600)), _zipf(300 + seed, 2700)
        seen = {(look.first + look.rows - 1) // 450 for look in monitor.add(usual) if look.alarms}
        alarms, windows = alarms + len(seen), windows + 6
    assert windows == 48 and alarms <= 4, alarms


def test_scores_stand_for_the_share_that_was_right_with_scores_like_them():
    random = np.random.default_rng(0)
    scores = random.uniform(0.2, 1, 4000)
    right = (random.uniform(size=4000) < scores**2).astype(float)  # too sure of themselves
    usual = accuracy.learn(scores[:2000], right[:2000])
    found = accuracy.estimate(usual, accuracy.sketch(scores[2000:], usual), 2000)
    assert abs(found.value - right[2000:].mean()) < 0.03 < abs(scores[2000:].mean() - right[2000:].mean())
    assert found.low < right[2000:].mean() < found.high
    unsure = accuracy.estimate(usual, accuracy.sketch(scores[2000:] * 0.6, usual), 2000)
    assert unsure.value < found.value - 0.1 and unsure.p < 1e-6 < found.p
    assert accuracy.learn(scores[:20], right[:20]) is None


def _traffic(rows: int, seed: int) -> Traffic:
    random = np.random.default_rng(seed)
    return Traffic(
        texts=["play music"] * rows,
        tokens=[random.integers(5, 90, 6) for _ in range(rows)],
        lengths=random.integers(2, 12, rows).astype(float),
        outputs=random.normal(size=(rows, 3)),
        names=[("card",)] * rows,
        scores=random.uniform(0.4, 1, rows),
    )


def test_no_signal_is_no_reference():
    assert Reference({}, None, 0).to_dict() == {"version": VERSION, "rows": 0, "signals": [], "accuracy": None}
