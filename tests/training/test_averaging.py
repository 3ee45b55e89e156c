"""The average that is judged and kept counts later steps more, and is nothing else than what it says."""

from __future__ import annotations

import pytest
import torch

from tunewright.core import catalog
from tunewright.core.contracts import Averaging
from tunewright.training.averaging import Average

VALUES = [3.0, -1.0, 4.0, 7.0]


class Weights(torch.nn.Module):
    """A model of one number."""

    def __init__(self) -> None:
        super().__init__()
        self.value = torch.nn.Parameter(torch.zeros(1))

    def trained_parameters(self) -> dict[str, torch.nn.Parameter]:
        """See Model.trained_parameters."""
        return {"value": self.value}


def averaged(rule: Averaging | None, values: list[float], steps: int | None = None) -> float:
    """The weight that is judged after steps whose weights were `values`, of a run of so many steps."""
    model = Weights()
    average = Average(model, rule, steps or len(values))
    for step, value in enumerate(values, start=1):
        with torch.no_grad():
            model.value.fill_(value)
        average.update(step)
    with average.applied():
        found = model.value.item()
    assert model.value.item() == values[-1]
    return found


def rule(name: str, **settings: float) -> Averaging:
    return catalog.create("averages", {"name": name, **settings})


@pytest.mark.parametrize(
    ("average", "counts"),
    [
        (rule("polynomial", power=0.0), [1, 1, 1, 1]),
        (rule("polynomial", power=1.0), [1, 2, 3, 4]),
        (rule("polynomial", power=2.0), [1, 3, 6, 10]),
        (rule("ema", decay=0.0), [0, 0, 0, 1]),
        (rule("ema", decay=0.5), [1, 2, 4, 8]),
        (rule("swa", begin=0.0), [1, 1, 1, 1]),
        (rule("swa", begin=0.5), [0, 0, 1, 1]),
        (rule("swa", begin=0.75), [0, 0, 0, 1]),
    ],
    ids=str,
)
def test_each_step_counts_as_the_average_says(average, counts):
    expected = sum(n * value for n, value in zip(counts, VALUES, strict=True)) / sum(counts)
    assert averaged(average, VALUES) == pytest.approx(expected)


def test_before_the_last_part_of_a_run_swa_judges_the_weights_themselves():
    assert averaged(rule("swa", begin=0.75), VALUES, steps=8) == VALUES[-1]


def test_without_an_average_the_last_step_is_judged():
    assert averaged(None, VALUES) == VALUES[-1]
