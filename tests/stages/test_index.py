"""The index of documents, and the wrong ones that queries are held against."""

import types

import numpy as np
import pytest

from tunewright.core import catalog
from tunewright.core.recipe_file import from_mapping
from tunewright.core.types import Example, Rejected
from tunewright.stages import fit, index
from tunewright.testing import materials

TASK = catalog.create("tasks", "matching")
DOCUMENTS = ("right", "the same in other words", "near", "far", "farther")
# Cosines of the query with them: 1.0, 0.98, 0.8, 0.3, 0.1.
FEATURES = np.array([[np.cos(a), np.sin(a)] for a in np.arccos([1.0, 0.98, 0.8, 0.3, 0.1])])


def mined(rows, count):
    """What is found for rows whose queries all point where the first document does."""
    said = {"document": lambda one: FEATURES[DOCUMENTS.index(one.inputs["document"])]}

    def embed(examples):
        return np.stack([said["document"](one) if "document" in one.inputs else FEATURES[0] for one in examples])

    embed.plan = types.SimpleNamespace(recipe=types.SimpleNamespace(task=TASK))
    number = {text: place for place, text in enumerate(DOCUMENTS)}
    right = {
        row: np.array([number[one] for one in example.label])
        for row, example in enumerate(rows)
        if isinstance(example.label, tuple)
    }
    hard = np.full((len(rows), count), -1)
    index._mine(rows, right, index.said_no(rows, number), DOCUMENTS, embed, hard)
    return hard.tolist()


def row(place, label):
    return Example(f"rows.csv:{place}", {"query": "q"}, label)


def test_the_nearest_wrong_documents_are_taken_and_what_is_as_near_as_the_right_one_is_left_out():
    assert mined([row(0, ("right",))], 2) == [[2, 3]]
    assert mined([row(0, ("right", "near"))], 2) == [[3, 4]]


def test_what_rows_reject_comes_first_even_where_it_is_as_near_as_the_right_one():
    rows = [row(0, ("right",)), row(1, Rejected("the same in other words")), row(2, Rejected("farther"))]
    assert mined(rows, 3) == [[1, 4, 2], [-1, -1, -1], [-1, -1, -1]]
    assert mined(rows, 1)[0] == [1]


def test_where_there_are_fewer_documents_places_stay_empty():
    assert mined([row(0, ("right",))], 9) == [[2, 3, 4, -1, -1, -1, -1, -1, -1]]


@pytest.fixture
def start_is_best(monkeypatch):
    """Evaluations that get worse and worse, so that the weights before the first step are kept."""
    judge, calls = fit.Validation.__call__, []

    def worse(self):
        calls.append(1)
        return {**judge(self), "mrr": 1 / len(calls)}

    monkeypatch.setattr(fit.Validation, "__call__", worse)


def test_the_index_is_that_of_the_weights_that_are_kept(tmp_path, tiny_backbone, start_is_best):
    from tunewright.core import ranking
    from tunewright.engine.local import train
    from tunewright.models.inference import pooled
    from tunewright.models.layout import load_model
    from tunewright.models.processor import Processor
    from tunewright.predict.predictor import load

    rows = [{"query": f"where is {n}", "document": f"it is {n}"} for n in range(40)]
    given = {
        "task": "matching",
        "data": {"train": str(materials.write_rows(tmp_path / "rows.jsonl", rows))},
        "model": {"backbone": str(tiny_backbone)},
        "train": {"epochs": 2, "learning_rate": 5e-3, "precision": "fp32", "threads": 1, "device": "cpu"},
        "evaluate": {"baselines": [], "resamples": 100},
        "predict": {"runtime": "torch"},
    }
    outcome = train(from_mapping(given), out=tmp_path / "run")
    model, processor = load_model(outcome.bundle / "model"), Processor.load(outcome.bundle / "model")
    windows = TASK.encode(ranking.as_examples(load(outcome.bundle).labels, "document"), processor, ())
    weight, _ = ranking.index(pooled(model, [one.features for one in windows], pad_id=processor.pad_id))
    np.testing.assert_allclose(model.head.output.weight.detach().numpy(), weight, atol=1e-4)
