"""Several models as one: a soup is one ordinary model, a vote answers everywhere with its members' mean."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tunewright.core.errors import RecipeError

SETTINGS = {"train__epochs": 2, "train__checkpoint_steps": 2, "train__batch_size": 16, "train__learning_rate": 2e-3}


def report(run: Path) -> dict:
    return json.loads((run / "report.json").read_text("utf-8"))


def member(run: Path, number: int) -> dict[str, torch.Tensor]:
    return load_file(run / "members" / f"{number:02}" / "checkpoints" / "best" / "weights.safetensors")


@pytest.fixture(scope="module")
def runs(tmp_path_factory, train_tiny):
    """A soup and a vote of three, and the same recipe without."""
    folder = tmp_path_factory.mktemp("ensembles")
    made = {"plain": train_tiny(folder / "plain", **SETTINGS)}
    for kind in ("soup", "vote"):
        made[kind] = train_tiny(folder / kind, **SETTINGS, train__ensemble={"size": 3, "kind": kind})
    return made


@pytest.mark.slow
def test_the_first_member_is_the_model_that_the_run_would_have_been_and_the_others_differ(runs):
    plain = load_file(runs["plain"] / "checkpoints" / "best" / "weights.safetensors")
    first, second, third = (member(runs["soup"], number) for number in (1, 2, 3))
    assert all(torch.equal(first[name], plain[name]) for name in plain)
    assert any(not torch.equal(first[name], second[name]) for name in plain)
    assert any(not torch.equal(second[name], third[name]) for name in plain)
    starts = [json.loads(line) for n in "123" for line in _metrics(runs["soup"] / "members" / f"0{n}")[:1]]
    assert starts[0] == starts[1] == starts[2]


def _metrics(folder: Path) -> list[str]:
    return (folder / "metrics.jsonl").read_text("utf-8").splitlines()


@pytest.mark.slow
def test_the_report_shows_each_member_what_was_kept_and_what_came_of_them(runs):
    for kind in ("soup", "vote"):
        about = report(runs[kind])["training"]["ensemble"]
        values = [one["value"] for one in about["members"]]
        assert (about["kind"], about["metric"], len(values)) == (kind, "accuracy", 3)
        assert about["members"][0]["seed"] == 13 and len({one["seed"] for one in about["members"]}) == 3
        assert about["members"][int(np.argmax(values))]["kept"]
        text = (runs[kind] / "report.md").read_text("utf-8")
        assert f"accuracy on validation {100 * about['value']:.1f}%, of each model {100 * values[0]:.1f}%" in text
    soup = report(runs["soup"])["training"]["ensemble"]
    assert soup["value"] >= max(one["value"] for one in soup["members"])
    assert report(runs["plain"])["training"]["ensemble"] is None


@pytest.mark.slow
def test_a_vote_answers_with_the_mean_of_its_members_everywhere(runs):
    from tunewright.models.layout import load_model
    from tunewright.predict.predictor import load

    bundle = runs["vote"] / "bundle"
    folders = [bundle / "model", bundle / "members" / "02" / "model", bundle / "members" / "03" / "model"]
    texts = ["i lost my card", "今天天气好不好", "play a good song"]
    predictor = load(bundle)
    item = list(predictor.infer([predictor.example(text, 0) for text in texts]))
    models = [load_model(folder).eval() for folder in folders]
    for one in item:
        features = {name: torch.from_numpy(value)[None].long() for name, value in one.windows[0].features.items()}
        with torch.no_grad():
            each = [model(features)[0].numpy() for model in models]
        np.testing.assert_allclose(one.logits, np.mean(each, axis=0), atol=1e-4)
        assert np.abs(each[0] - one.logits).max() > 1e-3
    exact = [p.scores for p in predictor.predict(texts)]
    for runtime in ("onnx", "native"):
        for scores, other in zip(exact, load(bundle, runtime).predict(texts), strict=True):
            assert max(abs(scores[label] - other.scores[label]) for label in scores) < 0.05
    certificate = json.loads((bundle / "certificate.json").read_text("utf-8"))
    assert len(certificate["checks"]) == 8 and all(check["passed"] for check in certificate["checks"])
    card = (bundle / "README.md").read_text("utf-8")
    assert "It is 3 models, whose logits are averaged" in card and "pipeline(" not in card


@pytest.mark.slow
def test_a_changed_member_is_noticed_on_opening(runs, tmp_path):
    import shutil

    from tunewright.core.bundle import open_bundle
    from tunewright.core.errors import BundleError

    bundle = shutil.copytree(runs["vote"] / "bundle", tmp_path / "bundle")
    (bundle / "members" / "02" / "model" / "config.json").write_text("{}")
    with pytest.raises(BundleError, match=r"members/02/model/config.json is not what was saved"):
        open_bundle(bundle)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["soup", "vote"])
@pytest.mark.parametrize("save", [3, 9, 14])
def test_a_killed_ensemble_goes_on_with_the_member_it_was_at_to_the_same_bits(
    runs, tmp_path, train_tiny, killed_at_save, kind, save
):
    settings = {**SETTINGS, "train__ensemble": {"size": 3, "kind": kind}}
    with killed_at_save(save):
        train_tiny(tmp_path / "run", **settings)
    begun = sorted(path.name for path in (tmp_path / "run" / "members").iterdir())
    run = train_tiny(tmp_path / "run", resume=True, **settings)
    assert len(begun) == {3: 1, 9: 2, 14: 3}[save]
    for model in sorted((runs[kind] / "bundle").rglob("model.safetensors")):
        again = run / "bundle" / model.relative_to(runs[kind] / "bundle")
        assert model.read_bytes() == again.read_bytes()
    for number in "123":
        assert _metrics(run / "members" / f"0{number}") == _metrics(runs[kind] / "members" / f"0{number}")


@pytest.mark.slow
def test_several_labels_a_row_vote_and_blend_too(tmp_path, train_tiny):
    task = {"name": "text_classification", "multi_label": True}
    for kind in ("soup", "vote"):
        run = train_tiny(tmp_path / kind, **SETTINGS, task=task, train__ensemble={"size": 2, "kind": kind})
        assert report(run)["results"]["tuned"]["n"] == 36


def test_what_has_no_mean_cannot_be_a_soup(tmp_path, train_tiny):
    with pytest.raises(
        RecipeError, match=r"train.ensemble.kind: soup takes the mean of the members' weights, and adalora"
    ):
        train_tiny(tmp_path / "run", train__method="adalora", train__ensemble={"size": 2, "kind": "soup"})


def test_a_search_tries_one_model_and_refuses_a_space_of_ensembles(tmp_path, tiny_backbone, intents_csv):
    from tunewright.core.recipe_file import from_mapping
    from tunewright.engine.search import search

    recipe = {"task": "text_classification", "data": {"train": str(intents_csv.train)}}
    recipe |= {"model": {"backbone": str(tiny_backbone)}, "train": {"ensemble": {"size": 2}}}
    recipe["search"] = {"space": {"train.ensemble.size": [2, 3]}}
    with pytest.raises(RecipeError, match=r"a trial trains one model once, so train.ensemble.size would change none"):
        search(from_mapping(recipe), out=tmp_path / "search")


# -------------------------------------------------------------------------------------------------- the greedy soup


class Weights(torch.nn.Module):
    """A model of one number, judged by how near it is to 10."""

    def __init__(self) -> None:
        super().__init__()
        self.value = torch.nn.Parameter(torch.zeros(1))

    def changing(self) -> dict[str, torch.nn.Parameter]:
        """See Model.changing."""
        return {"value": self.value}


def soup_of(values: list[float], monkeypatch, tmp_path) -> tuple[list[bool], float]:
    """Which members of these weights a soup keeps, and the weight it ends with."""
    import types

    from safetensors.torch import save_file

    from tunewright.core.progress import Silent
    from tunewright.stages import ensemble
    from tunewright.stages.fit import Trained

    model = Weights()

    def numbers(value: float) -> dict[str, float]:
        return {"accuracy": -abs(value - 10), "loss": 1.0}

    monkeypatch.setattr(ensemble, "Validation", lambda *given: lambda: numbers(model.value.item()))
    monkeypatch.setattr(ensemble, "chosen_by", lambda plan: "accuracy")
    members = []
    for number, value in enumerate(values):
        best = tmp_path / str(number) / "checkpoints" / "best"
        best.mkdir(parents=True)
        save_file({"value": torch.tensor([value])}, best / "weights.safetensors")
        plan = types.SimpleNamespace(recipe=types.SimpleNamespace(train=types.SimpleNamespace(device="cpu")))
        members.append(Trained((model,), plan, None, 1, 1, tmp_path / str(number), numbers(value)))
    made = ensemble._soup(members, None, Silent())
    assert made.values == numbers(model.value.item())
    return [member.folder in made.kept for member in members], model.value.item()


def test_a_soup_keeps_a_member_only_where_validation_does_not_fall(monkeypatch, tmp_path):
    kept, value = soup_of([6.0, 13.0, 9.0, 14.0], monkeypatch, tmp_path)
    # From 9, the best: with 13 it is 11, as near; with 6 the mean of three is 9⅓, nearer; with 14 it is 10.5, nearer still.
    assert kept == [True, True, True, True] and value == pytest.approx(10.5)


def test_a_soup_leaves_out_whose_weights_do_harm(monkeypatch, tmp_path):
    kept, value = soup_of([9.5, 5.0, 10.2], monkeypatch, tmp_path)
    assert kept == [True, False, True] and value == pytest.approx(9.85)
