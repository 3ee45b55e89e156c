"""Features of the frozen backbone, and which rows a linear probe sees."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tunewright.core.progress import Silent
from tunewright.core.recipe_file import from_mapping
from tunewright.core.types import Example
from tunewright.data.prepare import prepare
from tunewright.models.inference import pooled
from tunewright.stages import assemble, start
from tunewright.stages.embed import Embedder


@pytest.fixture
def prepared(tmp_path, tiny_backbone):
    """A recipe for 60 rows sorted by label, with windows of eight tokens, and the rows."""
    rows = [f"card {number},{label}" for label in ("a", "b", "c") for number in range(20)]  # sorted by label
    (tmp_path / "train.csv").write_text("\n".join(["text,label", *rows]), "utf-8")
    data = {
        "train": str(tmp_path / "train.csv"),
        "columns": {"text": "text", "label": "label"},
        "max_tokens": 8,
        "stride": 2,
    }
    recipe = from_mapping({"task": "text_classification", "data": data, "model": {"backbone": str(tiny_backbone)}})
    return recipe, prepare(recipe, tmp_path / "data", Silent())


def test_a_long_text_has_the_mean_of_its_windows_features_by_their_tokens(prepared):
    recipe, dataset = prepared
    plan = assemble.plan(recipe, dataset)
    texts = ("my card", "play my music now and then play the good song again today", "rain")
    examples = [Example(id=text, inputs={"text": text}) for text in texts]
    embedder = Embedder(plan, "cpu", Silent())

    found = embedder(examples)

    windows = recipe.task.encode(examples, plan.processor, ())
    each = pooled(embedder._open(), [window.features for window in windows], pad_id=plan.processor.pad_id)
    assert len(windows) > len(examples)
    for index in range(len(examples)):
        own = [number for number, window in enumerate(windows) if window.example == index]
        expected = np.average(each[own], axis=0, weights=[windows[number].tokens for number in own])
        np.testing.assert_allclose(found[index], expected, rtol=1e-4, atol=1e-6)


def test_of_a_token_level_task_a_text_has_the_mean_of_its_tokens_features(tmp_path, tiny_backbone):
    rows = [
        f'{{"text": "to Rome {"again " * (n % 4)}", "intent": "go", "slots": {{"city": "Rome"}}}}' for n in range(20)
    ]
    (tmp_path / "train.jsonl").write_text("\n".join(rows), "utf-8")
    data = {"train": str(tmp_path / "train.jsonl"), "leakage": "keep"}
    recipe = from_mapping({"task": "slot_filling", "data": data, "model": {"backbone": str(tiny_backbone)}})
    plan = assemble.plan(recipe, prepare(recipe, tmp_path / "data", Silent()))
    examples = [Example(id=text, inputs={"text": text}) for text in ("rain", "play my music now")]
    embedder = Embedder(plan, "cpu", Silent())
    found = embedder(examples)
    assert found.shape[0] == 2 and found.ndim == 2
    (window,) = plan.processor.encode(["rain"])[0]
    tokens = embedder._open().pooled({k: torch.from_numpy(v)[None].long() for k, v in window.features.items()})
    np.testing.assert_allclose(found[0], tokens[0].mean(dim=0).detach().numpy(), rtol=1e-4, atol=1e-5)


def test_a_probe_on_a_part_of_the_rows_sees_all_labels_of_sorted_data(prepared, monkeypatch):
    split = prepared[1].splits["train"]
    monkeypatch.setattr(start, "PROBE_ROWS", 9)
    assert {example.label for example in start._labelled(split)} == {"a", "b", "c"}
    monkeypatch.setattr(start, "PROBE_ROWS", 1000)
    assert len(start._labelled(split)) == len(split)
