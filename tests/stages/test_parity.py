"""What serves answers as what was evaluated, whatever the task; where it does not, the run ends with an error."""

from __future__ import annotations

import numpy as np
import pytest

from tunewright.core import catalog
from tunewright.core.errors import TrainingError
from tunewright.core.files import read_json
from tunewright.core.gate import Gate
from tunewright.core.types import Example, Policy, Window
from tunewright.data.dataset import Dataset
from tunewright.engine import local
from tunewright.predict.infer import Inferred
from tunewright.stages import parity
from tunewright.testing import materials

QUIET = {"evaluate__baselines": [], "evaluate__slices": []}


def _conll(folder):
    lines = []
    for number in range(40):
        lines += ["my\tO", f"{'card' if number % 2 else 'song'}\tB-THING", "now\tO", f"{number % 7}\tO", ""]
    (folder / "tagged.conll").write_text("\n".join(lines), "utf-8")
    return "token_classification", str(folder / "tagged.conll")


def _questions(folder):
    rows = [
        {"question": f"who likes the {thing}?", "context": f"{name} likes the {thing} today", "answers": [{"text": name, "start": 0}]}
        for name in ("john", "mary", "wang")
        for thing in ("film", "book", "music", "song", "card", "bank", "rain", "sun")
    ]  # fmt: skip
    return "question_answering", str(materials.write_rows(folder / "questions.jsonl", rows))


@pytest.mark.parametrize("made", [_conll, _questions], ids=["tokens", "questions"])
def test_tasks_without_a_pooled_head_are_certified_on_all_rows(made, tmp_path, train_tiny):
    task, train = made(tmp_path)
    run = train_tiny(tmp_path / "run", task=task, data={"train": train, "leakage": "keep"}, **QUIET)
    stored = read_json(run / "bundle" / "certificate.json")
    names = [one["name"] for one in stored["checks"]]
    assert {"flipped rows", "saved: flipped rows", "served: largest logit difference"} <= set(names)
    assert stored["name"] == "transformers" and Gate.from_dict(stored).recompute().passed
    splits = Dataset.open(run / "data", catalog.create("tasks", task)).splits
    assert stored["rows"] == len(splits["validation"]) + len(splits["test"]) > 1
    assert "validation and test" in next(
        one["why"]["en"] for one in stored["checks"] if one["name"].startswith("served")
    )


def _spoiled(monkeypatch, spoil):
    """Let `spoil(folder)` change the saved model between writing and opening."""
    real = local.save.write_model

    def write(model, plan, folder):
        real(model, plan, folder)
        spoil(folder / "model")

    monkeypatch.setattr(local.save, "write_model", write)


def _random_weights(folder):
    from safetensors.numpy import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    name = next(name for name in weights if name.endswith("layer.1.output.dense.weight"))
    weights[name] = np.random.default_rng(0).normal(size=weights[name].shape).astype(np.float32)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _other_length(folder):
    from tunewright.core.files import write_json

    write_json(folder / "processor.json", {**read_json(folder / "processor.json"), "max_tokens": 4})


@pytest.mark.parametrize(
    ("spoil", "told"),
    [(_random_weights, "saved: largest logit difference"), (_other_length, "saved: rows cut otherwise")],
    ids=["weights", "length"],
)
def test_answers_per_token_that_were_saved_otherwise_end_the_run(spoil, told, tmp_path, train_tiny, monkeypatch):
    task, train = _conll(tmp_path)
    _spoiled(monkeypatch, spoil)
    with pytest.raises(TrainingError, match=f"does not answer as the evaluated one.*{told}"):
        train_tiny(tmp_path / "run", task=task, data={"train": train, "leakage": "keep"}, **QUIET)


def test_labels_of_tokens_in_another_order_end_the_run(tmp_path, train_tiny, monkeypatch):
    """What serves computes the head's outputs in another order than was evaluated."""
    task, train = _conll(tmp_path)
    runtime, real = catalog.find("runtimes", "torch"), catalog.find("runtimes", "torch").open
    monkeypatch.setattr(runtime, "open", lambda self, bundle: lambda windows: [one[..., ::-1] for one in real(self, bundle)(windows)])  # fmt: skip
    with pytest.raises(TrainingError, match="saved: flipped rows"):
        train_tiny(tmp_path / "run", task=task, data={"train": train, "leakage": "keep"}, train__epochs=6, **QUIET)


def _rows(logits):
    window = Window(0, {"input_ids": np.array([1, 2])}, tokens=2)
    return [Inferred(Example(f"a:{row}", {"text": "x"}), [window], np.array(one)) for row, one in enumerate(logits)]


def _compared(built, saved, served, **how):
    task = catalog.create("tasks", "text_classification")
    parts = map(_rows, (built, saved, served))
    return parity.compare(task, ("no", "yes"), Policy(), *parts, **{"steady": True, **how})


def test_a_tie_is_no_flip_and_is_listed_all_the_same():
    near = 1e-6
    found = _compared([[0.0, near]], [[near, 0.0]], [[near, 0.0]])
    assert all(one.passed for one in found.checks)
    assert found.flips == [{"id": "a:0", "evaluated": "yes", "saved": "no", "served": "no"}]
    found = _compared([[0.0, 0.01]], [[0.01, 0.0]], [[0.01, 0.0]])
    assert {one.name for one in found.checks if not one.passed} == {
        "saved: flipped rows",
        "saved: largest logit difference",
    }


def test_rows_that_only_the_serving_path_answers_count_too():
    found = _compared([[1.0, 0.0]], [[1.0, 0.0], [1.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]])
    assert {one.name for one in found.checks if not one.passed} == {
        "served: flipped rows",
        "served: largest logit difference",
    }
    assert [one["id"] for one in found.flips] == ["a:1"]


@pytest.mark.parametrize(("most", "passed"), [(0.4, False), (0.5, True), (None, None)])
def test_where_numbers_are_rounded_the_recipes_own_limit_counts(most, passed):
    found = _compared([[1.0, 0.0]], [[1.0, 0.0], [1.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]], steady=False, most_flips=most)
    served = [one.passed for one in found.checks if one.name.startswith("served")]
    assert served == ([] if passed is None else [passed])


def test_a_row_with_another_number_of_outputs_is_no_match():
    assert parity.apart(np.zeros((3, 2)), np.zeros((4, 2))) == float("inf")
    assert parity.apart(np.array([200.0, 0.0]), np.array([200.1, 0.0])) == pytest.approx(0.1 / 200, rel=1e-3)
