"""Settings reach torch's optimizers. What all optimizers promise is in tunewright/testing/kinds/optimizers.py."""

from __future__ import annotations

import pytest
import torch

from tunewright.core import catalog
from tunewright.core.errors import RecipeError
from tunewright.core.recipe_file import from_mapping


def build(name: str, shape=(4, 6), **settings):
    weight = torch.nn.Parameter(torch.ones(shape))
    made = catalog.create("optimizers", {"name": name, **settings})
    return weight, made.build([{"params": [weight], "lr": 0.1, "weight_decay": 0.0}])


def stepped(weight, optimizer, gradient: float = 1.0) -> torch.Tensor:
    weight.grad = torch.full_like(weight, gradient)
    optimizer.step()
    return weight.detach().clone()


def test_adamw_moves_by_the_learning_rate_whatever_the_gradients_size():
    for gradient in (0.01, 100.0):
        torch.testing.assert_close(stepped(*build("adamw"), gradient), torch.full((4, 6), 0.9), rtol=1e-4, atol=0)


def test_adamw_takes_its_settings():
    group = build("adamw", beta1=0.5, beta2=0.9, epsilon=1e-3)[1].param_groups[0]
    assert (group["betas"], group["eps"], group["fused"]) == ((0.5, 0.9), 1e-3, True)


def test_sgd_remembers_the_last_step_with_momentum_and_not_without():
    weight, optimizer = build("sgd", momentum=0.0)
    assert stepped(weight, optimizer)[0, 0].item() == pytest.approx(0.9)
    assert stepped(weight, optimizer)[0, 0].item() == pytest.approx(0.8)
    weight, optimizer = build("sgd", momentum=0.9)
    first, second = stepped(weight, optimizer)[0, 0].item(), stepped(weight, optimizer)[0, 0].item()
    assert first - second > 1 - first


def test_adafactor_keeps_rows_and_columns_in_place_of_every_weight():
    weight, optimizer = build("adafactor", shape=(40, 60))
    stepped(weight, optimizer)
    kept = sum(value.numel() for value in optimizer.state[weight].values() if isinstance(value, torch.Tensor))
    assert kept <= 40 + 60 + 2


def test_adafactor_takes_its_settings_and_refuses_what_it_cannot_use():
    group = build("adafactor", beta2_decay=-0.5, clip_update=2.0)[1].param_groups[0]
    assert (group["beta2_decay"], group["d"]) == (-0.5, 2.0)
    optimizer = {"name": "adafactor", "clip_update": 0.5}
    data = {"task": "text_classification", "data": {"train": "a.csv"}, "train": {"optimizer": optimizer}}
    with pytest.raises(
        RecipeError, match=r"train\.optimizer\.clip_update is 0\.5: Input should be greater than or equal to 1"
    ):
        from_mapping(data)
