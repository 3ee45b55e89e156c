"""`check` finds what spoils a model, and reckons what training will take."""

from __future__ import annotations

import importlib.metadata
import json
import time
import typing

import numpy as np
import pytest
import torch

from tunewright.core.errors import RecipeError
from tunewright.core.numeric import spread
from tunewright.core.recipe import FindingKind
from tunewright.core.recipe_file import from_mapping, load
from tunewright.data.checks import KINDS
from tunewright.data.prepare import prepare
from tunewright.stages import assemble, check, estimate
from tunewright.testing.tiny import tiny_backbone

WORDS = {"good": ("great", "best", "love", "fun"), "bad": ("awful", "worst", "hate", "boring")}
ZEICHEN = {"good": ("好吃", "喜欢", "便宜", "快"), "bad": ("难吃", "讨厌", "贵", "慢")}


@pytest.fixture(scope="session")
def backbone(tmp_path_factory):
    return str(tiny_backbone(tmp_path_factory.mktemp("backbone")))


@pytest.fixture
def make(tmp_path, backbone, monkeypatch):
    """make(rows, **recipe sections) → a recipe over those (text, label) rows, in an empty working folder."""
    monkeypatch.chdir(tmp_path)

    def build(rows=None, **sections):
        path = tmp_path / "source" / "data.jsonl"
        path.parent.mkdir(exist_ok=True)
        lines = [json.dumps({"text": text, "label": label}) for text, label in rows or reviews()]
        path.write_text("\n".join(lines), encoding="utf-8")
        data = {"train": str(path), **sections.pop("data", {})}
        sections["train"] = {"epochs": 1, "threads": 1, **sections.get("train", {})}
        return from_mapping({"task": "text_classification", "model": {"backbone": backbone}, "data": data, **sections})

    return build


def reviews(count=120, words=WORDS):
    labels = list(words)
    made = []
    for i in range(count):
        label = labels[i % 2]
        made.append((f"film {i} was {words[label][i % 4]} and {words[label][i // 4 % 4]} at {i * 7}", label))
    return made


def kinds(checked):
    return {finding.kind for finding in checked.findings}


@pytest.mark.parametrize("words", [WORDS, ZEICHEN])
def test_good_data_passes_with_an_estimate(make, words):
    checked = check.check(make(reviews(words=words)))
    assert checked.passed
    assert not kinds(checked) & {"conflicts", "empty", "garbled", "label_spelling", "rare_classes"}
    assert checked.estimate.seconds > 0
    assert checked.estimate.memory_mb > 50
    assert checked.estimate.seconds == pytest.approx(sum(checked.estimate.parts.values()))


def test_the_answer_has_the_promised_form(make):
    answer = json.loads(json.dumps(check.check(make()).to_dict()))
    assert answer["passed"] is True
    assert {"seconds", "memory_mb"} <= answer["estimate"].keys()
    for finding in answer["findings"]:
        assert {"kind", "count", "examples", "severity"} <= finding.keys()


def test_findings_that_the_recipe_refuses_fail_the_check(make):
    rows = [*reviews(), ("a film", "good"), ("A film!", "bad")]
    kept = {"leakage": "keep"}
    assert "conflicts" in kinds(check.check(make(rows, data=kept)))
    checked = check.check(make(rows, data={"refuse": ["conflicts", "garbled"], **kept}))
    assert not checked.passed
    assert checked.to_dict()["refused"] == ["conflicts"]


def test_a_kind_that_does_not_exist_is_refused_with_the_nearest_one(make, tmp_path):
    with pytest.raises(RecipeError, match=r"data.refuse.*'duplicates'.*Did you mean 'leakage'\?"):
        make(data={"refuse": ["leakge"]})
    (tmp_path / "r.yaml").write_text("task: text_classification\ndata:\n  train: x.csv\n  refuse: [conflict]\n")
    with pytest.raises(RecipeError, match=r"r.yaml:4: data.refuse.*Did you mean 'conflicts'\?"):
        load(tmp_path / "r.yaml")


def test_a_threshold_is_refused_where_each_row_has_one_label(make):
    with pytest.raises(RecipeError, match=r"decision.threshold is the least score of a yes .* multi_label: true"):
        check.check(make(decision={"threshold": 0.7}))


def test_a_task_of_several_answers_a_row_is_neither_calibrated_nor_abstains(tmp_path, backbone):
    rows = [{"tokens": ["we", "met", f"Anna{n}"], "tags": ["O", "O", "B-NAME"]} for n in range(40)]
    (tmp_path / "data.jsonl").write_text("\n".join(map(json.dumps, rows)))
    given = {"task": "token_classification", "data": {"train": str(tmp_path / "data.jsonl")}}
    given["model"] = {"backbone": backbone}
    dataset = prepare(from_mapping(given), tmp_path / "data")
    decided = assemble.plan(from_mapping(given), dataset)
    assert decided.recipe.decision.calibration is None
    assert "their scores are not calibrated" in decided.whys["decision.calibration"].en
    with pytest.raises(RecipeError, match="token_classification cannot abstain"):
        assemble.plan(from_mapping({**given, "decision": {"max_error": 0.1}}), dataset)


def test_every_kind_can_be_named_in_a_recipe(make):
    assert make(data={"refuse": list(KINDS)}).data.refuse == KINDS
    assert typing.get_args(FindingKind) == KINDS


def test_nothing_is_written_and_chance_is_as_before(make, tmp_path):
    recipe = make()
    torch.manual_seed(5)
    before, random = sorted(tmp_path.rglob("*")), torch.get_rng_state()
    check.check(recipe)
    assert sorted(tmp_path.rglob("*")) == before
    assert torch.equal(torch.get_rng_state(), random)


def test_deep_finds_labels_that_the_other_rows_contradict(make):
    rows = [(text, label) for text, label in reviews(200)]
    for wrong in (20, 61, 102):
        text, label = rows[wrong]
        rows[wrong] = (text, "bad" if label == "good" else "good")
    shallow, deep = (check.check(make(rows), deep=deep) for deep in (False, True))
    assert "label_errors" not in kinds(shallow)
    doubts = next(finding for finding in deep.findings if finding.kind == "label_errors")
    assert doubts.count >= 1
    assert any(f"data.jsonl:{line}:" in example for line in (21, 62, 103) for example in doubts.examples)
    assert all(example.endswith("?") for example in doubts.examples)


def test_label_errors_are_looked_for_when_the_recipe_refuses_them(make):
    rows = reviews(200)
    rows[20] = (rows[20][0], "bad")
    assert not check.check(make(rows, data={"refuse": ["label_errors"]})).passed


def test_several_labels_a_row_are_checked_too(make):
    rows = [(text, [label, "film"]) for text, label in reviews()]
    task = {"name": "text_classification", "multi_label": True}
    recipe = make(rows, task=task)
    assert check.check(recipe, deep=True).passed


def test_a_language_the_backbone_does_not_know_is_found(make, tmp_path):
    folder = tiny_backbone(tmp_path / "english")
    (folder / "README.md").write_text("---\nlanguage: en\n---\n")
    rows = [(f"这部电影{i}非常{ZEICHEN[label][i % 4]}", label) for i, (_, label) in enumerate(reviews())]
    found = check.check(make(rows, model={"backbone": str(folder)})).findings
    language = next(finding for finding in found if finding.kind == "language")
    assert language.severity == "error"
    assert "Choose another model.backbone" in language.message.en


def test_more_epochs_are_more_steps(make):
    one, three = (check.check(make(train={"epochs": epochs})).estimate.steps for epochs in (1, 3))
    assert three == pytest.approx(3 * one, abs=1)
    assert one == 3  # 84 training rows in steps of 32


def test_measuring_stops_when_steps_are_slow(make, monkeypatch):
    monkeypatch.setattr(estimate, "SECONDS", 0.0)
    assert check.check(make(train={"epochs": 1, "batch_size": 4})).estimate.parts["training"] > 0


@pytest.mark.parametrize("method", ["lora", "freeze", "linear_probe"])
def test_every_method_can_be_estimated(make, method):
    assert check.check(make(train={"method": method})).estimate.disk_mb > 0


def test_a_start_that_takes_long_over_each_row_is_reckoned(make, monkeypatch):
    """As one that asks a network of its own does."""
    from tunewright.components.starts.probe import Probe

    head, plain = Probe.head, check.check(make()).estimate.parts["head"]

    def slow(start, given):
        time.sleep(0.01 * len(given.train))  # never shorter
        return head(start, given)

    monkeypatch.setattr(Probe, "head", slow)
    assert check.check(make()).estimate.parts["head"] > plain + 0.4  # of 86 rows


def test_times_lie_on_a_line_through_the_measurements():
    sizes = np.array([100.0, 200.0, 400.0])
    fixed, token = estimate._line(sizes, 0.5 + 0.01 * sizes)
    assert (fixed, token) == (pytest.approx(0.5), pytest.approx(0.01))
    assert estimate._line(sizes, np.array([3.0, 2.0, 1.0])) == (0.0, pytest.approx(6 / 700))


def test_too_little_memory_is_said(make, monkeypatch):
    monkeypatch.setattr(check, "available_memory", lambda: 1 << 20)
    checked = check.check(make())
    assert [made.name for made in checked.machine.failed] == ["memory, MiB"]
    assert checked.passed  # another program may end before training starts: this warns


def test_a_missing_package_is_named_with_the_version_that_is_needed(monkeypatch):
    monkeypatch.setattr(
        importlib.metadata, "requires", lambda name: ["numpy>=1", "nowhere>=2", "torch>=99", "x; extra == 'dev'"]
    )
    assert [text.split(" ")[0] for text in check.missing_packages()] == ["nowhere>=2", "torch>=99"]


def test_a_sample_is_spread_over_all_rows():
    assert spread(5, 10).tolist() == [0, 1, 2, 3, 4]
    assert spread(101, 3).tolist() == [0, 50, 100]


def test_memory_left_is_a_number_of_bytes():
    assert check.available_memory() > 1 << 20
