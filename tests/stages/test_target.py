"""A target is parsed or refused in one message, and the way to it is looked for at the least loss."""

from __future__ import annotations

import dataclasses
import math

import pytest

import tunewright
from tunewright.core.bundle import open_bundle
from tunewright.core.errors import Refused, UsageError
from tunewright.core.files import read_json
from tunewright.core.gate import Gate
from tunewright.stages.compression import compress as stage
from tunewright.stages.compression import hunt as hunt_stage
from tunewright.stages.compression import speed
from tunewright.stages.compression.speed import Speed
from tunewright.stages.compression.step import Costs
from tunewright.stages.compression.target import parse


@pytest.fixture(scope="module")
def run(tmp_path_factory, train_tiny):
    return train_tiny(tmp_path_factory.mktemp("runs") / "good", train__epochs=6, train__start="random")


@pytest.fixture(autouse=True)
def little_measuring(monkeypatch):
    monkeypatch.setattr(speed, "memory", lambda bundle, examples: 1.0)
    monkeypatch.setattr(speed, "ALONE", 12)


@pytest.mark.parametrize(
    ("text", "name", "limit"),
    [
        ("p95<5ms", "p95", 5.0),
        ("p50 <= 0.2 s", "p50", 200.0),
        ("size<20MiB", "size", 20.0),
        ("SIZE<1048.576KB", "size", 1.0),
        ("throughput>2e3", "throughput", 2000.0),
        ("throughput>100rows/s", "throughput", 100.0),
        ("speedup>=10x", "speedup", 10.0),
    ],
)
def test_a_target_is_a_measure_a_limit_and_a_unit(text, name, limit):
    (found,) = parse(text)
    assert (found.name, found.limit) == (name, pytest.approx(limit))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "'' is no target.*Measures: p50"),
        ("p95<", r"'p95<' is no target.*p95<5ms,size<20MB"),
        ("p96<5ms", r"'p96' is not measured. Did you mean 'p95'\?"),
        ("p95<5", "p95 needs a unit. Units: ms"),
        ("p95<5mb", "the unit 'mb' is none of p95"),
        ("size<5MiBs", r"the unit 'MiBs' is none of size. Did you mean 'MiB'\?"),
        ("p95>5ms", "of p95 less is better. Write p95<5ms"),
        ("throughput<5", "of throughput more is better"),
        ("size<0MB", "nothing reaches 'size<0MB'"),
        ("p95<5ms,p95<6ms", "names p95 twice"),
        ("p95<5ms,", "'' is no target"),
    ],
)
def test_what_is_no_target_is_said_in_one_message(text, told):
    with pytest.raises(UsageError, match=told):
        parse(text)


def test_how_far_a_target_is_missed_counts_in_ratios():
    costs = Costs(Speed(p50=1.0, p95=10.0, in_bulk=100.0), size_mb=5.0, speedup=2.0)
    far = [target.short(costs) for target in parse("p95<5ms,size<10MiB,throughput>200,speedup>1")]
    assert far == pytest.approx([0.6931, 0.0, 0.6931, 0.0], abs=1e-4)


def size_of(run) -> float:
    return speed.size(open_bundle(run).folder)


def test_the_chain_that_reaches_a_size_is_found_and_written(run, tmp_path):
    limit = size_of(run) - 0.005
    found = stage.reach(
        open_bundle(run),
        f"size<{limit}MiB",
        tmp_path / "out",
        steps=stage.parse("shrink_vocabulary,prune_ffn", ["shrink_vocabulary.keep=used"]),
        max_loss=1.0,
    )
    assert found.last.size_mb < limit
    report = read_json(found.bundle / "report.json")
    assert [one["name"] for one in report["targets"]] == ["size"] and report["targets"][0]["value"] < limit
    assert found.to_dict()["targets"] == report["targets"]
    assert Gate.from_dict(read_json(found.bundle / "certificate.json")).recompute().passed
    assert len(tunewright.load(found.bundle).predict(["i lost my card"])) == 1
    assert "wanted &lt;" in (found.bundle / "report.html").read_text("utf-8")


def test_of_what_reaches_a_target_the_least_loss_is_taken(run, tmp_path, monkeypatch):
    losses = {"prune_ffn": 0.3, "prune_layers": 0.1, "low_rank": 0.2}
    _measured_as(monkeypatch, {name: (loss, 0.25) for name, loss in losses.items()})
    found = stage.reach(
        open_bundle(run),
        "size<2MiB",
        tmp_path / "out",
        steps=stage.parse("prune_ffn,prune_layers,low_rank"),
        max_loss=1.0,
    )
    assert found.last.name == "prune_layers"
    assert {one.name: one.kept for one in found.tried} == {"prune_ffn": False, "prune_layers": True, "low_rank": False}


def test_steps_that_bring_nothing_nearer_are_not_gone_on_from_and_several_are_joined(run, tmp_path, monkeypatch):
    """prune_ffn alone and low_rank alone are too large, and prune_layers makes nothing smaller; two together reach it."""
    _measured_as(monkeypatch, {"prune_ffn": (0.1, 0.5), "prune_layers": (0.0, 1.0), "low_rank": (0.05, 0.6)}, start=8.0)
    found = stage.reach(
        open_bundle(run),
        "size<3MiB",
        tmp_path / "out",
        steps=stage.parse("prune_ffn,prune_layers,low_rank"),
        max_loss=1.0,
    )
    assert sorted([*found.last.behind, found.last.name]) == ["low_rank", "prune_ffn"]
    assert all("prune_layers" not in one.behind for one in found.tried)


def test_where_nothing_reaches_it_the_message_says_how_near_it_came_and_nothing_is_written(run, tmp_path):
    with pytest.raises(Refused, match=r"Of 1 trials none reaches size<1kB within the budget of 1, .* The nearest, prune_ffn "
                       r"\(accuracy [\d.]+\), came to size [\d.]+ MiB \(wanted < 0\.00\d+\)\. Allow more loss"):  # fmt: skip
        stage.reach(open_bundle(run), "size<1kB", tmp_path / "out", steps=stage.parse("prune_ffn"), max_loss=1.0)
    assert list(tmp_path.iterdir()) == []


def test_what_is_over_the_budget_reaches_no_target(run, tmp_path, monkeypatch):
    _measured_as(monkeypatch, {"prune_ffn": (0.3, 0.1)})
    with pytest.raises(Refused, match="No step keeps within it"):
        stage.reach(open_bundle(run), "size<2MiB", tmp_path / "out", steps=stage.parse("prune_ffn"), max_loss=0.2)


def test_no_more_is_tried_than_was_allowed(run, tmp_path, monkeypatch):
    _measured_as(monkeypatch, {"prune_ffn": (0.0, 0.9), "prune_layers": (0.0, 0.9), "low_rank": (0.0, 0.9)})
    steps = stage.parse("prune_ffn,prune_layers,low_rank")
    with pytest.raises(Refused, match="Of 2 trials none"):
        stage.reach(open_bundle(run), "size<1kB", tmp_path / "out", steps=steps, trials=2, max_loss=1.0)


def test_it_ends_when_no_step_brings_anything_nearer(run, tmp_path, monkeypatch):
    _measured_as(monkeypatch, {"prune_ffn": (0.0, 1.0), "prune_layers": (0.0, 1.0)})
    with pytest.raises(Refused, match="Of 2 trials none"):
        stage.reach(
            open_bundle(run), "size<1kB", tmp_path / "out", steps=stage.parse("prune_ffn,prune_layers"), max_loss=1.0
        )


def test_without_names_every_pass_that_serves_may_be_tried_and_what_prunes_is_mended(run):
    from tunewright.stages.compression.rewrite import opened

    steps = hunt_stage.steps_worth_trying(opened(open_bundle(run).model_folder))
    names = ["+".join(type(one).__name__ for one in step) for step in steps]
    assert {"ShrinkVocabulary", "Int8", "Bf16", "PruneLayers+Distill", "PruneFfn+Distill", "DistillStatic"} <= set(
        names
    )
    assert "Distill" not in names and names.count("PruneFfn+Distill") == 3


def test_the_command_looks_for_it_and_tells_what_it_came_to(run, tmp_path, command):
    limit = f"size<{size_of(run) - 0.005}MiB"
    code, said, told = command(
        "compress", run, "--target", limit, "--passes", "prune_ffn", "--max-loss", "1", "--out", tmp_path / "out"
    )
    assert (code, said.strip()) == (0, str(tmp_path / "out"))
    assert "Trial 1 of at most 20" in told and "Target: size" in told
    code, _, told = command("compress", run, "--target", "size<1kB", "--passes", "prune_ffn", "--out", tmp_path / "no")
    assert code == 2 and "none reaches size<1kB within the budget of 0.05" in told
    code, _, told = command("compress", run, "--target", "p95<5", "--out", tmp_path / "no")
    assert code == 3 and "p95 needs a unit" in told
    code, _, told = command("compress", run, "--out", tmp_path / "no")
    assert code == 3 and "Name passes with --passes" in told and "--target" in told


def _measured_as(monkeypatch, steps, start=4.0):
    """Let each step lose so much, and leave that share of the size, in place of what is measured."""
    from tunewright.core.gate import check
    from tunewright.core.statistics import Interval
    from tunewright.stages.compression.bench import Bench

    real = Bench.tried

    def tried(self, state, passes, name=""):
        after = real(self, state, passes, name)
        whole = sum(steps[name][0] for name in after.names)
        size = start * math.prod(steps[name][1] for name in after.names)
        gate = Gate("export", (check("loss", whole, "<=", self.max_loss, after.path[-1].gate.checks[0].why),))
        compared = dataclasses.replace(after.path[-1].compared, loss=Interval(whole, whole, whole, "accuracy"))
        made = dataclasses.replace(after.path[-1], compared=compared, gate=gate, kept=gate.passed, size_mb=size)
        return dataclasses.replace(after, path=(*state.path, made))

    monkeypatch.setattr(Bench, "tried", tried)
    monkeypatch.setattr(Bench, "size_mb", property(lambda self: start))
