"""Which learning rate and weight decay each parameter gets."""

from __future__ import annotations

import pytest

from tunewright.core import catalog
from tunewright.models.model import build_model
from tunewright.training.parameters import auto_learning_rate, parameter_groups


@pytest.fixture
def model(backbone):
    return build_model(backbone, catalog.create("heads", "pooled"), ("a", "b"), dropout=0.0, attention="eager")


def rates(model, **changes):
    settings = {"learning_rate": 1.0, "weight_decay": 0.1, "layer_decay": 1.0, **changes}
    names = {id(value): name for name, value in model.named_parameters()}
    groups = parameter_groups(model, **settings)
    return {names[id(p)]: (group["lr"], group["weight_decay"]) for group in groups for p in group["params"]}


def test_norms_and_biases_do_not_decay(model):
    found = rates(model)
    assert all(
        decay == (0.1 if "weight" in name and "LayerNorm" not in name else 0.0) for name, (_, decay) in found.items()
    )


def test_lower_layers_learn_more_slowly_and_embeddings_slowest(model):
    found = {name: rate for name, (rate, _) in rates(model, layer_decay=0.5).items()}
    assert found["head.output.weight"] == 1.0
    assert found["backbone.encoder.layer.1.output.dense.weight"] == 0.5
    assert found["backbone.encoder.layer.0.output.dense.weight"] == 0.25
    assert found["backbone.embeddings.word_embeddings.weight"] == 0.125


def test_only_parameters_that_train_are_in_a_group(model):
    catalog.create("methods", "linear_probe").apply(model)
    assert set(rates(model)) == {"head.output.weight", "head.output.bias"}


def test_the_automatic_rate_is_the_backbones_advice_or_falls_with_its_width():
    assert auto_learning_rate(384, 1e-4, 1.0) == 1e-4
    assert auto_learning_rate(768, None, 1.0) == pytest.approx(2e-5)
    assert auto_learning_rate(384, None, 1.0) > auto_learning_rate(1024, None, 1.0)
    assert auto_learning_rate(768, None, 8.0) == pytest.approx(1.6e-4)
