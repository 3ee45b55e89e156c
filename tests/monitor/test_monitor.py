"""What a bundle keeps of its validation answers, and what the verb says of rows held against that."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from tunewright.core import catalog
from tunewright.core.bundle import open_bundle, seal
from tunewright.core.contracts import Traffic
from tunewright.core.files import read_json, write_json
from tunewright.monitor import accuracy
from tunewright.monitor.reference import Reference, of_bundle
from tunewright.monitor.watching import Watching
from tunewright.monitor.windows import FEWEST, Monitor


def test_a_new_bundle_says_what_is_usual_without_holding_any_text(watched):
    stored = read_json(watched.bundle / "reference.json")
    assert {one["name"] for one in stored["signals"]} == set(catalog.names("signals"))
    assert stored["accuracy"]["rows"] == stored["rows"] > 300
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
    assert {"unknown_characters", "wording"} <= set(window["alarms"])
    assert all(window["signals"][name]["p"] < window["limit"] for name in window["alarms"] if name in window["signals"])


def test_windows_follow_each_other_and_share_the_level(command, watched):
    _, out, _ = command("monitor", watched.bundle, watched.same, "--window", 60, "--json")
    said = json.loads(out)
    assert [(one["first"], one["rows"]) for one in said["windows"]] == [(0, 60), (60, 60), (120, 60), (180, 60)]
    assert said["left_over"] == 10
    tests = len(said["windows"][0]["signals"]) + 1
    assert said["windows"][0]["limit"] == pytest.approx(Watching.level / 4 / tests)


def test_rows_that_are_usual_can_be_named(command, watched, tmp_path):
    bundle = tmp_path / "older"
    shutil.copytree(watched.bundle, bundle)
    opened = open_bundle(bundle)
    write_json(bundle / "reference.json", {"rows": 12, "language": "en"})
    seal(bundle, task=opened.task, labels=opened.labels, policy=opened.policy, backbone="tiny")
    code, _, errors = command("monitor", bundle, watched.same)
    assert code == 3 and "--reference validation.csv" in errors
    code, out, errors = command("monitor", bundle, watched.same, "--reference", watched.validation, "--json")
    assert code == 0, errors
    assert json.loads(out)["usual_accuracy"] == pytest.approx(
        of_bundle(open_bundle(watched.bundle)).accuracy["accuracy"]
    )


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
    assert monitor.rows == 2100 and len(looks) == 105
    assert [(look.first, look.rows) for look in looks[:7]] == [(0, 20), (0, 40), (0, 60), (0, 80), (0, 100), (20, 100), (40, 100)]  # fmt: skip
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
    assert Reference({}, None, 0).to_dict() == {"rows": 0, "signals": [], "accuracy": None}
